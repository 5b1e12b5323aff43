"""What one turn of the loop has to say to the broker, gathered into one piece of the stream."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.shell.outgoing import Outgoing
from edge_agent.shell.publish_packets import puback_run, publish_parts, topic_field

PACKET_OVERHEAD_BYTES = 16
"""At most so much stands in a PUBLISH of ours beside topic and payload."""

_TOPIC_FIELDS = 100_000


class PacketsOut:
    """PUBLISH packets and PUBACKs in the order in which they were given.

    Examples
    --------
    >>> out = PacketsOut()
    >>> out.labels([Outgoing("label", "a", b"*", mid=7)], [True], most_bytes=99, is_5=True)
    []
    >>> out.acknowledge([1])
    >>> out.take().hex(" "), out.take()
    ('33 07 00 01 61 00 07 00 2a 40 02 00 01', b'')
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._topic_fields: dict[str, bytes] = {}

    def labels(
        self, messages: Sequence[Outgoing], newest: Sequence[bool], *, most_bytes: int, is_5: bool
    ) -> list[Outgoing]:
        """Add messages under the identifiers they have; those above ``most_bytes`` are left out and given back."""
        fields, parts, too_large = self._topic_fields, self._parts, list[Outgoing]()
        for message, retain in zip(messages, newest, strict=True):
            field = fields.get(message.topic) or self._topic_field(message.topic)
            if len(field) + len(message.payload) + PACKET_OVERHEAD_BYTES > most_bytes:
                too_large.append(message)
                continue
            parts += publish_parts(field, message.payload, message.mid, retain=retain, is_dup=message.is_dup, is_5=is_5)
        return too_large

    def unconfirmed(self, topic: str, payload: bytes, *, retain: bool, is_5: bool) -> None:
        """Add a message of QoS 0."""
        self._parts += publish_parts(self._topic_field(topic), payload, 0, retain=retain, is_dup=False, is_5=is_5)

    def acknowledge(self, mids: list[int]) -> None:
        """Add PUBACKs of success, in this order."""
        self._parts.append(puback_run(mids))

    def take(self) -> bytes:
        """Everything since the last call, as one piece."""
        content = b"".join(self._parts)
        self._parts.clear()
        return content

    def _topic_field(self, topic: str) -> bytes:
        if len(self._topic_fields) >= _TOPIC_FIELDS:
            self._topic_fields.clear()
        field = self._topic_fields[topic] = topic_field(topic)
        return field
