"""``edge-agent status``: the answer of the status socket as a page for a person, and as an exit code for a script."""

from __future__ import annotations

from collections.abc import Mapping

from schemas import AgentStatus
from schemas.status import PipelineInfo

EXIT_HEALTHY = 0
EXIT_DEGRADED = 1
EXIT_NOT_RUNNING = 2


def exit_code(status: AgentStatus) -> int:
    """0 for an agent at work, 1 for one that a person should look at (or that is starting or stopping)."""
    return EXIT_HEALTHY if status.health.state == "ok" else EXIT_DEGRADED


def write_page(status: AgentStatus) -> str:
    """The page for a person, without a line break at its end."""
    info, metrics, health = status.info, status.metrics, status.health
    rejected, given_up = _named(metrics.messages_rejected), _named(metrics.labels_dropped)
    limit = f" of at most {health.unacknowledged_limit}" if health.unacknowledged_limit else ""
    free = "not known" if metrics.state_free_bytes is None else f"{_size(metrics.state_free_bytes)} free"
    lines = [
        f"{info.gateway}: {health.state}, edge-agent {info.agent_version}",
        *(f"  ! {problem}" for problem in health.problems),
        "",
        f"since       {info.started} ({_duration(metrics.uptime_s)})",
        f"broker      {health.broker}, {_connection(status)}",
        f"messages    {metrics.messages_received} received, {status.messages_hz:.1f}/s; {rejected} rejected",
        f"windows     {_named(metrics.windows)}; {metrics.gaps} gaps",
        f"labels      {metrics.labels_accepted} accepted, {metrics.labels_retried} retried, {given_up} given up",
        f"held back   {metrics.unacknowledged}{limit} messages, until they are labelled",
        f"outbox      {metrics.outbox} messages, {_size(metrics.outbox_bytes)}",
        f"disk        {free}",
        f"reloads     {_named(metrics.reloads)}; {metrics.reloads_refused} refused",
        f"config      {info.config_sha256[:12]}",
        f"libraries   {', '.join(f'{name} {version}' for name, version in info.libraries.items())}",
    ]
    for pipeline in info.pipelines:
        lines += ["", *_pipeline(pipeline, status)]
    if status.errors:
        lines += ["", "last warnings and errors", *(f"  {line}" for line in status.errors)]
    return "\n".join(line.rstrip() for line in lines)


def _connection(status: AgentStatus) -> str:
    n_reconnects = status.metrics.reconnects
    again = f", {n_reconnects} reconnects" if n_reconnects else ""
    return f"{status.info.protocol if status.health.connected else 'not connected'}{again}"


def _pipeline(pipeline: PipelineInfo, status: AgentStatus) -> list[str]:
    counts = status.metrics.pipelines.get(pipeline.name)
    digest = f" ({pipeline.digest[:12]})" if pipeline.digest else ""
    lines = [
        f"pipeline {pipeline.name}",
        f"  model     {pipeline.model}{digest}",
        f"  topics    {', '.join(pipeline.topics)}",
    ]
    if counts is not None:
        rate_hz = status.pipelines_hz.get(pipeline.name, 0.0)
        lines += [
            f"  devices   {counts.devices}",
            f"  messages  {counts.messages}, {rate_hz:.1f}/s; {_named(counts.rejected)} rejected",
            f"  labels    {_named(counts.labels)}; {counts.gaps} gaps",
        ]
    return lines


def _named(counts: Mapping[str, int]) -> str:
    """``412 ok, 3 novel``; ``0`` where nothing was counted.

    Examples
    --------
    >>> _named({"novel": 3, "ok": 412, "unsure": 0}), _named({})
    ('412 ok, 3 novel', '0')
    """
    counted = sorted(((count, name) for name, count in counts.items() if count), reverse=True)
    return ", ".join(f"{count} {name}" for count, name in counted) or "0"


def _duration(seconds: float) -> str:
    """``3 d 4 h``: the two largest units.

    Examples
    --------
    >>> _duration(7.2), _duration(3_700), _duration(2 * 86_400 + 7_300)
    ('7 s', '1 h 1 min', '2 d 2 h')
    """
    left, parts = int(seconds), list[str]()
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def _size(n_bytes: int) -> str:
    """In the unit that reads best, powers of 1024.

    Examples
    --------
    >>> _size(512), _size(20 * 1024), _size(3 * 1024**3)
    ('512 B', '20.0 KiB', '3.0 GiB')
    """
    size, unit = float(n_bytes), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
