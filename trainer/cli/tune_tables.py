"""A search and its costs as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from trainer.cost import WeightCost
from trainer.tune import Trial, TuneResult


def pareto_table(result: TuneResult) -> Table:
    """The models that no other one beats, and the recommended one, most right first."""
    shown = [*result.front, *(trial for trial in (result.recommended,) if trial not in result.front)]
    n_judged = sum(trial.accuracy is not None for trial in result.trials)
    table = Table(
        title=f"{len(shown)} of {n_judged} models tried ({result.plan_name}, {result.seconds:.0f} s); cost as measured",
        title_justify="left",
    )
    for heading in ("", "features", "head", "accuracy", "µs a window", "(min … max)", "KiB", "RSS MiB", "numbers"):
        table.add_column(heading, justify="left" if heading in {"", "features", "head"} else "right")
    for trial in sorted(shown, key=lambda trial: -(trial.accuracy or 0.0)):
        if trial.cost is None or trial.accuracy is None or trial.standard_error is None:
            continue
        low, high = trial.cost.us_batch_1_range
        table.add_row(
            _mark(trial, result),
            trial.features,
            trial.head,
            f"{trial.accuracy:.4f} ± {trial.standard_error:.4f}",
            f"{trial.cost.us_per_window_batch_1:.0f}",
            f"{low:.0f} … {high:.0f}",
            f"{trial.cost.kib:.0f}",
            f"{trial.cost.rss_mib:.1f}",
            f"{trial.cost.n_parameters}",
        )
    return table


def recommendation(result: TuneResult) -> str:
    """What is recommended and why, in one line; what was left out in the next."""
    best, chosen = result.best, result.recommended
    text = f"recommended (>): {chosen.features} with {chosen.head}, {chosen.accuracy:.4f}: "
    if chosen is best:
        text += "the best, and nothing simpler comes within one standard error of it"
    else:
        text += (
            f"the simplest within one standard error ({best.standard_error:.4f}) of the best (*), "
            f"{best.features} with {best.head}, {best.accuracy:.4f}"
        )
    n_over = sum(trial.left_out is not None for trial in result.trials)
    if n_over:
        text += (
            f"\n{n_over} more were left out before they were fitted ({result.options.budget_text}); --json lists them"
        )
    return text


def weights_table(rows: Sequence[WeightCost], accuracies: Mapping[str, float]) -> Table:
    """What fewer bytes for the weights save, and what they cost."""
    n_windows = rows[0].n_windows if rows else 0
    table = Table(
        title=f"Weights of the head in fewer bytes; answers compared with float32 on {n_windows} training windows",
        title_justify="left",
    )
    for heading in ("weights", "KiB", "µs a window", "accuracy out of fold", "other label", "probability", "novelty"):
        table.add_column(heading, justify="left" if heading == "weights" else "right")
    for row in rows:
        accuracy = accuracies.get(row.name)
        table.add_row(
            row.name if row.refusal is None else f"{row.name}, no gateway takes it",
            f"{row.cost.kib:.0f}",
            f"{row.cost.us_per_window_batch_1:.0f}",
            "" if accuracy is None else f"{accuracy:.4f}",
            str(row.n_flips),
            f"{row.max_probability_difference:.1e}",
            f"{row.max_novelty_difference:.1e}",
        )
    return table


def _mark(trial: Trial, result: TuneResult) -> str:
    return ("*" if trial is result.best else "") + (">" if trial is result.recommended else "")
