import itertools

import pytest

from trainer.learn.schedules import SCHEDULES, Cosine, Plateau, new_schedule


def test_cosine_rises_to_the_full_rate_and_falls_to_nothing() -> None:
    schedule = Cosine(n_steps=100, n_warm_up=10)
    factors = [schedule.factor(step) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == 0.0
    assert all(later < earlier for earlier, later in itertools.pairwise(factors[10:]))


def test_plateau_halves_after_each_run_of_stale_epochs_and_an_improvement_starts_anew() -> None:
    schedule = Plateau(patience=2, tol=0.1)
    factors = []
    for loss in (1.0, 0.95, 0.5, 0.45, 0.44, 0.43, 0.42, 0.2, 0.2):
        schedule.watch(loss)
        factors.append(schedule.factor(0))
    # Less than 0.1 better is stale: epochs 2 | 4, 5 -> half | 6, 7 -> quarter | 9
    assert factors == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("n_steps", [1, 2, 1000])
def test_every_schedule_moves_on_the_first_step_and_never_over_the_rate(name: str, n_steps: int) -> None:
    schedule = new_schedule(name, n_steps, patience=1, tol=0.0)
    factors = [schedule.factor(step) for step in range(n_steps)]
    assert factors[0] > 0.0
    assert all(0.0 <= factor <= 1.0 for factor in factors)
