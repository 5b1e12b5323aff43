"""Which worker takes which device: a CRC-32 of what names the device, the same on every machine and after every start.

What must hold is that all messages of one device of one pipeline reach one worker. The topic decides, because it is
known before decoding:

- templates with ``{device}``: the hash is over the id of that part, so that a device may speak on many topics;
- a payload that names the device: no topic tells whose message it is, so one worker takes the whole pipeline;
- pipelines that read the same topics under different names for the device go together to one worker as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from edge_agent.config import AgentConfig, PipelineConfig
from schemas import TopicTemplate
from signals import device_id

_MAX_KNOWN_TOPICS = 50_000


class Share:
    """The devices of one worker.

    Parameters
    ----------
    pipelines : sequence of PipelineConfig
    n_workers : int
    worker : int
        ``0 ... n_workers - 1``.
    by_broker : bool
        The broker hands out the topics (a shared subscription that hashes them): what comes is ours.

    Attributes
    ----------
    by_broker : bool

    Examples
    --------
    >>> config = example_config("plant/{device}/v", "plant/{device}/{channel}")
    >>> shares = [Share(config.pipelines, 3, worker) for worker in range(3)]
    >>> [share.takes("plant/pump-7/v") for share in shares], [share.takes("plant/pump-7/x") for share in shares]
    ([False, False, True], [False, False, True])
    """

    def __init__(
        self, pipelines: Sequence[PipelineConfig], n_workers: int, worker: int, *, by_broker: bool = False
    ) -> None:
        self._n_workers = n_workers
        self._worker = worker
        self.by_broker = by_broker
        self._whole = {pipelines[index].name: key for index, key in _undivided(pipelines).items()}
        self._templates = [(pipeline.name, TopicTemplate(text)) for pipeline in pipelines for text in pipeline.topics]
        self._names = {pipeline.name for pipeline in pipelines}
        self._taken: dict[str, bool] = {}

    def takes(self, topic: str) -> bool:
        """Whether the messages of this topic are for this worker."""
        if self.by_broker:
            return True
        taken = self._taken.get(topic)
        if taken is None:
            if len(self._taken) >= _MAX_KNOWN_TOPICS:
                self._taken.clear()
            taken = self._taken[topic] = self._slot(self._key_of(topic)) == self._worker
        return taken

    def has_device(self, pipeline: str, device: str) -> bool:
        """Whether this worker may need the watermark of a device, by its id; False for pipelines there are no more."""
        if pipeline not in self._names:
            return False
        return self.by_broker or self._slot(self._whole.get(pipeline, device)) == self._worker

    def _slot(self, key: str) -> int:
        return zlib.crc32(key.encode()) % self._n_workers

    def _key_of(self, topic: str) -> str:
        for name, template in self._templates:
            levels = template.match(topic)
            if levels is None:
                continue
            if name in self._whole:
                return self._whole[name]
            try:
                return device_id(levels["device"])
            except (KeyError, ValueError):  # no name: whoever gets it refuses it, and one worker is enough for that
                return topic
        return topic


def share_of(config: AgentConfig) -> Share | None:
    """The share of the worker that this configuration is for; None = all devices are ours."""
    gateway = config.gateway
    if gateway.worker is None:
        return None
    by_broker = config.mqtt.shared_group_hashes_topics
    return Share(config.pipelines, gateway.workers, gateway.worker, by_broker=by_broker)


def takes_of(config: AgentConfig) -> Callable[[str], bool] | None:
    """Which topics the engine of this process takes; None = all."""
    share = share_of(config)
    return None if share is None or share.by_broker else share.takes


def share_notes(config: AgentConfig) -> list[str]:
    """What several workers cannot divide, one line a group of pipelines.

    Examples
    --------
    >>> share_notes(example_config("all/{device+}", "all/{device}/v"))
    ['pipelines p0, p1: one worker takes all of it, because the same topics name other devices there']
    """
    groups: dict[str, list[PipelineConfig]] = {}
    for index, key in _undivided(config.pipelines).items():
        groups.setdefault(key, []).append(config.pipelines[index])
    lines = []
    for pipelines in groups.values():
        names = ", ".join(pipeline.name for pipeline in pipelines)
        in_payload = any(_names_device_itself(pipeline) for pipeline in pipelines)
        why = "the payload names the device, and no topic tells" if in_payload else "the same topics name other devices"
        where = "" if in_payload else " there"
        lines.append(
            f"pipeline{'s' if len(pipelines) > 1 else ''} {names}: one worker takes all of it, because {why}{where}"
        )
    return lines


def shared_group_problems(config: AgentConfig) -> list[str]:
    """Why a broker that hashes topics would tear devices apart; empty where it would not."""
    if not config.mqtt.shared_group_hashes_topics:
        return []
    found = []
    for index, pipeline in enumerate(config.pipelines):
        templates = [TopicTemplate(text) for text in pipeline.topics]
        is_one_to_one = len(templates) == 1 and templates[0].filter.count("+") + templates[0].filter.count("#") == 1
        if _names_device_itself(pipeline) or not is_one_to_one or "device" not in templates[0].names:
            found.append(
                f"pipelines[{index}].topics: one topic a device expected with mqtt.shared_group_hashes_topics (one "
                f"template whose only wildcard is {{device}}), got {', '.join(pipeline.topics)}"
            )
    return found


def example_config(*topics: str) -> AgentConfig:
    """A configuration with one pipeline a topic, for examples."""
    mapping = {"format": "json", "channels": {"x": "x"}}
    pipelines = [
        {"name": f"p{index}", "topics": [topic], "model": "m.onnx", "mapping": mapping}
        for index, topic in enumerate(topics)
    ]
    return AgentConfig.model_validate({"version": 1, "gateway": {"id": "pi4"}, "pipelines": pipelines})


def _names_device_itself(pipeline: PipelineConfig) -> bool:
    return getattr(pipeline.mapping, "device", None) is not None


def _undivided(pipelines: Sequence[PipelineConfig]) -> dict[int, str]:
    """Positions of the pipelines that one worker must take whole -> the key that is hashed for them."""
    root = list(range(len(pipelines)))
    whole = [_names_device_itself(pipeline) for pipeline in pipelines]

    def find(index: int) -> int:
        while root[index] != index:
            index = root[index]
        return index

    for index, pipeline in enumerate(pipelines):
        for earlier in range(index):
            meets, agrees = _meet(pipelines[earlier], pipeline)
            if not meets:
                continue
            a, b = find(earlier), find(index)
            is_whole = whole[a] or whole[b] or not agrees
            root[max(a, b)] = min(a, b)
            whole[min(a, b)] = is_whole
    return {index: f"pipeline {pipelines[find(index)].name}" for index in range(len(pipelines)) if whole[find(index)]}


def _meet(one: PipelineConfig, other: PipelineConfig) -> tuple[bool, bool]:
    """Whether a topic may belong to both, and whether all such topics name the same device in both."""
    pairs = [(a.split("/"), b.split("/")) for a in one.topics for b in other.topics]
    met = [pair for pair in pairs if _overlap(*pair)]
    return bool(met), all(_device_level(a) == _device_level(b) for a, b in met)


def _overlap(one: list[str], other: list[str]) -> bool:
    for a, b in zip(one, other, strict=False):
        if _is_tail(a) or _is_tail(b):
            return True
        if a != b and not _is_open(a) and not _is_open(b):
            return False
    # "a/#" also matches "a" itself (MQTT 5.0, section 4.7.1.2).
    longer = max(one, other, key=len)
    return len(one) == len(other) or (abs(len(one) - len(other)) == 1 and _is_tail(longer[-1]))


def _is_tail(level: str) -> bool:
    return level in {"#", "{device+}"}


def _is_open(level: str) -> bool:
    return level == "+" or level.startswith("{")


def _device_level(levels: list[str]) -> tuple[int, str] | None:
    for index, level in enumerate(levels):
        if level in {"{device}", "{device+}"}:
            return index, level
    return None
