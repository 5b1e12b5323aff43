"""What must hold after a row: each check says in one line what does not, or nothing."""

import time
from collections.abc import Callable

import orjson
import psutil

from tests.faults.faults import KillAtPoints, MuteDevice
from tests.faults.runner import UNTOLD, Outcome
from tests.faults.site import DEADLINE_S, AgentError
from tests.faults.verdict import read_accepted

_LEAST_WINDOWS = 50
_DRAIN_S = 30.0
_CLOSE_S = 10.0
_POLL_S = 0.25
_MEMORY_MIB = 400.0


def covers(outcome: Outcome) -> str | None:
    """The publisher got enough accepted for a verdict to mean something."""
    n_windows = outcome.verdict.windows
    return (
        None if n_windows >= _LEAST_WINDOWS else f"at least {_LEAST_WINDOWS} covered windows expected, got {n_windows}"
    )


def nothing_silent(outcome: Outcome) -> str | None:
    """The promise."""
    return None if not outcome.verdict.silent else f"{outcome.verdict.silent} windows of which nothing was said"


def nothing_wrong(outcome: Outcome) -> str | None:
    """No whole label differs from what the model gives."""
    return None if not outcome.verdict.wrong else f"{outcome.verdict.wrong} labels that are wrong"


def all_whole(outcome: Outcome) -> str | None:
    """Nothing was lost, so nothing may be declared lost."""
    verdict = outcome.verdict
    if not verdict.partial and not verdict.declared:
        return None
    return f"every window whole expected, got {verdict.partial} partial and {verdict.declared} declared"


def no_duplicates(outcome: Outcome) -> str | None:
    """Without a fault no label is said twice."""
    return None if not outcome.verdict.duplicates else f"{outcome.verdict.duplicates} labels said twice"


def declared_at_most_s(seconds: float) -> Callable[[Outcome], str | None]:
    """Loss is declared, and no more than so many seconds of the stream at each injection."""

    def check(outcome: Outcome) -> str | None:
        plant = outcome.site.plant
        windows_per_s = plant.rate_hz / plant.hop_length
        most = int(outcome.injections * seconds * windows_per_s)
        lost = outcome.verdict.partial + outcome.verdict.declared
        return None if lost <= most else f"at most {most} windows partial or declared expected, got {lost}"

    return check


def drains(outcome: Outcome) -> str | None:
    """The agent ends owing no more than the samples of open windows."""
    site = outcome.site
    most = site.plant.n_devices * (site.plant.window_length + site.plant.hop_length)
    until_s = time.monotonic() + _DRAIN_S
    owed = -1
    n_before = len(site.testimony.metrics)
    while time.monotonic() < until_s:
        site.testimony.read()
        if len(site.testimony.metrics) > n_before:
            owed = int(site.testimony.metrics[-1]["unacknowledged"])
            if owed <= most:
                outcome.notes["owed at the end"] = owed
                return None
        time.sleep(_POLL_S)
    return f"at most {most} unacknowledged messages at the end expected, got {owed}"


def struck_all_points(outcome: Outcome) -> str | None:
    """Each named point was reached, if there were injections enough."""
    fault = outcome.fault
    assert isinstance(fault, KillAtPoints)
    outcome.notes["points"] = len(set(fault.struck))
    missing = set(fault.points[: outcome.injections]) - set(fault.struck)
    return f"points never reached: {sorted(missing)}" if missing else None


def broker_dropped(outcome: Outcome) -> str | None:
    """The broker did drop, and labels or gaps miss samples for it."""
    dropped = outcome.site.testimony.broker_dropped
    if not dropped:
        return "messages dropped by the broker expected, got 0: the fault was not injected"
    if not outcome.verdict.partial + outcome.verdict.declared:
        return f"{dropped} messages dropped by the broker, and no label or gap that says so"
    return None


def was_untold(outcome: Outcome) -> str | None:
    """The loss lay at the end of the stream: before the devices spoke again nothing told of it."""
    return None if outcome.notes.get(UNTOLD) else "windows untold at the end of the stream expected, got 0"


def counted_internal(outcome: Outcome) -> str | None:
    """Each message on which the handler raised is counted: no agent was killed, so each was delivered once."""
    site = outcome.site
    share = int(site.setting.orders["raise_on"])
    accepted = read_accepted(site.accepted)
    samples = zip(accepted["device"].tolist(), accepted["seq"].tolist(), strict=True)
    expected = sum(sum(site.plant.payload(device, seq)) % share == 0 for device, seq in samples)
    metrics = site.testimony.metrics
    counted = int(metrics[-1]["messages_rejected"].get("internal", 0)) if metrics else 0
    outcome.notes["counted"] = counted
    return None if counted == expected else f"{expected} messages counted as internal expected, got {counted}"


def memory_bounded(outcome: Outcome) -> str | None:
    """Resident memory of the agent at the end."""
    mib = psutil.Process(outcome.site.agent.pid).memory_info().rss / 2**20
    outcome.notes["resident MiB"] = round(mib)
    return None if mib <= _MEMORY_MIB else f"at most {_MEMORY_MIB:g} MiB resident expected, got {mib:.0f}"


def muted_closed(outcome: Outcome) -> str | None:
    """The last window that a silent device touched has a label, short of samples, by its deadline."""
    fault, site = outcome.fault, outcome.site
    assert isinstance(fault, MuteDevice)
    until_s = time.monotonic() + _CLOSE_S + DEADLINE_S
    while time.monotonic() < until_s:
        site.testimony.read()
        short = {
            device for (device, _), n_samples in site.testimony.samples.items() if n_samples < site.plant.window_length
        }
        if set(fault.muted) <= short:
            return None
        time.sleep(_POLL_S)
    return f"devices whose last window was never closed: {sorted(set(fault.muted) - short)}"


def runs_the_file(outcome: Outcome) -> str | None:
    """The agent ends with the model whose file is in its place."""
    try:
        outcome.site.wait_for_model(outcome.site.digest)
    except AgentError as error:
        return " ".join(str(error).split())
    outcome.notes["models"] = len({digest for _, _, digest in outcome.site.testimony.answers})
    return None


def alarmed(outcome: Outcome) -> str | None:
    """An alarm said that a disk is full or cannot be written, and it was taken back when that was over."""
    site = outcome.site
    until_s = time.monotonic() + _DRAIN_S
    while site.testimony.alarms and site.testimony.alarms[-1]["alarms"] and time.monotonic() < until_s:
        time.sleep(_POLL_S)
        site.testimony.read()
    codes = {alarm["code"] for said in site.testimony.alarms for alarm in said["alarms"]}
    outcome.notes["alarms"] = ", ".join(sorted(codes)) or "none"
    if not any(code.startswith("disk") for code in codes):
        return f"an alarm about the disk expected, got {sorted(codes)}"
    left = site.testimony.alarms[-1]["alarms"]
    return f"no alarm at the end expected, got {left}" if left else None


def state_readable(outcome: Outcome) -> str | None:
    """The watermark is whole JSON."""
    path = outcome.site.state / "watermark.json"
    try:
        orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None  # it never came to one: that is sound
    except orjson.JSONDecodeError as error:
        return f"{path.name}: whole JSON expected, got {error}"
    return None
