"""The first way of answering stands until held-out windows speak against it; what is reported was chosen elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data import Fold
from trainer.fit.cross_validation import Setting, Trial
from trainer.fit.recipe import Choice, Recipe, Seat, make_recipe, mean_over_units
from trainer.learn.calibration import careful_temperature

FOLDS = (Fold(np.arange(20, 40), np.arange(20)), Fold(np.arange(20), np.arange(20, 40)))
Y = np.arange(40) % 2


def trial(name: str, probabilities: NDArray[np.float64], losses: tuple[float, float] = (1.0, 1.0)) -> Trial:
    return Trial(Setting(name, 1.0), np.log(probabilities), np.array(losses))


def right_with(confidence: float, n_wrong: int = 0) -> NDArray[np.float64]:
    """Answers to all 40 windows with one confidence, the first ``n_wrong`` of each fold wrong."""
    said = Y.copy()
    said[:n_wrong] = 1 - said[:n_wrong]
    said[20 : 20 + n_wrong] = 1 - said[20 : 20 + n_wrong]
    return np.where(np.eye(2)[said] == 1.0, confidence, 1.0 - confidence)


def seat_of(name: str) -> Seat:
    return "convolution" if name.startswith("convolution") else "alone" if name.startswith("alone") else "level"


def choice(families: dict[str, Trial], *, may_vote: bool = True) -> Choice:
    return Choice(
        families={name: [one] for name, one in families.items()},
        seats={name: seat_of(name) for name in families},
        class_indices=Y,
        units=np.arange(40),
        folds=FOLDS,
        may_vote=may_vote,
    )


def names(recipe: Recipe) -> list[str]:
    return [voice.setting.blocks for voice in recipe.voices]


def test_a_vote_is_the_mean_of_probabilities_by_hand() -> None:
    one = Trial(Setting("a", 1.0), np.log(np.array([[0.9, 0.1]])), np.zeros(1))
    other = Trial(Setting("b", 1.0), np.log(np.array([[0.5, 0.5]])), np.zeros(1))
    # (0.9 + 0.5) / 2 = 0.7; a temperature of 2 takes the square root: sqrt(0.7) / (sqrt(0.7) + sqrt(0.3)) = 0.6044.
    assert Recipe((one, other), (1.0, 1.0), 1.0).probabilities(np.array([0])).tolist() == [pytest.approx([0.7, 0.3])]
    assert Recipe((one, other), (1.0, 1.0), 2.0).probabilities(np.array([0]))[0, 0] == pytest.approx(0.6044, abs=1e-4)


def test_a_voice_without_a_chance_does_not_make_the_vote_infinite() -> None:
    sure = Trial(Setting("a", 1.0), np.array([[800.0, -800.0]]), np.zeros(1))
    found = Recipe((sure, sure), (1.0, 1.0), 0.05).probabilities(np.array([0]))
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1.0)


def test_each_voice_is_calibrated_before_it_speaks() -> None:
    certain = trial("a", right_with(0.9999, n_wrong=4))  # says 99.99 %, right are 80 %
    recipe = make_recipe([certain], Y, np.arange(40))
    assert recipe.temperatures == (careful_temperature(certain.logits, Y),)
    assert 0.7 < recipe.probabilities(np.arange(40)).max() < 0.85


def test_the_first_recipe_stands_where_the_difference_is_the_luck_of_one_unit() -> None:
    # The level is right about two more windows, both of the second of two people; of the first it is worse.
    level = right_with(0.9, 2)
    level[[20, 21]] = 1.0 - level[[20, 21]]
    families = {"convolution": trial("convolution", right_with(0.9, 2)), "level": trial("level", level)}
    people = np.arange(40) // 20
    assert names(replace(choice(families), units=people).best()) == ["convolution"]
    # Spread over as many people as there are windows, the same difference counts.
    assert names(choice(families).best()) != ["convolution"]


def test_another_recipe_takes_its_place_where_held_out_windows_say_so() -> None:
    found = choice({"convolution": trial("convolution", right_with(0.6, 9)), "level": trial("level", right_with(0.97))})
    assert names(found.best()) == ["level"]


def test_of_several_levels_one_has_a_seat_and_all_convolutions_have() -> None:
    families = {
        "convolution 1": trial("convolution 1", right_with(0.9, 2)),
        "convolution 2": trial("convolution 2", right_with(0.9, 2)),
        "level bad": trial("level bad", right_with(0.6, 9)),
        "level good": trial("level good", right_with(0.9, 3)),
    }
    tables = choice(families)._tables(np.arange(40), None)
    voices = [[voice.setting.blocks for voice in table] for table in tables]
    assert voices[:3] == [
        ["convolution 1", "convolution 2"],
        ["convolution 1", "convolution 2", "level good"],
        ["level good"],
    ]
    # A level that answers worse never has a seat that the better one has not.
    assert all("level good" in table for table in voices if "level bad" in table)


def test_one_that_answers_alone_is_never_joined() -> None:
    families = {
        "convolution": trial("convolution", right_with(0.9, 2)),
        "level": trial("level", right_with(0.9, 3)),
        "alone": trial("alone", right_with(0.97)),
    }
    tables = choice(families)._tables(np.arange(40), None)
    assert [len(table) for table in tables if any(voice.setting.blocks == "alone" for voice in table)] == [1]
    assert names(choice(families).best()) == ["alone"]


def test_without_a_vote_the_least_loss_wins_however_small_the_difference() -> None:
    families = {"a": trial("a", right_with(0.9, 2)), "b": trial("b", right_with(0.9, 1))}
    assert names(choice(families, may_vote=False).best()) == ["b"]


def test_what_is_reported_of_a_fold_was_chosen_by_the_others() -> None:
    # "a" is right in the first fold only, "b" in the second only: each fold is answered by what the other asks for.
    a, b = right_with(0.9), right_with(0.9)
    a[20:], b[:20] = 1.0 - a[20:], 1.0 - b[:20]
    found = choice({"a": trial("a", a), "b": trial("b", b)}, may_vote=False).honest_probabilities()
    assert np.all(found.argmax(axis=1) != Y)


def test_rows_that_no_fold_holds_out_have_no_answer() -> None:
    one = Choice(
        {"a": [trial("a", right_with(0.9), (1.0, 0.0))]}, {"a": "level"}, Y, np.arange(40), FOLDS[:1], may_vote=False
    )
    found = one.honest_probabilities()
    assert np.isfinite(found[:20]).all()
    assert np.isnan(found[20:]).all()


def test_an_error_over_units_knows_that_windows_of_one_resemble_each_other() -> None:
    values = np.repeat([0.0, 1.0, 2.0], 100)
    mean, grouped = mean_over_units(values, np.repeat([0, 1, 2], 100))
    # Three units, standard deviation 1: 1 / sqrt(3).
    assert (mean, grouped) == pytest.approx((1.0, 3**-0.5))
    assert mean_over_units(values, np.arange(300))[1] < 0.1 * grouped
    assert mean_over_units(values, np.zeros(300, int))[1] == np.inf
