"""From fitted models to a verdict: agents, messages, and every label held against the replay and the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from demo import programs
from demo.agents import Agent, Assignment
from demo.errors import DemoError, StepFailedError
from demo.labels import LabelBook
from demo.live import LiveRun, label_inbox, run_live, wait_online
from demo.live_view import LiveView
from demo.look import file_size, number
from demo.plant.messages import Message
from demo.score import Score, score, window_times
from demo.screen import Screen
from demo.streams import Stream
from demo.wire import Address
from edge_agent.shell.guard import inspect_model
from schemas import EdgeError, LabelEvent, ModelCard
from signals import ClosedWindow, Recording, WindowSpec, cut

LAST_WAIT_S = 8.0
"""How long after the last message of a device its last windows are waited for."""

N_AT_ONCE = 2
"""Programs that run side by side: what a small machine has cores for."""

HEADS = ("logistic", "mlp")


class FittedModel(NamedTuple):
    """A model file, what it is for, and its card."""

    stream: Stream
    head: str
    path: Path
    card: ModelCard

    @property
    def gateway(self) -> str:
        """The gateway that runs it: one a head, so that both label the same devices."""
        return f"gateway-{self.head}"


class LiveFile(NamedTuple):
    """What was played live, as a file that `edge-agent replay` reads, and as recordings."""

    path: Path
    split: str
    recordings: Sequence[Recording]


class Truth(Protocol):
    """Who knows the truth."""

    def of_window(self, device: str, index: int, card: ModelCard) -> str | None:
        """True state of a window; None where it has none."""
        ...

    def at(self, device: str, t_ns: int) -> str | None:
        """True state at a time."""
        ...


class Show(NamedTuple):
    """What is performed."""

    models: Sequence[FittedModel]
    messages: Iterable[Message]
    truth: Truth
    live_files: Callable[[], Mapping[str, LiveFile]]
    """Name of the stream to its file; asked once all messages were sent."""
    speed: float | None
    title: str
    with_predict: bool


class Performance(NamedTuple):
    """What came of a show: a score a model, every label, and the files that were played."""

    scores: list[Score]
    models: Sequence[FittedModel]
    book: LabelBook
    files: Mapping[str, LiveFile]


def fit(stream: Stream, data: Path, folder: Path, *, seed: int, arguments: Sequence[str]) -> list[FittedModel]:
    """The logistic model and the MLP of a stream, fitted by ``trainer fit`` side by side.

    Raises
    ------
    DemoError
        If a fit failed, or the file it wrote would be refused by an agent.
    """

    def one(head: str) -> FittedModel:
        path = folder / f"{stream.name}-{head}.onnx"
        named = ["--head", head, "--name", path.stem, "--seed", str(seed), "--json"]
        programs.run("trainer", ["fit", str(data), "--out", str(path), *named, *arguments])
        return FittedModel(stream, head, path, inspect_model(path.read_bytes(), path.name))

    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        return list(pool.map(one, HEADS))


def fit_note(models: Sequence[FittedModel]) -> str:
    """One line about fitted models: what they promise and how big they are."""
    parts = []
    for model in models:
        promised = next((metric for metric in model.card.metrics if metric.name == "accuracy"), None)
        promise = f" {promised.value:.1%} ({promised.split})" if promised else ""
        parts.append(f"{model.head}{promise}, {file_size(model.path.stat().st_size)}")
    return " · ".join(parts)


def perform(screen: Screen, address: Address, folder: Path, show: Show) -> Performance:
    """Run the show: every step from the agents' start to their clean stop.

    Returns
    -------
    Performance
        Its scores are in the order of ``show.models``.

    Raises
    ------
    StepFailedError
        Names the step that did not hold.
    """
    by_gateway: dict[str, list[FittedModel]] = {}
    for model in show.models:
        by_gateway.setdefault(model.gateway, []).append(model)
    agents = [
        Agent(gateway, folder, [Assignment(model.stream, model.path) for model in models])
        for gateway, models in by_gateway.items()
    ]
    book = LabelBook()
    files: dict[str, LiveFile] = {}

    windows: dict[str, Windows] = {}

    def expected() -> dict[str, Windows]:
        files.update(show.live_files())
        for gateway, models in by_gateway.items():
            each = [windows_of(model.card, files[model.stream.name].recordings) for model in models]
            windows[gateway] = Windows(*(set().union(*sets) for sets in zip(*each, strict=True)))
        return windows

    with ExitStack() as stack:
        with screen.step("agents") as step:
            inbox = stack.enter_context(label_inbox(address, agents))
            for agent in agents:
                stack.callback(agent.stop)
                agent.start(address)
            wait_online(agents, inbox, book)
            step.note(", ".join(f"{agent.gateway} ({_pipelines(agent)})" for agent in agents) + ": online")
        view = LiveView(
            screen,
            columns={agent.gateway: agent.gateway.removeprefix("gateway-") for agent in agents},
            classes={model.stream.name: model.card.classes for model in show.models},
            truth_of_label=_truth_of_label(show),
            state_now=show.truth.at,
            title=show.title,
        )
        try:
            with view:
                run = run_live(
                    address,
                    agents,
                    show.messages,
                    speed=show.speed,
                    view=view,
                    expected=expected,
                    inbox=inbox,
                    book=book,
                )
        except EdgeError as error:
            raise StepFailedError("live", str(error)) from error
        with screen.step("labels") as step:
            step.note(_every_window_once(run))
        with screen.step("stop") as step:
            codes = {agent.gateway: agent.stop() for agent in agents}
            book.take(inbox.take())
            if any(codes.values()):
                words = "; ".join(f"{agent.gateway}: {codes[agent.gateway]}, {agent.last_words()}" for agent in agents)
                raise DemoError(f"agents: exit code 0 expected, got {words}")
            step.note("both agents finished, said offline and ended with 0")
    with screen.step("replay") as step:
        step.note(_same_everywhere(show, files, book, windows))
    with screen.step("truth") as step:
        scores = [_score_of(model, show, run) for model in show.models]
        _above_floor(show.models, scores)
        step.note(" · ".join(f"{one.pipeline} {one.head} {one.accuracy:.1%}" for one in scores))
    return Performance(scores, show.models, book, files)


class Windows(NamedTuple):
    """Ids of the labels of some recordings.

    Attributes
    ----------
    due : set of str
        Windows that close by themselves soon after the last sample.
    left_open : set of str
        Windows that would wait for longer than somebody watches: the end of a ten-minute window of a room that was
        played in haste is minutes of real silence away.
    """

    due: set[str]
    left_open: set[str]


def windows_of(card: ModelCard, recordings: Iterable[Recording]) -> Windows:
    """The windows that these recordings have, cut by `signals`, as the agent cuts."""
    spec = WindowSpec.from_card(card)
    found = Windows(set(), set())
    for recording in recordings:
        watched_ns = int(recording.t_ns[-1]) + round((LAST_WAIT_S - spec.deadline_s) * 1e9)
        for window in cut(recording, spec):
            if isinstance(window, ClosedWindow):
                is_due = window_times(card, window.index).end_ns <= watched_ns
                (found.due if is_due else found.left_open).add(f"{recording.device}/{card.ref}/{window.index}")
    return found


def rows_of(card: ModelCard, recordings: Iterable[Recording]) -> set[str]:
    """Ids of the windows that are rows of a windowed file, not ones across the ends of a chain; of a stream, all."""
    ids = set()
    spec = WindowSpec.from_card(card)
    for recording in recordings:
        first = recording.first_index or 0
        for window in cut(recording, spec):
            if not isinstance(window, ClosedWindow):
                continue
            if recording.rows is None or 0 <= window.index - first < len(recording.rows):
                ids.add(f"{recording.device}/{card.ref}/{window.index}")
    return ids


def _pipelines(agent: Agent) -> str:
    return " + ".join(assignment.stream.name for assignment in agent.assignments)


def _truth_of_label(show: Show) -> Callable[[LabelEvent], str | None]:
    cards = {(model.gateway, model.stream.name): model.card for model in show.models}
    return lambda event: show.truth.of_window(event.device, event.window.index, cards[event.gateway, event.pipeline])


def _every_window_once(run: LiveRun) -> str:
    book = run.book
    problems = [
        (f"{len(run.missing)} windows without a label", run.missing),
        (f"{len(run.unexpected)} labels of windows that are not there", run.unexpected),
        (f"{len(book.contradictions)} windows with two answers", book.contradictions),
        (f"{len(book.problems)} messages that keep no contract", book.problems),
    ]
    for what, examples in problems:
        if examples:
            raise DemoError(f"every window labelled once expected, got {what}, for example {examples[0]}")
    left_open = f", {run.n_left_open} still open as the plant stopped" if run.n_left_open else ""
    again = f", {book.n_repeated} said again after a reconnect" if book.n_repeated else ""
    return (
        f"{number(run.n_messages)} messages in {run.live_s:.1f} s, {number(len(book.arrivals))} windows, "
        f"each labelled exactly once{again}{left_open}"
    )


def _same_everywhere(show: Show, files: Mapping[str, LiveFile], book: LabelBook, windows: Mapping[str, Windows]) -> str:
    jobs = [(model, "edge_agent", "replay") for model in show.models]
    if show.with_predict:
        jobs += [(model, "trainer", "predict") for model in show.models]

    def check(job: tuple[FittedModel, str, str]) -> int:
        model, module, command = job
        file = files[model.stream.name]
        said = programs.label_events(module, [command, str(model.path), str(file.path), "--split", file.split])
        live = {
            label_id: arrival.event
            for (gateway, label_id), arrival in book.arrivals.items()
            if gateway == model.gateway and arrival.event.pipeline == model.stream.name
        }
        due = windows[model.gateway].due
        wrong = programs.differences({label_id: event for label_id, event in said.items() if label_id in due}, live)
        # The trainer leaves out the windows that it would not answer; the replay says of every one what became of it.
        if command == "replay":
            unsaid = rows_of(model.card, file.recordings) - said.keys()
            wrong += [f"{label_id}: a label of the replay expected, got none" for label_id in sorted(unsaid)]
        if wrong or not said:
            first = wrong[0] if wrong else "it printed no label"
            raise StepFailedError(
                "replay", f"{module} {command}: {len(wrong)} labels differ from the live ones: {first}"
            )
        return len(said.keys() & live.keys())

    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        n_equal = sum(pool.map(check, jobs))
    sources = "edge-agent replay" + (" and trainer predict" if show.with_predict else "")
    return f"{number(n_equal)} labels of {sources} on the recorded stream: every one equal"


def _score_of(model: FittedModel, show: Show, run: LiveRun) -> Score:
    arrivals = [
        arrival
        for (gateway, _), arrival in run.book.arrivals.items()
        if gateway == model.gateway and arrival.event.pipeline == model.stream.name
    ]
    return score(
        arrivals,
        model.card,
        show.truth.of_window,
        run.sent,
        pipeline=model.stream.name,
        model_bytes=model.path.stat().st_size,
        began_ns=run.began_ns,
    )


def _above_floor(models: Sequence[FittedModel], scores: Sequence[Score]) -> None:
    for model, one in zip(models, scores, strict=True):
        floor = model.stream.accuracy_floor
        if not one.n_scored or one.balanced_accuracy < floor:
            got = f"{one.balanced_accuracy:.3f} over {one.n_scored} windows"
            raise DemoError(f"{one.pipeline} {one.head}: balanced accuracy of at least {floor:g} expected, got {got}")
