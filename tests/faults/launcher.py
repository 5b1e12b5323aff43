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
from importlib import import_module
from pathlib import Path
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


def _is_label(arguments: tuple[Any, ...], _result: object) -> bool:
    return any(isinstance(argument, str) and argument.endswith("/label") for argument in arguments)


def _has_mids(arguments: tuple[Any, ...], _result: object) -> bool:
    return bool(arguments[1])


def _has_inbox(arguments: tuple[Any, ...], _result: object) -> bool:
    return bool(arguments[0].inbox)


def _is_temporary(arguments: tuple[Any, ...], _result: object) -> bool:
    return "watermark" in str(arguments[0])


_LOOP, _LINK = "edge_agent.shell.loop:Agent", "edge_agent.shell.mqtt_link:MqttLink"
_STATE, _OUTBOX = "edge_agent.shell.state:StateFile", "edge_agent.shell.delivery:Outbox"

POINTS: dict[str, Point] = {
    "connected": Point(_LINK, "_subscribe", "before", 1),
    "subscribed": Point(_LINK, "_subscribe", "after", 1),
    "received": Point(_LINK, "turn", "after", 200, _has_inbox),
    "before_engine": Point("edge_agent.engine.engine:Engine", "receive", "before", 4_000),
    "after_engine": Point("edge_agent.engine.engine:Engine", "receive", "after", 4_000),
    "deadlines": Point("edge_agent.engine.engine:Engine", "tick", "after", 5),
    "before_classify": Point("edge_agent.shell.model:Model", "run", "before", 100),
    "after_classify": Point("edge_agent.shell.model:Model", "run", "after", 100),
    "before_label": Point(_LINK, "publish", "before", 200, _is_label),
    "label_sent": Point(_LINK, "publish", "after", 200, _is_label),
    "before_label_puback": Point(_OUTBOX, "confirmed", "before", 200),
    "after_label_puback": Point(_OUTBOX, "confirmed", "after", 200),
    "before_watermark": Point(_STATE, "write", "before", 2),
    "watermark_beside": Point("pathlib:Path", "replace", "before", 2, _is_temporary),
    "watermark_renamed": Point("pathlib:Path", "replace", "after", 2, _is_temporary),
    "after_watermark": Point(_STATE, "write", "after", 2),
    "before_sensor_ack": Point(_LINK, "acknowledge", "before", 100, _has_mids),
    "after_sensor_ack": Point(_LINK, "acknowledge", "after", 100, _has_mids),
}


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
    """The handler of messages raises on one in ``share`` of them, the same ones at every delivery."""
    from edge_agent.engine.engine import Engine

    def around(original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - ditto
        if sum(arguments[2]) % share == 0:
            raise ZeroDivisionError("a handler that raises")
        return original(*arguments, **named)

    wrap(Engine, "receive", around)


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


def failing_disk(call: int, error: str) -> None:
    """The n-th system call that writes under the state folder fails, and every third after it (EIO, ENOSPC)."""
    number = getattr(errno, error)
    made = 0

    def around(original: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - ditto
        nonlocal made
        made += 1
        if made >= call and (made - call) % 3 == 0:
            raise OSError(number, os.strerror(number))
        return original(*arguments, **named)

    for name in ("fsync", "fdatasync", "replace", "rename"):
        original = getattr(os, name)
        setattr(os, name, lambda *arguments, _original=original, **named: around(_original, *arguments, **named))
    wrap(Path, "replace", around)


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
        failing_disk(disk["call"], disk["error"])


def main() -> int:
    """Arm, then run the agent's own command line."""
    arm(json.loads(os.environ.get(ENVIRONMENT, "{}")))
    from edge_agent.cli import main as run_agent

    return run_agent()


if __name__ == "__main__":
    sys.exit(main())
