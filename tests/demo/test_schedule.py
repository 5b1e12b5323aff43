from itertools import islice, pairwise

import numpy as np
import pytest

from demo.plant.schedule import Episode, device_rng, episodes


def stays(seed: int = 0, n_states: int = 4, count: int = 200) -> list[Episode]:
    return list(islice(episodes(np.random.default_rng(seed), n_states=n_states, mean_s=10.0, least_s=5.0), count))


def test_episodes_follow_each_other_without_a_hole() -> None:
    found = stays()
    assert found[0].start_s == 0.0
    assert all(one.end_s == following.start_s for one, following in pairwise(found))


def test_a_device_never_goes_from_a_state_to_the_same_state() -> None:
    found = stays(n_states=2)
    assert all(one.class_index != following.class_index for one, following in pairwise(found))


def test_every_state_comes_equally_often() -> None:
    counts = np.bincount([one.class_index for one in stays(count=200)], minlength=4)
    assert counts.tolist() == [50, 50, 50, 50]


def test_durations_have_the_mean_that_was_asked_for_and_spread() -> None:
    durations = [one.end_s - one.start_s for one in stays(count=2000)]
    assert np.mean(durations) == pytest.approx(10.0, rel=0.05)
    assert np.std(durations) > 2.0
    assert min(durations) >= 5.0


def test_the_order_of_states_differs_from_seed_to_seed() -> None:
    orders = {tuple(one.class_index for one in stays(seed, count=12)) for seed in range(8)}
    assert len(orders) > 4


def test_another_purpose_draws_other_numbers() -> None:
    drawn = {device_rng(1, "pump-01", purpose).random() for purpose in ("noise", "traits", "schedule")}
    assert len(drawn) == 3
