"""Who a message is from, by its topic; and whether mapping, topics and model fit together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.topics import TopicTemplate
from signals.block import DecodeError
from signals.codecs.refusal import shown

_REMEMBERED_TOPICS = 1024
_MAX_REMEMBERED_CHARACTERS = 256


class TopicLevels:
    """The named levels of a topic, by the first template that matches.

    Parameters
    ----------
    topics : sequence of str
        Templates.
    problems : list of str
        Takes one line for every template that cannot be used.

    Examples
    --------
    >>> TopicLevels(["zigbee2mqtt/{device+}"], []).find("zigbee2mqtt/attic/north")
    {'device': 'attic/north'}
    """

    def __init__(self, topics: Sequence[str], problems: list[str]) -> None:
        self.templates: list[TopicTemplate] = []
        if not topics:
            problems.append("topics: at least one expected, got none")
        for text in topics:
            try:
                self.templates.append(TopicTemplate(text))
            except ValueError as error:
                problems.append(str(error))
        self._known: dict[str, dict[str, str]] = {}

    def find(self, topic: str) -> dict[str, str]:
        """The named levels of ``topic``; not to be changed by the caller.

        Raises
        ------
        DecodeError
            ``bad_topic``: no template matches.
        """
        found = self._known.get(topic)
        if found is not None:
            return found
        for template in self.templates:
            found = template.match(topic)
            if found is not None:
                # Topics repeat for ever; the bounds are against a sender that invents a new one each time.
                if len(topic) <= _MAX_REMEMBERED_CHARACTERS:
                    if len(self._known) >= _REMEMBERED_TOPICS:
                        self._known.clear()
                    self._known[topic] = found
                return found
        expected = ", ".join(template.text for template in self.templates)
        raise DecodeError("bad_topic", f"topic: one of {expected} expected, got {shown(topic)}")

    def lacking(self, name: str) -> list[str]:
        """The templates without a level called ``name``."""
        return [template.text for template in self.templates if name not in template.names]


def device_of(levels: dict[str, str], topic: str) -> str:
    """The ``{device}`` among the levels of a topic.

    Raises
    ------
    DecodeError
        ``bad_device``: it is empty.
    """
    name = levels.get("device")
    if not name:
        raise DecodeError("bad_device", f"topic: a non-empty {{device}} expected, got {shown(topic)}")
    return name


def device_problems(levels: TopicLevels, remedy: str) -> list[str]:
    """One line for every topic that names no device, where the payload does not either.

    Examples
    --------
    >>> device_problems(TopicLevels(["plant/vibration"], []), "mapping.device (a path into the message)")
    ["topics: a {device} level in 'plant/vibration', or mapping.device (a path into the message), expected"]
    """
    return [f"topics: a {{device}} level in {text!r}, or {remedy}, expected" for text in levels.lacking("device")]


def unmapped_channels(channels: Sequence[str], mapped: Iterable[str], where: str) -> list[str]:
    """One line for every channel of the model that the mapping lacks, with the nearest name it has.

    Examples
    --------
    >>> unmapped_channels(["acc_x"], ["accx", "temperature"], "channels")
    ["channels: channel 'acc_x' of the model expected; is it 'accx' here?"]
    """
    names = list(mapped)
    lines = []
    for channel in channels:
        if channel in names:
            continue
        import difflib  # only for whoever made a mistake: a start that goes well does not pay for it

        near = difflib.get_close_matches(channel, names, n=1)
        hint = f"is it {near[0]!r} here?" if near else f"got {', '.join(map(repr, names)) or 'none'}"
        lines.append(f"{where}: channel {channel!r} of the model expected; {hint}")
    return lines
