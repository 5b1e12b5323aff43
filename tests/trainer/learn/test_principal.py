"""Principal components: beside scikit-learn, for tall and for wide matrices."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from trainer.learn.principal import fit_principal_components


@pytest.mark.parametrize("shape", [(80, 6), (6, 80), (20, 20)])
def test_components_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=shape) * np.linspace(3.0, 0.5, shape[1]) + 5.0
    ours = fit_principal_components(X, share=0.8)
    theirs = PCA(n_components=0.8, svd_solver="full").fit(X)
    assert ours.components.shape[1] == theirs.n_components_
    assert ours.explained == pytest.approx(theirs.explained_variance_ratio_)
    assert np.abs(ours.components.T @ theirs.components_.T) == pytest.approx(np.eye(theirs.n_components_), abs=1e-8)
    assert np.abs(ours.apply(X)) == pytest.approx(np.abs(theirs.transform(X)), abs=1e-8)
    largest = np.abs(ours.components).argmax(axis=0)
    assert (ours.components[largest, np.arange(len(largest))] > 0.0).all()


def test_no_more_components_than_allowed_or_than_there_are() -> None:
    generator = np.random.default_rng(1)
    X = generator.normal(size=(50, 3)) @ generator.normal(size=(3, 40))
    assert fit_principal_components(X, share=1.0).components.shape == (40, 3)
    assert fit_principal_components(X, share=1.0, max_components=2).components.shape == (40, 2)


def test_rows_that_are_all_equal_have_no_direction() -> None:
    with pytest.raises(ValueError, match="rows that differ expected, got 5 equal ones"):
        fit_principal_components(np.ones((5, 3)))
