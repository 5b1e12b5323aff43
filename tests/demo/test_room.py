from itertools import pairwise
from typing import Literal

import numpy as np
import orjson
import pytest

from demo.plant import ROOM_CHANNELS, ROOM_STATES, Room
from demo.plant.room import STEP_S, absolute_humidity, relative_humidity

Row = tuple[float, float, int, dict[str, float]]


def simulate(device: str = "room-01", seed: int = 1, hours: float = 24.0) -> tuple[Room, list[Row]]:
    room = Room(device, seed=seed, start_ns=0)
    rows = []
    for _ in range(int(hours * 3600 / STEP_S)):
        readings, class_index = room.step()
        rows.append((room.co2_ppm, room.air_temperature, class_index, readings))
    return room, rows


def slopes(rows: list[Row], state: str, column: Literal[0, 1]) -> list[float]:
    """Change an hour, over every ten minutes of a state."""
    wanted, n_steps = ROOM_STATES.index(state), int(600 / STEP_S)
    return [
        6.0 * (float(rows[at + n_steps][column]) - float(rows[at][column]))
        for at in range(0, len(rows) - n_steps, n_steps)
        if all(row[2] == wanted for row in rows[at : at + n_steps + 1])
    ]


def test_one_seed_gives_one_room() -> None:
    assert simulate(hours=2.0)[1] == simulate(hours=2.0)[1]
    assert simulate(hours=2.0)[1] != simulate(seed=2, hours=2.0)[1]


def test_rooms_and_their_sensors_differ() -> None:
    traits = [Room(f"room-{number:02d}", seed=1, start_ns=0).traits for number in range(12)]
    for name in ("volume", "ventilation", "offsets", "thresholds", "set_point"):
        assert len({getattr(one, name) for one in traits}) == 12, name
    assert len({one.resolution for one in traits}) > 2


def test_people_raise_the_co2_and_a_window_lets_it_out() -> None:
    _, rows = simulate()
    assert np.median(slopes(rows, "meeting", 0)) > 300.0
    assert np.median(slopes(rows, "empty", 0)) < 50.0
    assert min(slopes(rows, "window-open", 0)) < 2.0 * min(slopes(rows, "empty", 0))


def test_an_open_window_cools_the_room() -> None:
    _, rows = simulate()
    assert min(slopes(rows, "window-open", 1)) < -2.0
    assert np.median(slopes(rows, "meeting", 1)) > 0.0


def test_co2_settles_where_breath_and_ventilation_balance() -> None:
    room = Room("room-01", seed=1, start_ns=0)
    room._people, room._exchange = 3, 1.0
    for _ in range(int(12 * 3600 / STEP_S)):
        room._balance()
    # G / (n V) above outdoor air: ASTM D6245, steady state.
    assert room.co2_ppm == pytest.approx(425.0 + 3 * 0.018 * 1e6 / room.traits.volume, rel=1e-4)


def test_nothing_becomes_physically_absurd() -> None:
    for number in range(6):
        room, rows = simulate(f"room-{number:02d}")
        assert all(400.0 < co2 < 6000.0 for co2, _, _, _ in rows)
        assert all(5.0 < celsius < 35.0 for _, celsius, _, _ in rows)
        assert 0.0 < relative_humidity(room.air_temperature, room.water) <= 100.0


def test_a_sensor_speaks_only_when_something_moved_or_it_was_silent_for_long() -> None:
    room = Room("room-02", seed=3, start_ns=0)
    spoken: dict[str, list[tuple[float, float]]] = {name: [] for name in ROOM_CHANNELS}
    for _ in range(2000):
        at_s = room.time_s
        for channel, value in room.step()[0].items():
            spoken[channel].append((at_s, value))
    for channel, reports in spoken.items():
        threshold = room.traits.thresholds[ROOM_CHANNELS.index(channel)]
        for (before_s, before), (at_s, value) in pairwise(reports):
            assert at_s - before_s >= 30.0
            assert abs(value - before) >= threshold or at_s - before_s >= 300.0
            assert at_s - before_s <= 300.0 + STEP_S
    n_reports = sum(len(reports) for reports in spoken.values())
    assert n_reports < 0.25 * 4 * 2000


def test_a_message_holds_only_what_changed() -> None:
    payloads = [
        orjson.loads(one.payload) for one in Room("room-01", seed=1, start_ns=0).messages(5.0) if not one.is_truth
    ]
    assert all(len(payload) == 2 for payload in payloads)
    assert {key for payload in payloads for key in payload} == {"t", *ROOM_CHANNELS}


def test_humidity_goes_both_ways() -> None:
    assert relative_humidity(25.0, absolute_humidity(25.0, 40.0)) == pytest.approx(40.0)
    assert relative_humidity(5.0, absolute_humidity(25.0, 90.0)) == 100.0
