from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from demo.broker import Broker
from demo.errors import DemoError
from demo.plant import Message, Pump, Room, Site, pump_names, room_names
from demo.plant.messages import truth_message
from demo.plant_demo import check_recorded, record
from demo.record import Recorder, drain_into
from demo.streams import PUMP, ROOM, Stream
from demo.wire import Address
from signals import recordings_from_stream


def load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def recorded(stream: Stream, messages: Iterable[Message]) -> Recorder:
    recorder = Recorder(stream)
    drain_into([recorder], ((message.topic, message.payload) for message in messages))
    return recorder


def test_what_went_through_a_real_broker_comes_back_sample_by_sample(mosquitto_program: str, tmp_path: Path) -> None:
    start_ns = 1_767_600_000_000_000_000
    with Broker.auto("mosquitto") as broker:
        site = Site(pump_names(1, 2), room_names(1, 2), seed=4, start_ns=start_ns)
        recorders, n_messages = record(Address(broker.host, broker.port), site.messages(12.0))
    assert n_messages > 100
    assert recorders["pump"].save(tmp_path / "pump.npz") == 2 * 2400
    arrays = load(tmp_path / "pump.npz")
    assert arrays["channels"].tolist() == list(PUMP.channels)
    assert arrays["classes"].tolist() == list(PUMP.classes)
    assert float(arrays["fs"]) == 200.0
    first, second = recordings_from_stream(arrays, "pump.npz")
    assert (first.device, second.device) == ("pump-01", "pump-02")
    assert first.group != second.group
    pump = Pump("pump-01", seed=4, start_ns=start_ns)
    blocks = [pump.block() for _ in range(6)]
    assert np.array_equal(first.values, np.hstack([values for values, _ in blocks]))
    assert first.class_indices is not None
    assert np.array_equal(first.class_indices, np.hstack([states for _, states in blocks]))
    assert np.abs(first.t_ns - (pump.start_ns + 5_000_000 * np.arange(2400))).max() < 1000


def test_a_sensor_that_reports_on_change_leaves_holes_and_the_truth_fits(tmp_path: Path) -> None:
    recorder = recorded(ROOM, Room("room-01", seed=1, start_ns=0).messages(30.0))
    recorder.save(tmp_path / "room.npz")
    (recording,) = recordings_from_stream(load(tmp_path / "room.npz"), "room.npz")
    assert (np.isfinite(recording.values).sum(axis=0) == 1).all()
    class_indices = recording.class_indices
    assert class_indices is not None
    room = Room("room-01", seed=1, start_ns=0)
    expected: list[tuple[int, str, float]] = []
    for _ in range(int(30.0 * 480 / 10)):
        readings, class_index = room.step()
        expected += [(class_index, channel, value) for channel, value in readings.items()]
    assert class_indices.tolist() == [class_index for class_index, _, _ in expected]
    for position, (_, channel, value) in enumerate(expected):
        assert recording.values[ROOM.channels.index(channel), position] == np.float32(value)


def test_samples_before_the_first_and_after_the_last_truth_are_unlabelled() -> None:
    recorder = recorded(PUMP, [m for m in Pump("pump-01", seed=1, start_ns=0).messages(1.0) if not m.is_truth])
    t_ns = recorder.series()["pump-01"].t_ns
    for at, state in ((50, "idle"), (120, "cavitation"), (150, None)):
        message = truth_message(0.0, "pump-01", int(t_ns[at]), state)
        assert recorder.offer(message.topic, message.payload)
    states = recorder.series()["pump-01"].class_indices
    assert states.tolist() == [-1] * 50 + [0] * 70 + [2] * 30 + [-1] * 50


def test_the_order_in_which_messages_arrive_does_not_matter() -> None:
    messages = list(Pump("pump-01", seed=1, start_ns=0).messages(5.0))
    straight, reverse = recorded(PUMP, messages).series(), recorded(PUMP, messages[::-1]).series()
    assert straight["pump-01"].t_ns.tolist() == sorted(straight["pump-01"].t_ns.tolist())
    one, other = straight["pump-01"], reverse["pump-01"]
    assert np.array_equal(one.values, other.values)
    assert one.class_indices.tolist() == other.class_indices.tolist()


def test_a_message_that_is_refused_is_counted_and_fails_the_step() -> None:
    recorder = Recorder(PUMP)
    assert recorder.offer("plant/pump-01/vibration", b"{")
    assert not recorder.offer("plant/pump-01/elsewhere", b"{}")
    assert sum(recorder.refused.values()) == 1
    with pytest.raises(DemoError, match="1 messages expected, got 1, refused: "):
        check_recorded({"pump": recorder}, 1, 1)
    with pytest.raises(DemoError, match="2 messages expected, got 1"):
        check_recorded({}, 2, 1)


def test_nothing_recorded_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"messages on plant/\{device\}/vibration expected, got none"):
        Recorder(PUMP).save(tmp_path / "pump.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = recorded(PUMP, Pump("pump-01", seed=1, start_ns=0).messages(1.0))
    target = tmp_path / "pump.npz"
    target.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("demo.record.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        recorder.save(target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["pump.npz"]
