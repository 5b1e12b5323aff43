"""What needs no labels: driven by scikit-learn without needing it, columns by name, messages for bad input."""

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import trainer
from trainer import GaussianMixture, KMeans, RestrictedBoltzmannMachine
from trainer.learn.arrays import AnyArray
from trainer.learn.estimator import NotFittedError
from trainer.learn.unsupervised import Clusterer

_ROOT = Path(trainer.__file__).resolve().parents[1]
CLUSTERERS = [KMeans, GaussianMixture]
X = np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.8, 0.1]] * 5) + np.linspace(0.0, 0.05, 40).reshape(20, 2)


class Frame(SimpleNamespace):
    """What a data frame shows: columns and an array."""

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> AnyArray:
        return np.array(self.values, dtype=dtype)


def test_scikit_learn_and_scipy_are_not_imported_to_group_rows() -> None:
    program = (
        "import sys; import trainer\n"
        "for one in (trainer.KMeans(2), trainer.GaussianMixture(2)):\n"
        "    one.fit([[0.0], [1.0], [0.1], [0.9]]).predict([[0.0]])\n"
        "try: trainer.KMeans().predict([[0.0]])\n"
        "except ValueError as error: print(type(error).__module__, 'sklearn' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=_ROOT)
    assert done.stderr == ""
    assert done.stdout.strip() == "trainer.learn.estimator False"


@pytest.mark.parametrize("kind", CLUSTERERS)
def test_scikit_learn_drives_the_clusterers(kind: type[KMeans] | type[GaussianMixture]) -> None:
    groups = make_pipeline(StandardScaler(), kind(2, random_state=0)).fit_predict(X)
    assert len(set(groups.tolist())) == 2


@pytest.mark.parametrize("kind", CLUSTERERS)
def test_a_fitted_clusterer_survives_pickling(kind: type[KMeans] | type[GaussianMixture]) -> None:
    groups = kind(2, random_state=0).fit(X)
    assert (pickle.loads(pickle.dumps(groups)).predict(X) == groups.labels_).all()  # noqa: S301
    assert not hasattr(clone(groups), "labels_")


def test_parameters_are_shown_where_they_differ_and_unknown_ones_are_refused() -> None:
    groups = KMeans(3)
    assert repr(groups) == "KMeans(n_clusters=3)"
    assert groups.set_params(tol=0.5) is groups
    assert groups.get_params()["tol"] == 0.5
    with pytest.raises(ValueError, match=r"Invalid parameter \['k'\] for KMeans"):
        groups.set_params(k=1, tol=0.25)
    assert groups.tol == 0.5


@pytest.mark.parametrize("kind", CLUSTERERS)
def test_columns_are_matched_by_name(kind: type[KMeans] | type[GaussianMixture]) -> None:
    frame = Frame(columns=["rms", "mean"], values=X)
    groups: Clusterer = kind(2, random_state=0).fit(frame)
    assert groups.feature_names_in_.tolist() == ["rms", "mean"]
    with pytest.raises(ValueError, match="must be in the same order"):
        groups.predict(Frame(columns=["mean", "rms"], values=X))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        groups.predict(X)
    groups.fit(X)
    assert not hasattr(groups, "feature_names_in_")
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        groups.predict(frame)


@pytest.mark.parametrize("kind", [*CLUSTERERS, RestrictedBoltzmannMachine])
def test_rows_that_cannot_be_used_are_refused(kind: type[KMeans]) -> None:
    one = kind(2, random_state=0)
    with pytest.raises(NotFittedError, match=f"This {kind.__name__} instance is not fitted yet"):
        one.transform(X) if hasattr(one, "transform") else one.predict(X)
    one.fit(X)
    ask = one.transform if hasattr(one, "transform") else one.predict
    cases: tuple[tuple[Any, type[Exception], str], ...] = (
        (X[0], ValueError, "X: expected 2 dimensions"),
        (np.where(X > 0.9, np.nan, X), ValueError, "Input X contains NaN"),
        (np.where(X > 0.9, np.inf, X), ValueError, "Input X contains infinity"),
        (csr_array(X), TypeError, "Sparse input is not supported"),
        (X[:, :1], ValueError, f"X has 1 features, but {kind.__name__} is expecting 2 features"),
    )
    for bad, error, message in cases:
        with pytest.raises(error, match=message):
            ask(bad)
