"""Messages that begin as something sensible and end as something else; the same ones for the same seed."""

import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

TOKENS: tuple[bytes, ...] = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"1e308",
    b"3.4028236e38",
    b"1e-400",
    b"-0",
    b"9" * 400,
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"253402300800000",
    b"-62135596800000",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b'"x"',
    b'"\\ud800"',
    b'"\\u0000"',
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x00",
    b"[" * 2000,
    b'{"x":' * 500,
    b'"2026-02-30T25:61:61Z"',
    b'"2026-03-29T02:30:00"',
    b'"0001-01-01T00:00:00Z"',
    b'"9999-12-31T23:59:59.999999999Z"',
    b'"x":1,"x":2',
    b",",
    b":",
    b"/*",
    b"\xf0\x9f\x98\x80",
)
"""What has broken readers of JSON, numbers, texts and times before."""

NOW_MS = 1_795_000_000_000

TOPICS: tuple[bytes, ...] = (
    b"a",
    b"b",
    b"pump-7",
    b"A",
    "ä".encode(),
    b"a b",
    b"x" * 300,
    b"\xff\xfe",
    b"",
    b"a/b",
    b"$SYS",
)


class Mutator:
    """Endless payloads and topics.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def payload(self, codec: str) -> bytes:
        """The next payload for a codec: sensible, changed a little, changed much, of another codec, huge, or noise."""
        chance = self._chance
        kind = chance.random()
        if kind < 0.02:
            return chance.randbytes(chance.randrange(64))
        if kind < 0.021:
            return chance.choice(TOKENS) * chance.randrange(1, 200)
        own = SOURCES[re.split("[, ]", codec, maxsplit=1)[0]]
        sources = own if kind > 0.04 else [source for sources in SOURCES.values() for source in sources]
        payload = chance.choice(sources)(chance)
        if kind < 0.5:
            return payload
        for _ in range(1 if kind < 0.85 else chance.randrange(2, 9)):
            payload = self._changed(payload)
        return payload

    def topic(self) -> bytes:
        """The next topic: mostly one of a few devices, sometimes one of very many, sometimes no topic at all."""
        chance = self._chance
        kind = chance.random()
        if kind < 0.8:
            return b"d%d" % chance.randrange(20)
        if kind < 0.95:
            return b"d%d" % chance.randrange(1_000_000)
        topic = chance.choice(TOPICS)
        return self._changed(topic) if kind > 0.98 else topic

    def _changed(self, payload: bytes) -> bytes:
        chance = self._chance
        at = chance.randrange(len(payload) + 1)
        way = chance.randrange(8)
        if way == 0 and payload:  # a bit
            at = min(at, len(payload) - 1)
            return payload[:at] + bytes([payload[at] ^ 1 << chance.randrange(8)]) + payload[at + 1 :]
        if way == 1:  # cut short
            return payload[:at]
        if way == 2:  # a hole
            return payload[:at] + payload[at + chance.randrange(1, 9) :]
        if way == 3:  # a token put in
            return payload[:at] + chance.choice(TOKENS) + payload[at:]
        if way == 4:  # a token in the place of a value
            end = next((i for i in range(at, len(payload)) if payload[i] in b",]}"), len(payload))
            start = next((i + 1 for i in range(at - 1, -1, -1) if payload[i] in b",:[{"), 0)
            return payload[:start] + chance.choice(TOKENS) + payload[end:]
        if way == 5:  # a piece again
            return payload[:at] + payload[max(0, at - chance.randrange(1, 40)) :]
        if way == 6:  # two messages grown together
            other = chance.choice(SOURCES["json"])(chance)
            return payload[:at] + other[chance.randrange(len(other) + 1) :]
        return payload[:at] + chance.randbytes(chance.randrange(1, 9)) + payload[at:]


def json_columns(chance: random.Random) -> bytes:
    """``{x: 1, y: 2}`` with single values or arrays, with and without times, ids and rates."""
    n_samples = chance.choice((0, 1, 1, 1, 4, 16))
    message: dict[str, Any] = {"x": _values(chance, n_samples), "y": _values(chance, n_samples)}
    if chance.random() < 0.7:
        message["t"] = _time(chance, n_samples)
    if chance.random() < 0.3:
        message["d"] = chance.choice(("a", "b", "c", 7, "Ä"))
    return json.dumps(message).encode()


def json_rows(chance: random.Random) -> bytes:
    """Rows, as lists or as objects, bare or under a name."""
    rows: list[Any] = []
    for _ in range(chance.choice((0, 1, 3, 16))):
        x, y, t = chance.uniform(-9, 9), chance.uniform(-9, 9), _moment(chance)
        rows.append([x, t] if chance.random() < 0.5 else {"x": x, "y": y, "t": t})
    return json.dumps(rows if chance.random() < 0.5 else {"x": rows}).encode()


def scalar(chance: random.Random) -> bytes:
    """One number or word."""
    return chance.choice((b"ON", b"OFF", b"21.5", b" 7 ", b"1e3", b"%d" % chance.randrange(10**6)))


def binary(chance: random.Random) -> bytes:
    """Whole numbers of the width of the frames, which are 4, 8, 15 and 23 bytes long."""
    n_bytes = chance.choice((4, 8, 15, 23, 8 * chance.randrange(20), 15 * chance.randrange(20)))
    if chance.random() < 0.5:
        return bytes(n_bytes)
    return struct.pack(f"<{n_bytes // 4 + 1}f", *(chance.uniform(-9, 9) for _ in range(n_bytes // 4 + 1)))[:n_bytes]


SOURCES: dict[str, tuple[Callable[[random.Random], bytes], ...]] = {
    "json": (json_columns, json_columns, json_rows),
    "scalar": (scalar,),
    "binary": (binary,),
}
"""First word of a codec's name -> what its sensible messages look like."""


def _values(chance: random.Random, n_samples: int) -> Any:  # noqa: ANN401 - what a payload may hold
    if n_samples == 1 and chance.random() < 0.8:
        return round(chance.uniform(-9, 9), 3)
    return [chance.choice((None, round(chance.uniform(-9, 9), 3), chance.randrange(100))) for _ in range(n_samples)]


def _time(chance: random.Random, n_samples: int) -> Any:  # noqa: ANN401 - what a payload may hold
    kind = chance.random()
    if kind < 0.6:
        return _moment(chance)
    if kind < 0.8:
        return f"2026-11-{chance.randrange(1, 31):02d}T{chance.randrange(24):02d}:00:{chance.randrange(60):02d}Z"
    return [_moment(chance) for _ in range(n_samples)]


def _moment(chance: random.Random) -> int:
    """Milliseconds since the epoch: nearly always about now, else 1970, in two months, an hour off, or nonsense."""
    if chance.random() < 0.95:
        return int(NOW_MS + chance.gauss(0, 400))
    return chance.choice((0, 1, NOW_MS + 60 * 86_400_000, NOW_MS + 3_600_000, NOW_MS - 3_600_000, -1, 10**18))
