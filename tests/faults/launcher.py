"""The agent, with faults put in from outside: the product knows nothing of them.

    TELLTALE_FAULT='{"kill": {"point": "label_sent", "call": 7}}' python -m tests.faults.launcher run --config ...

It wraps named methods of the agent before it starts, then hands over to its command line. ``POINTS`` names the places
where a kill may strike: `before` or `after` a method, at its n-th call that counts.
"""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple

Counts = Callable[[tuple[Any, ...], Any], bool]
"""Whether a call counts: its positional arguments, and what it returned (None before it has run)."""

ENVIRONMENT = "TELLTALE_FAULT"


class Point(NamedTuple):
    """One place of the loop.

    Attributes
    ----------
    owner, method : str
        ``module:Class`` and the name of its method.
    when : str
        The kill strikes before the call, or after it.
    spread : int
        The call at which to strike is drawn from 1 ... spread.
    """

    owner: str
    method: str
    when: Literal["before", "after"]
    spread: int
    counts: Counts = lambda arguments, result: True


def _has_label(arguments: tuple[Any, ...], _result: object) -> bool:
    return any(message.kind == "label" for message in arguments[1])


def _is_not_empty(arguments: tuple[Any, ...], _result: object) -> bool:
    return bool(arguments[1])


def _has_inbox(arguments: tuple[Any, ...], _result: object) -> bool:
    return bool(arguments[0].inbox)


def _has_output(arguments: tuple[Any, ...], _result: object) -> bool:
    return bool(arguments[0]._out._parts)


def _is_watermark(arguments: tuple[Any, ...], _result: object) -> bool:
    return "watermark" in str(arguments[0])


_LOOP, _LINK = "edge_agent.shell.loop:Agent", "edge_agent.shell.mqtt_link:MqttLink"
_STATE, _OUTBOX = "edge_agent.shell.state:StateFile", "edge_agent.shell.delivery:Outbox"
_ENGINE, _MODEL = "edge_agent.engine.engine:Engine", "edge_agent.shell.model:Model"

POINTS: dict[str, Point] = {
    "connected": Point(_LINK, "_subscribe", "before", 1),
    "subscribed": Point(_LINK, "_subscribe", "after", 1),
    "received": Point(_LINK, "turn", "after", 20, _has_inbox),
    "before_engine": Point(_ENGINE, "receive_burst", "before", 20),
    "after_engine": Point(_ENGINE, "receive_burst", "after", 20),
    "deadlines": Point(_ENGINE, "tick", "after", 5),
    "before_classify": Point(_MODEL, "run", "before", 20),
    "after_classify": Point(_MODEL, "run", "after", 20),
    "before_label": Point(_LINK, "send", "before", 20, _has_label),
    "label_handed_over": Point(_LINK, "send", "after", 20, _has_label),
    "before_flush": Point(_LINK, "flush", "before", 20, _has_output),
    "after_flush": Point(_LINK, "flush", "after", 20, _has_output),
    "before_label_puback": Point(_OUTBOX, "accepted_all", "before", 20),
    "after_label_puback": Point(_OUTBOX, "accepted_all", "after", 20),
    "before_watermark": Point(_STATE, "_append", "before", 2),
    "watermark_beside": Point("pathlib:Path", "replace", "before", 1, _is_watermark),
    "watermark_renamed": Point("pathlib:Path", "replace", "after", 1, _is_watermark),
    "after_watermark": Point(_STATE, "_append", "after", 2),
    "before_sensor_ack": Point(_LINK, "acknowledge", "before", 20, _is_not_empty),
    "after_sensor_ack": Point(_LINK, "acknowledge", "after", 20, _is_not_empty),
    "before_commit": Point("edge_agent.shell.row_file:RowFile", "_commit", "before", 8),
    "after_commit": Point("edge_agent.shell.row_file:RowFile", "_commit", "after", 8),
    "before_swap": Point(_LOOP, "swap", "before", 1),
    "after_swap": Point(_LOOP, "swap", "after", 1),
}

JOURNAL_POINTS = frozenset({"before_commit", "after_commit"})
"""Reached only in journal mode."""

RELOAD_POINTS = frozenset({"before_swap", "after_swap"})
"""Reached only by an agent that is told to reload its model."""


def owner_of(point: Point) -> type:
    """The class whose method is wrapped.

    Raises
    ------
    AttributeError
        If the agent has no such class or method any more.
    """
    module, _, name = point.owner.partition(":")
    owner: type = getattr(import_module(module), name)
    getattr(owner, point.method)
    return owner


def wrap(owner: type, method: str, around: Callable[..., Any]) -> None:
    """Replace a method by ``around(original, *arguments, **named)``."""
    original = getattr(owner, method)

    def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - stands for any method
        return around(original, *arguments, **named)

    setattr(owner, method, wrapped)


def kill_at(point: Point, call: int) -> None:
    """SIGKILL this process at the n-th call that counts."""
    left = call

    def around(original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - ditto
        nonlocal left
        if point.when == "before":
            left -= point.counts(arguments, None)
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)
        does_count = point.counts(arguments, None)
        result = original(*arguments, **named)
        # a burst is there only once it was received
        left -= does_count or point.counts(arguments, result)
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    wrap(owner_of(point), point.method, around)


def raise_on(share: int) -> None:
    """The decoder raises on one in ``share`` of the messages, the same ones at every delivery."""
    from edge_agent.engine.device import Route

    def spoil(original: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - ditto
        if sum(arguments[-1]) % share == 0:
            raise ZeroDivisionError("a handler that raises")
        return original(*arguments)

    def begin(original: Callable[..., Any], route: Route, *arguments: Any, **named: Any) -> None:
        original(route, *arguments, **named)
        if route.read is not None:
            route.read = partial(spoil, route.read)

    wrap(Route, "decode", spoil)
    wrap(Route, "__init__", begin)


def slow_model(seconds: float, lasts_s: float) -> None:
    """Each forward pass takes so much longer, for ``lasts_s`` from the first."""
    from edge_agent.shell.model import Model

    until_s = 0.0

    def around(original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - ditto
        nonlocal until_s
        now_s = time.monotonic()
        until_s = until_s or now_s + lasts_s
        if now_s < until_s:
            time.sleep(seconds * len(arguments[1]))
        return original(*arguments, **named)

    wrap(Model, "run", around)


def jumping_clock(offsets_s: list[float], every_s: float) -> None:
    """The wall clock of this process stands off by one offset after the other; the monotonic one is left alone."""
    read_ns, read_s = time.time_ns, time.time

    def offset_s() -> float:
        return offsets_s[int(time.monotonic() / every_s) % len(offsets_s)]

    # 1970 is asked for as an offset too large for any clock
    time.time_ns = lambda: max(0, read_ns() + int(offset_s() * 1e9))
    time.time = lambda: max(0.0, read_s() + offset_s())


def failing_disk(call: int, every: int, error: str) -> None:
    """The n-th call that brings state to the disk fails, and one in ``every`` after it (EIO, ENOSPC)."""
    number, made = getattr(errno, error), 0

    def fail_some(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - stands for any of them
            nonlocal made
            made += 1
            if made >= call and (made - call) % every == 0:
                raise OSError(number, os.strerror(number))
            return original(*arguments, **named)

        return wrapped

    for name in ("fsync", "fdatasync", "replace", "rename", "pwrite", "ftruncate"):
        setattr(os, name, fail_some(getattr(os, name)))


def arm(orders: dict[str, Any]) -> None:
    """Wrap what the orders name."""
    if kill := orders.get("kill"):
        kill_at(POINTS[kill["point"]], kill["call"])
    if share := orders.get("raise_on"):
        raise_on(share)
    if slow := orders.get("slow_model"):
        slow_model(slow["seconds"], slow["lasts_s"])
    if clock := orders.get("clock"):
        jumping_clock(clock["offsets_s"], clock["every_s"])
    if disk := orders.get("disk"):
        failing_disk(disk["call"], disk["every"], disk["error"])


def main() -> int:
    """Arm, then run the agent's own command line."""
    arm(json.loads(os.environ.get(ENVIRONMENT, "{}")))
    from edge_agent.cli import main as run_agent

    return run_agent()


if __name__ == "__main__":
    sys.exit(main())
