"""The scikit-learn API: every check of its suite, messages for bad input, and that it is not needed to run."""

import pickle
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import trainer
from trainer import DeepBeliefClassifier, GaussianMixture, LogisticClassifier, MLPClassifier, RidgeClassifier
from trainer.learn.arrays import AnyArray
from trainer.learn.estimator import Classifier, Estimator, NotFittedError

_ROOT = Path(trainer.__file__).resolve().parents[1]
Kind = type[LogisticClassifier] | type[MLPClassifier] | type[RidgeClassifier]
HEADS: list[Kind] = [LogisticClassifier, MLPClassifier, RidgeClassifier]
X = np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.8, 0.1]] * 5)
Y = np.array(["off", "on", "off", "on"] * 5)


class Frame(SimpleNamespace):
    """What a data frame shows: columns and an array."""

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> AnyArray:
        return np.array(self.values, dtype=dtype)


PUBLIC = [getattr(trainer, name) for name in trainer.__all__]
# The suite looks at the defaults of the class by itself; what it fits dozens of times need not be as large.
SMALL = {DeepBeliefClassifier: DeepBeliefClassifier((64,), min_steps=300)}
VARIANTS = [
    *(pytest.param(SMALL.get(kind) or kind(), id=kind.__name__) for kind in PUBLIC),
    *(
        pytest.param(head, id=repr(head))
        for head in (
            LogisticClassifier(multi_class="one_vs_rest"),
            LogisticClassifier(dtype="float32"),
            MLPClassifier(weight_decay=0.1, dropout=0.1, label_smoothing=0.05, schedule="cosine"),
            RidgeClassifier(criterion="log_loss"),
            GaussianMixture(covariance_type="diag"),
        )
    ),
]


@pytest.mark.parametrize("estimator", VARIANTS)
def test_every_check_of_scikit_learn_holds(estimator: Estimator, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        # The suite warns about estimators that do not inherit from its base class: that is the point of ours.
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    counts = Counter(result["status"] for result in results)
    with capsys.disabled():
        print(f"\n{estimator!r}: check_estimator {dict(counts)}")  # noqa: T201 - the figure is asked for
    failed = {result["check_name"]: repr(result["exception"]) for result in results if result["status"] == "failed"}
    assert failed == {}
    # Fewer would mean that the suite took it for something else.
    assert counts["passed"] >= (50 if isinstance(estimator, Classifier) else 40)
    assert set(counts) <= {"passed", "skipped"}


def test_what_can_be_imported_is_an_estimator_of_this_house() -> None:
    assert len(PUBLIC) >= 7
    assert all(issubclass(kind, Estimator) for kind in PUBLIC)


def test_scikit_learn_is_not_imported_to_fit_and_predict() -> None:
    program = (
        "import sys; import trainer; assert 'scipy' not in sys.modules\n"
        "for head in (trainer.LogisticClassifier(), trainer.MLPClassifier(max_epochs=2), trainer.RidgeClassifier()):\n"
        "    head.fit([[0.0], [1.0], [0.1], [0.9]], [0, 1, 0, 1]).predict([[0.0]])\n"
        "try: trainer.LogisticClassifier().predict([[0.0]])\n"
        "except ValueError as error: print(type(error).__module__, 'sklearn' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=_ROOT)
    assert done.stderr == ""
    assert done.stdout.strip() == "trainer.learn.estimator False"


def test_the_room_offers_its_heads_and_nothing_by_mistake() -> None:
    assert trainer.LogisticClassifier is LogisticClassifier
    with pytest.raises(AttributeError, match="no attribute 'Logistic'"):
        trainer.Logistic  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize("kind", HEADS)
def test_scikit_learn_drives_the_heads(kind: Kind) -> None:
    pipeline = make_pipeline(StandardScaler(), kind())
    assert cross_val_score(pipeline, X, Y, cv=2).shape == (2,)
    name = {LogisticClassifier: "C", MLPClassifier: "l2", RidgeClassifier: "alpha"}[kind]
    search = GridSearchCV(kind(), {name: [0.1, 1.0]}, cv=2).fit(X, Y)
    assert search.best_params_[name] in {0.1, 1.0}


@pytest.mark.parametrize("kind", HEADS)
def test_a_fitted_head_survives_pickling(kind: Kind) -> None:
    head = kind().fit(X, Y)
    assert pickle.loads(pickle.dumps(head)).predict_proba(X).tobytes() == head.predict_proba(X).tobytes()  # noqa: S301
    assert not hasattr(clone(head), "layers_")


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize("kind", HEADS)
def test_a_head_that_was_not_fitted_says_so(kind: Kind, method: str) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet") as caught:
        getattr(kind(), method)(X)
    assert isinstance(caught.value, SklearnNotFittedError)


def test_parameters_are_shown_where_they_differ_and_unknown_ones_are_refused() -> None:
    head = LogisticClassifier(C=3.0)
    assert repr(head) == "LogisticClassifier(C=3.0)"
    assert head.set_params(tol=0.5) is head
    assert head.get_params()["tol"] == 0.5
    with pytest.raises(ValueError, match=r"Invalid parameter \['c'\]"):
        head.set_params(c=1.0, tol=0.25)
    assert head.tol == 0.5


@pytest.mark.parametrize("kind", HEADS)
def test_columns_are_matched_by_name(kind: Kind) -> None:
    frame = Frame(columns=["rms", "mean"], values=X)
    head = kind().fit(frame, Y)
    assert head.feature_names_in_.tolist() == ["rms", "mean"]
    assert (head.predict(frame) == head.predict(Frame(columns=["rms", "mean"], values=X))).all()
    with pytest.raises(ValueError, match="must be in the same order"):
        head.predict(Frame(columns=["mean", "rms"], values=X))
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- kurtosis\n.*now missing:\n- mean"):
        head.predict(Frame(columns=["rms", "kurtosis"], values=X))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        head.predict(X)
    head.fit(X, Y)
    assert not hasattr(head, "feature_names_in_")
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        head.predict(frame)
    with pytest.raises(TypeError, match="all input features have string names"):
        head.fit(Frame(columns=["rms", 1], values=X), Y)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (X[0], ValueError, r"X: expected 2 dimensions .* got shape \(2,\).*Reshape your data"),
        (np.zeros((2, 2, 2)), ValueError, "X: expected 2 dimensions"),
        (np.zeros((0, 2)), ValueError, r"0 sample\(s\)"),
        (np.zeros((20, 0)), ValueError, r"0 feature\(s\) \(shape=\(20, 0\)\)"),
        (X * 1j, ValueError, "Complex data not supported"),
        (np.where(X == 0.8, np.nan, X), ValueError, "Input X contains NaN: row 3, column 0"),
        (np.where(X == 0.8, np.inf, X), ValueError, r"Input X contains infinity \(inf\): row 3, column 0"),
        (csr_array(X), TypeError, r"X: Sparse input is not supported.*toarray"),
        (np.full((20, 2), "a"), ValueError, "could not convert string to float"),
    ],
)
@pytest.mark.parametrize("kind", HEADS)
def test_features_that_cannot_be_used_are_refused(
    kind: Kind, bad: AnyArray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        kind().fit(bad, Y)
    if bad.shape[-1] == 2:
        with pytest.raises(error, match=message):
            kind().fit(X, Y).predict(bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (Y[:3], r"y: expected one label per row of X \(20\), got 3"),
        (np.zeros((20, 2)), r"y should be a 1d array, got an array of shape \(20, 2\)"),
        (np.full(20, "on"), "needs at least 2 classes, got 1 class: on"),
        (np.linspace(0, 1, 20), "Unknown label type: continuous"),
        (np.where(Y == "on", np.nan, 1.0), "Input y contains NaN or infinity: row 1"),
        (np.array([0, 1] * 10, dtype=object), "Unknown label type: unknown"),
        (np.array([0, 1j] * 10), "y: Complex data not supported"),
    ],
)
@pytest.mark.parametrize("kind", HEADS)
def test_labels_that_cannot_be_used_are_refused(kind: Kind, bad: AnyArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind().fit(X, bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ones(3), r"sample_weight: expected shape \(20,\), got \(3,\)"),
        (-np.ones(20), "sample_weight: expected finite weights >= 0"),
        (np.full(20, np.nan), "sample_weight: expected finite weights >= 0"),
        (np.zeros(20), "sample_weight: all weights are zero"),
        (Y == "on", "sample_weight: expected weight on at least 2 classes, only 1 class"),
    ],
)
def test_row_weights_that_cannot_be_used_are_refused(bad: AnyArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogisticClassifier().fit(X, Y, bad)


@pytest.mark.parametrize("kind", HEADS)
def test_another_number_of_features_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match=r"X has 1 features, but \w+ is expecting 2 features as input"):
        kind().fit(X, Y).predict(X[:, :1])


@pytest.mark.parametrize(
    "head",
    [LogisticClassifier(C=0.1), LogisticClassifier(multi_class="one_vs_rest"), MLPClassifier((16,), max_epochs=2)],
    ids=repr,
)
def test_many_classes_of_two_windows_and_features_without_variance_are_fitted(
    head: LogisticClassifier | MLPClassifier,
) -> None:
    generator = np.random.default_rng(0)
    y = np.array([f"part-{number:04d}" for number in range(400)]).repeat(2)
    features = np.repeat(generator.normal(size=(400, 8)), 2, axis=0)
    features[:, 3] = 7.0
    shares = head.fit(features, y).predict_proba(features[:4])
    assert shares.shape == (4, 400)
    assert np.isfinite(shares).all()
    assert head.predict(features[:1])[0].startswith("part-")
