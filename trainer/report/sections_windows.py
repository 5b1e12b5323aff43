"""Sections of windows and features, in words."""

from __future__ import annotations

from trainer.report.charts_windows import importance_chart, map_chart, novelty_chart, signal_chart
from trainer.report.document import Picture, Section, Table
from trainer.report.facts import ReportFacts, percent
from trainer.report.importance import Importance
from trainer.report.sections_quality import empty_section
from trainer.report.windows import MAX_OF_A_KIND


def worst_section(facts: ReportFacts) -> Section:
    """The most confidently wrong windows."""
    worst, card = facts.worst, facts.head.card
    pictures = tuple(
        Picture(
            signal_chart(
                window,
                card.channel_names,
                window.ranges,
                sampling_rate_hz=card.sampling_rate_hz,
                name=f"worst-{number}",
            ),
            f"{window.true} → {window.predicted}",
            f"{percent(window.confidence)} sure; the label had {percent(window.true_probability)}. "
            f"Novelty {window.novelty:.2f}. {window.place}.",
        )
        for number, window in enumerate(worst.windows, start=1)
    )
    if not pictures:
        return Section("worst", "Most confidently wrong", "Not one window was named wrongly.")
    return Section(
        "worst",
        "Most confidently wrong",
        f"The surest of {worst.n_wrong} mistakes (was → taken for), at most {MAX_OF_A_KIND} of a kind, no two that "
        "overlap. Look here first: a wrong label, a loose sensor and a class that is really two all show up as "
        "certainty about the wrong thing.",
        pictures,
        notes=("Each channel is drawn on the usual range of the two classes (1st to 99th percentile), or on its own.",),
    )


def map_section(facts: ReportFacts) -> Section:
    """The map of the windows, or why there is none."""
    found = facts.map
    if found is None:
        return empty_section("map", "Map of the windows", facts)
    return Section(
        "map",
        "Map of the windows",
        "Every point is a window, near to others that look alike to the model. Clouds that lie apart are easy, rings "
        "between two clouds are hard cases, a ring inside a foreign cloud may be a wrong label.",
        (
            Picture(
                map_chart(found),
                "",
                f"{len(found.points)} of {found.n_windows} windows; principal components of the standardised features.",
            ),
        ),
    )


def importance_section(facts: ReportFacts) -> Section:
    """What the model looks at, or why that is not known."""
    found = facts.importance
    if found is None:
        return empty_section("importance", "What the model looks at", facts)
    pictures = [Picture(importance_chart(found.channels, "channel", name="importance-channels"), "By channel")]
    tables = [_importance_table(found.channels, "channel")]
    if len(found.blocks) > 1:
        pictures.append(Picture(importance_chart(found.blocks, "block", name="importance-blocks"), "By feature block"))
        tables.append(_importance_table(found.blocks, "block"))
    return Section(
        "importance",
        "What the model looks at",
        "How much worse the answers get when one channel is taken from another window. A channel without effect could "
        "be left away; one that decides everything must not fail.",
        pictures,
        tables,
        (
            f"{found.n_windows} windows through the model file itself, {found.n_repeats} repeats (± their spread).",
            "Channels that say the same stand in for each other, and each then looks less important than it is.",
        ),
    )


def _importance_table(found: tuple[Importance, ...], what: str, limit: int = 20) -> Table:
    rows = tuple(
        (
            item.name,
            f"{item.loss_rise:+.3f} ± {item.loss_spread:.3f}",
            f"{100 * item.accuracy_drop:+.1f} ± {100 * item.accuracy_spread:.1f}",
        )
        for item in found[:limit]
    )
    return Table((what, "rise of the log-loss", "points of accuracy lost"), rows)


def novelty_section(facts: ReportFacts) -> Section:
    """How many windows look novel."""
    found = facts.novelty
    low, high = found.interval
    return Section(
        "novelty",
        "Does it know what it does not know?",
        f"Windows beyond the line are called novel. {percent(found.share)} of these are (95 % interval: {percent(low)} "
        f"to {percent(high)}), and the card expects {percent(found.stated_rate)} of familiar ones.",
        (Picture(novelty_chart(found), "", f"The last bar holds everything beyond {found.edge:.1f}."),),
    )
