from dataclasses import replace

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from demo.plant import PUMP_RATE_HZ, PUMP_STATES, Pump
from demo.plant.messages import parse_truth
from signals import FloatArray, IntArray

Array = NDArray[np.float64]


def simulate(device: str = "pump-01", seed: int = 1, n_blocks: int = 60) -> tuple[Pump, FloatArray, IntArray]:
    pump = Pump(device, seed=seed, start_ns=0)
    blocks = [pump.block() for _ in range(n_blocks)]
    return pump, np.hstack([values for values, _ in blocks]), np.hstack([states for _, states in blocks])


def settled(values: FloatArray, class_indices: IntArray, state: str, length: int = 200) -> list[Array]:
    """Windows of a state in which nothing changed, nor shortly before."""
    wanted = PUMP_STATES.index(state)
    return [
        values[:, at : at + length].astype(np.float64)
        for at in range(length, values.shape[1] - length, length)
        if (class_indices[at - length : at + length] == wanted).all()
    ]


def spectrum(windows: list[Array], axis: int = 0) -> tuple[Array, Array]:
    amplitude = [np.abs(np.fft.rfft(window[axis] - window[axis].mean())) for window in windows]
    frequencies = np.asarray(np.fft.rfftfreq(windows[0].shape[1], 1.0 / PUMP_RATE_HZ), np.float64)
    return frequencies, np.asarray(np.mean(amplitude, axis=0))


def test_one_seed_gives_one_pump_to_the_last_bit() -> None:
    _, first, _ = simulate(n_blocks=5)
    _, again, _ = simulate(n_blocks=5)
    _, other, _ = simulate(seed=2, n_blocks=5)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_every_pump_is_its_own() -> None:
    traits = [Pump(f"pump-{number:02d}", seed=1, start_ns=0).traits for number in range(12)]
    for name in ("shaft_hz", "gain", "noise", "yaw", "phase", "resonance_hz"):
        assert len({getattr(one, name) for one in traits}) == 12, name


def test_the_sensor_feels_gravity_through_its_mounting() -> None:
    pump, values, states = simulate()
    still = np.concatenate(settled(values, states, "idle"), axis=1).mean(axis=1)
    assert np.linalg.norm(still) == pytest.approx(9.81 * pump.traits.gain, rel=0.01)
    assert still == pytest.approx(pump.traits.gain * pump.traits.rotation() @ [0.0, 0.0, 9.81], abs=0.05)


def test_an_idle_pump_is_quiet_and_a_running_one_turns_at_its_shaft_rate() -> None:
    pump, values, states = simulate()
    idle, pumping = settled(values, states, "idle"), settled(values, states, "pumping")
    assert np.mean([one.std(axis=1).max() for one in idle]) < 0.3 * np.mean([one.std(axis=1).max() for one in pumping])
    frequencies, amplitude = spectrum(pumping)
    assert frequencies[amplitude.argmax()] == pytest.approx(pump.traits.shaft_hz, abs=1.0)


def test_cavitation_is_broadband_and_pumping_is_lines() -> None:
    _, values, states = simulate()

    def flatness(state: str) -> float:
        _, amplitude = spectrum(settled(values, states, state), axis=2)
        power = amplitude[2:] ** 2
        return float(np.exp(np.log(power).mean()) / power.mean())

    assert flatness("cavitation") > 3.0 * flatness("pumping")


def test_a_damaged_bearing_rings_at_the_resonance_of_the_housing() -> None:
    pump, values, states = simulate()
    frequencies, fault = spectrum(settled(values, states, "bearing-fault"))
    _, healthy = spectrum(settled(values, states, "pumping"))
    near = np.abs(frequencies - pump.traits.resonance_hz) < 12.0
    vane = np.abs(frequencies - pump.traits.n_vanes * pump.traits.shaft_hz) < 3.0
    assert np.sqrt(np.mean(fault[near & ~vane] ** 2)) > 5.0 * np.sqrt(np.mean(healthy[near & ~vane] ** 2))


def test_the_blows_of_a_bearing_come_at_the_ball_pass_frequency() -> None:
    pump, _, _ = simulate(n_blocks=1)
    # A housing so damped that it does not ring shows the blows themselves.
    pump.traits = replace(pump.traits, damping=0.7)
    n_samples, shaft_hz = 4000, pump.traits.shaft_hz
    phase: Array = 2.0 * np.pi * shaft_hz / PUMP_RATE_HZ * np.arange(1.0, n_samples + 1.0)
    blows = pump._bearing(phase, np.ones(n_samples))
    amplitude = np.abs(np.fft.rfft(blows - blows.mean()))
    frequencies = np.fft.rfftfreq(n_samples, 1.0 / PUMP_RATE_HZ)
    band = frequencies < 1.5 * pump.traits.ball_pass_ratio * shaft_hz
    assert frequencies[band][amplitude[band].argmax()] == pytest.approx(pump.traits.ball_pass_ratio * shaft_hz, abs=0.2)


def test_no_seam_between_blocks() -> None:
    _, values, states = simulate()
    steps = np.abs(np.diff(values, axis=1)).max(axis=0)
    at_seams = steps[399::400]
    same_state = states[399:-1:400] == states[400::400]
    # A jump at the edge of a block would be seen in every quiet block; noise of 0.08 m/s² makes steps of at most 0.6.
    quiet = same_state & (states[400::400] == PUMP_STATES.index("idle"))
    assert quiet.sum() > 5
    assert np.median(at_seams[quiet]) < 3.0 * np.median(steps[states[1:] == 0])


def test_messages_hold_the_samples_of_the_blocks_with_their_times() -> None:
    pump = Pump("pump-03", seed=5, start_ns=1_000_000_000_000)
    messages = list(pump.messages(3.0))
    sensor = [orjson.loads(one.payload) for one in messages if not one.is_truth]
    _, values, _ = simulate("pump-03", seed=5, n_blocks=2)
    sent = np.hstack([np.array([one["x"], one["y"], one["z"]]) for one in sensor])
    assert sent.shape == (3, 600)
    assert np.array_equal(sent.astype(np.float32), values[:, :600])
    times = [one["t"] for one in sensor]
    lengths = [len(one["x"]) for one in sensor]
    assert times == (pump.start_ns // 1_000_000 + 5 * np.cumsum([0, *lengths[:-1]])).tolist()
    assert {50 <= length <= 64 for length in lengths[:-1]} == {True}


def test_the_truth_is_told_before_the_samples_it_is_about_and_ends_with_them() -> None:
    messages = list(Pump("pump-01", seed=1, start_ns=0).messages(60.0))
    changes = [told for one in messages if (told := parse_truth(one.topic, one.payload)) is not None]
    assert messages[0].is_truth
    assert changes[-1].state is None
    assert [one.t_ns for one in changes] == sorted(one.t_ns for one in changes)
    assert {one.state for one in changes} == {*PUMP_STATES, None}
    told_ns = -1
    for message in messages:
        if message.is_truth:
            change = parse_truth(message.topic, message.payload)
            assert change is not None
            told_ns = change.t_ns
        else:
            assert message.newest_ns >= told_ns
