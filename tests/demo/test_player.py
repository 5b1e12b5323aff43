import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.plant.messages import Message
from demo.player import PLAYER_TOPIC, PlayerFormat, messages_of, player_mapping
from signals import Block, ClosedWindow, FloatArray, Recording, WindowSpec, compile_decoder, cut

CHANNELS = ("x", "y")


def recording(n_samples: int = 500, device: str = "a", group: int = -1, seed: int = 0) -> Recording:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, n_samples)).astype(np.float32)
    values[1, ::7] = np.nan
    steps = rng.integers(15_000_001, 25_000_001, n_samples)
    return Recording(device, CHANNELS, np.cumsum(steps), values, np.zeros(n_samples, np.int64), group)


def decoded(messages: Iterable[Message], payload_format: PlayerFormat) -> list[Block]:
    decoder = compile_decoder(player_mapping(CHANNELS, payload_format), [PLAYER_TOPIC], CHANNELS, 50.0)
    return [block for message in messages for block in decoder.decode(message.topic, message.payload)]


def all_values(blocks: list[Block], n_channels: int = 2) -> FloatArray:
    """Values of all blocks side by side; NaN where a block says nothing of a channel."""
    pieces = []
    for block in blocks:
        piece = np.full((n_channels, block.values.shape[1]), np.nan, np.float32)
        piece[list(block.channels)] = block.values
        pieces.append(piece)
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("payload_format", ["json", "binary"])
@pytest.mark.parametrize("batch_length", [1, 64, 10_000])
def test_a_recording_survives_the_wire_bit_by_bit(payload_format: PlayerFormat, batch_length: int) -> None:
    played = recording()
    blocks = decoded(messages_of([played], batch_length=batch_length, payload_format=payload_format), payload_format)
    assert {block.device for block in blocks} == {"a"}
    assert np.array_equal(np.concatenate([block.t_ns for block in blocks]), played.t_ns)
    assert all_values(blocks).tobytes() == played.values.tobytes()


@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50))
def test_every_finite_float32_survives_json(bits: list[int]) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    values = np.where(np.isfinite(values), values, np.float32(0.0))[None, :]
    played = Recording("a", ("x",), np.arange(len(bits)) * 10**9, values)
    decoder = compile_decoder(player_mapping(("x",), "json"), [PLAYER_TOPIC], ("x",), 1.0)
    blocks = [block for m in messages_of([played]) for block in decoder.decode(m.topic, m.payload)]
    assert np.array_equal(all_values(blocks, 1), values)


def test_the_windows_of_the_messages_are_those_of_the_file() -> None:
    played = recording()
    spec = WindowSpec(CHANNELS, 50.0, 20, 10)
    blocks = decoded(messages_of([played], batch_length=33), "json")
    rebuilt = Recording(
        "a",
        CHANNELS,
        np.concatenate([block.t_ns for block in blocks]),
        all_values(blocks),
    )
    for one, other in itertools.zip_longest(cut(played, spec), cut(rebuilt, spec)):
        assert isinstance(one, ClosedWindow)
        assert isinstance(other, ClosedWindow)
        assert one.index == other.index
        assert np.array_equal(one.values, other.values, equal_nan=True)


def test_payloads_stay_below_the_cap_of_the_agent() -> None:
    wide = Recording(
        "a", tuple("abcdefghijkl"), np.arange(5000) * 10**9, np.full((12, 5000), -1.2345678e-30, np.float32)
    )
    sizes = [len(message.payload) for message in messages_of([wide], batch_length=5000)]
    assert max(sizes) < 65_536
    assert sum(sizes) > 5000 * 12 * 10


def test_groups_start_together_and_the_recordings_of_one_follow_each_other() -> None:
    parts = [recording(100, name, group, seed) for seed, (name, group) in enumerate([("a", 1), ("b", 1), ("c", 2)])]
    due = {device: [m.due_s for m in messages_of(parts) if m.device == device] for device in "abc"}
    lasting_s = {one.device: (one.t_ns[-1] - one.t_ns[0]) / 1e9 for one in parts}
    assert due["a"][-1] == pytest.approx(lasting_s["a"])
    assert due["b"][-1] == pytest.approx(lasting_s["a"] + lasting_s["b"])
    assert min(due["b"]) > due["a"][-1]
    assert due["c"][-1] == pytest.approx(lasting_s["c"])


def test_messages_are_due_when_their_newest_sample_was() -> None:
    played = recording(130)
    for message in messages_of([played]):
        assert message.due_s == pytest.approx((message.newest_ns - played.t_ns[0]) / 1e9)
