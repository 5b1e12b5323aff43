"""The odd group is named where chance does not explain it, and only there."""

from __future__ import annotations

import numpy as np

from trainer.evaluate import group_facts, wilson_interval


def test_each_group_has_its_accuracy_and_interval_worst_first() -> None:
    right = np.array([True] * 9 + [False] + [True] * 10 + [False] * 5)
    groups = np.array([7] * 10 + [2] * 10 + [-1] * 5)
    facts = group_facts(right, groups, "person")
    assert facts is not None
    assert [(score.name, score.n_windows, score.accuracy) for score in facts.scores] == [
        ("person 7", 10, 0.9),
        ("person 2", 10, 1.0),
    ]
    assert facts.scores[0].interval == wilson_interval(9, 10)
    # Windows of unknown groups count in the whole: 19 of 25.
    assert facts.accuracy == 0.76
    value = facts.as_dict()
    assert value["groups"][0] == {
        "group": "person 7",
        "n_windows": 10,
        "accuracy": 0.9,
        "low": wilson_interval(9, 10)[0],
        "high": wilson_interval(9, 10)[1],
    }
    assert value["odd_group"] is None
    assert facts.sentence() == "accuracy of 2 groups (person): 0.900 to 1.000; none is worse than chance explains"


def test_a_group_far_below_the_others_is_odd_and_named() -> None:
    groups = np.repeat(np.arange(5), 100)
    right = np.ones(500, bool)
    right[300:350] = False
    facts = group_facts(right, groups, "machine")
    assert facts is not None
    assert facts.as_dict()["odd_group"] == "machine 3"
    assert facts.sentence().endswith("odd: machine 3 with 0.500 of 100 windows")


def test_of_many_groups_the_worst_by_chance_is_not_odd() -> None:
    generator = np.random.default_rng(0)
    found = [group_facts(generator.random(3000) < 0.9, np.repeat(np.arange(30), 100), "run") for _ in range(40)]
    n_odd = sum(bool(facts and facts.odd) for facts in found)
    # Each is wrong at 5 % at most; without the correction for 30 comparisons more than half were.
    assert n_odd <= 5


def test_where_no_groups_or_one_are_known_nothing_is_said() -> None:
    right = np.ones(4, bool)
    assert group_facts(right, None, None) is None
    assert group_facts(right, np.array([0, 0, 1, 1]), None) is None
    assert group_facts(right, np.array([3, 3, -1, -1]), "person") is None
