"""A linear head finds the same answers in the few coordinates of a space as on thousands of features."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.fit import space as space_module
from trainer.fit.space import Space, make_space
from trainer.learn.least_squares import LeastSquares


def test_few_features_are_their_own_coordinates() -> None:
    features = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
    space = make_space(features, seed=0)
    assert space.basis is None
    assert space.coordinates.dtype == np.float64
    assert space.coordinates.tolist() == features.tolist()
    assert space.weights_of(np.array([[7.0], [8.0]])).tolist() == [[7.0], [8.0]]


def test_a_ridge_head_is_the_same_in_the_space_of_the_windows() -> None:
    generator = np.random.default_rng(0)
    wide = generator.standard_normal((12, 1600))
    targets = np.where(np.arange(12) % 2 == 0, 1.0, -1.0)[:, np.newaxis]
    space = make_space(wide, seed=0)
    assert space.coordinates.shape == (12, 12)
    assert space.basis is not None
    assert np.allclose(space.basis.T @ space.basis, np.eye(12), atol=1e-9)
    assert np.allclose(space.coordinates @ space.basis.T, wide, atol=1e-9)
    on_features, bias = LeastSquares(wide, targets).solution(10.0)
    in_space, other_bias = LeastSquares(space.coordinates, targets).solution(10.0)
    assert np.allclose(space.weights_of(in_space), on_features, atol=1e-9)
    assert other_bias == pytest.approx(bias)


def test_windows_that_say_the_same_add_no_coordinate() -> None:
    row = np.random.default_rng(1).standard_normal((1, 1600))
    assert make_space(np.repeat(row, 5, axis=0), seed=0).coordinates.shape == (5, 1)


def test_nothing_but_zeros_has_no_coordinates_and_still_weights() -> None:
    space = make_space(np.zeros((4, 1600)), seed=0)
    assert space.coordinates.shape[0] == 4
    assert not np.any(space.coordinates)
    assert space.weights_of(np.zeros((space.coordinates.shape[1], 2))).shape == (1600, 2)


def test_of_many_windows_some_span_the_space_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_module, "MAX_COORDINATES", 20)
    monkeypatch.setattr(space_module, "_N_DRAWN", 20)
    generator = np.random.default_rng(2)
    # 60 windows of 100 features that live in 8 dimensions: 20 drawn windows span them all.
    flat = generator.standard_normal((60, 8)) @ generator.standard_normal((8, 100))
    space = make_space(flat, seed=3)
    assert space.basis is not None
    assert space.coordinates.shape == (60, 8)
    assert np.allclose(space.coordinates @ space.basis.T, flat, atol=1e-3)
    # With full rank something is lost, and which windows were drawn depends on the seed.
    full = generator.standard_normal((60, 100))
    one, same, other = (make_space(full, seed) for seed in (1, 1, 2))
    assert one.coordinates.shape == (60, 20)
    assert np.array_equal(one.coordinates, same.coordinates)
    assert not np.allclose(np.abs(one.coordinates), np.abs(other.coordinates))


def test_a_space_is_a_value() -> None:
    with pytest.raises(AttributeError):
        Space(np.zeros((1, 1)), None).basis = np.zeros((1, 1))  # type: ignore[misc]  # that is what is tested
