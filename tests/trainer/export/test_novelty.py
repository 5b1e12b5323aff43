from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage

from trainer.export import NoveltyModel, fit_novelty
from trainer.export.novelty import MAX_COLUMNS, MAX_WEIGHTS
from trainer.export.novelty_columns import choose_columns
from trainer.features import Graph


def _two_classes(n: int = 300, n_features: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = np.arange(n) % 2
    features = generator.normal(size=(n, n_features))
    features[:, 0] += 8.0 * y
    return features, y


def _in_graph(model: NoveltyModel, features: np.ndarray) -> np.ndarray:
    graph = Graph()
    output = model.build(graph.input("features", (None, features.shape[1])))
    proto = graph.model({"novelty": output}, {"novelty": (None,)})
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"features": features.astype(np.float32)})[0])


@pytest.mark.parametrize(("n", "n_features"), [(300, 12), (300, 80), (20, 200), (4, 3), (200, 1000)])
def test_the_graph_says_what_numpy_says(n: int, n_features: int) -> None:
    features, y = _two_classes(n, n_features)
    model = fit_novelty(features, y)
    others = np.random.default_rng(1).normal(size=(50, n_features)) * 3.0
    for rows in (features, others):
        np.testing.assert_allclose(_in_graph(model, rows), model.novelty(rows), rtol=2e-3, atol=2e-3)


def test_a_place_between_two_classes_is_novel() -> None:
    features, y = _two_classes()
    model = fit_novelty(features, y)
    at_class_0, between = np.zeros((1, 12)), np.zeros((1, 12))
    between[0, 0] = 4.0
    assert model.novelty(at_class_0)[0] < 1.0 < model.novelty(between)[0]


def test_a_direction_never_seen_is_novel() -> None:
    features, y = _two_classes(n_features=60)
    features[:, 40:] = 0.0
    model = fit_novelty(features, y, n_components=8)
    strange = np.zeros((1, 60))
    strange[0, 50:55] = 10.0
    assert model.novelty(strange)[0] > 1.0


@pytest.mark.parametrize(("n", "n_features"), [(400, 10), (40, 30), (25, 60)])
def test_the_shrinkage_is_that_of_ledoit_and_wolf(n: int, n_features: int) -> None:
    features = np.random.default_rng(0).normal(size=(n, n_features)) * np.linspace(0.1, 3.0, n_features)
    model = fit_novelty(features, np.zeros(n, np.int64), shrinkage=0.0)
    expected = ledoit_wolf_shrinkage(features - features.mean(axis=0), assume_centered=True)
    assert model.shrinkage == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("n", "n_features"), [(400, 20), (30, 80)])
def test_class_means_are_apart_by_their_mahalanobis_distance(n: int, n_features: int) -> None:
    features, y = _two_classes(n, n_features)
    model = fit_novelty(features, y, shrinkage=0.3)
    means = np.stack([features[y == index].mean(axis=0) for index in (0, 1)])
    within = features - means[y]
    level, share = np.mean(within**2), model.shrinkage
    covariance = (1.0 - share) * within.T @ within / n + share * level * np.eye(n_features)
    # Discriminants are scaled so that a window of training is 1 from its class, on average of squares.
    scale = np.mean([row @ model.projection @ model.projection.T @ row for row in within])
    assert scale == pytest.approx(1.0, rel=1e-4)
    gap = means[1] - means[0]
    direction = np.linalg.solve(covariance, gap)
    spread = np.mean((within @ direction) ** 2) / (gap @ direction)
    assert np.sum((gap @ model.projection) ** 2) == pytest.approx(gap @ direction / spread, rel=1e-3)


def test_of_many_features_it_looks_at_few_and_stays_small() -> None:
    features, y = _two_classes(60, 20_000)
    features[:, 15_001] += 9.0 * y
    model = fit_novelty(features, y)
    assert len(model.columns) == MAX_COLUMNS
    assert model.n_weights <= MAX_WEIGHTS
    assert {0, 15_001} <= set(model.columns.tolist())
    assert len(fit_novelty(features, y, max_columns=10).columns) == 10


def test_a_thousand_classes_are_fitted_with_fewer_columns() -> None:
    features = np.random.default_rng(0).normal(size=(2000, 300))
    model = fit_novelty(features, np.arange(2000) % 1000)
    assert len(model.columns) == 32
    assert model.projection.shape[1] <= 16
    assert np.isfinite(_in_graph(model, features[:3])).all()


def test_twins_do_not_crowd_out_other_columns() -> None:
    generator = np.random.default_rng(0)
    y = np.arange(200) % 2
    features = generator.normal(size=(200, 40))
    features[:, :20] = (features[:, :1] + 9.0 * y[:, None]) + 1e-3 * features[:, :20]  # one measurement, 20 times
    features[:, 30] += 3.0 * y
    chosen = choose_columns(features, y, 4, share_between=0.5)
    assert np.sum(chosen < 20) <= 2
    assert 30 in chosen


@pytest.mark.parametrize("value", [1e30, -1e30, 0.0, 10.0])
def test_novelty_is_finite_for_any_standardised_input(value: float) -> None:
    features, y = _two_classes()
    model = fit_novelty(features, y)
    rows = np.clip(np.full((2, 12), value), -10.0, 10.0)  # as the standardiser does
    assert np.isfinite(_in_graph(model, rows)).all()
    assert (_in_graph(model, rows) >= 0.0).all()


def test_one_class_alone_and_two_windows_a_class_give_a_model() -> None:
    features, y = _two_classes()
    single = fit_novelty(features[y == 0], np.zeros(150, int))
    np.testing.assert_allclose(_in_graph(single, features), single.novelty(features), rtol=2e-3)
    assert single.novelty(features[y == 1]).min() > np.median(single.novelty(features[y == 0]))
    few = fit_novelty(features[:4], y[:4])
    assert np.isfinite(_in_graph(few, features)).all()


def test_a_stated_threshold_is_kept_with_its_rate() -> None:
    features, y = _two_classes()
    model = fit_novelty(features, y).with_stated(2.5, 0.07)
    assert (model.threshold, model.false_alarm_rate) == (2.5, 0.07)
    np.testing.assert_allclose(model.novelty(features), model.scores(features) / 2.5)


@pytest.mark.parametrize(
    ("n", "rate", "threshold", "stated"), [(99, 0.1, 90.0, 0.1), (99, 0.01, 99.0, 0.01), (9, 0.01, 9.0, 0.1)]
)
def test_the_threshold_is_the_conformal_quantile(n: int, rate: float, threshold: float, stated: float) -> None:
    features, y = _two_classes()
    # By hand: of the scores 1 ... n the ceil((n + 1) (1 - rate))-th, or the largest.
    model = fit_novelty(features, y).with_threshold(np.arange(n, 0, -1.0), rate)
    assert model.threshold == threshold
    assert model.false_alarm_rate == pytest.approx(stated)


def test_familiar_windows_cross_the_threshold_at_the_stated_rate() -> None:
    features, y = _two_classes(n=4000)
    model = fit_novelty(features[:1000], y[:1000])
    model = model.with_threshold(model.scores(features[1000:2000]), false_alarm_rate=0.05)
    assert np.mean(model.novelty(features[2000:]) > 1.0) == pytest.approx(0.05, abs=0.02)


def test_unlabelled_windows_do_not_count() -> None:
    features, y = _two_classes()
    strange = np.vstack([features, 100.0 + np.zeros((50, 12))])
    labels = np.concatenate([y, np.full(50, -1)])
    np.testing.assert_allclose(fit_novelty(strange, labels).scores(features), fit_novelty(features, y).scores(features))


@pytest.mark.parametrize("features", [np.zeros((6, 4)), np.ones((1, 4)), np.eye(4)], ids=["constant", "one", "few"])
def test_degenerate_features_still_give_finite_novelty(features: np.ndarray) -> None:
    model = fit_novelty(features, np.arange(len(features)) % 2)
    for rows in (features, features + 10.0):
        assert np.isfinite(_in_graph(model, rows)).all()
    assert (_in_graph(model, features + 10.0) > 1.0).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    features, y = _two_classes()
    with pytest.raises(ValueError, match="at least one labelled window"):
        fit_novelty(features, np.full(len(y), -1))
    with pytest.raises(ValueError, match="as many classes expected"):
        fit_novelty(features, y[:-1])
    model = fit_novelty(features, y)
    with pytest.raises(ValueError, match="max_columns: at least 1"):
        fit_novelty(features, y, max_columns=0)
    with pytest.raises(ValueError, match="threshold: a finite number"):
        model.with_stated(np.inf, 0.1)
    with pytest.raises(ValueError, match="false_alarm_rate: a number between 0 and 1"):
        model.with_stated(1.0, 0.0)
    with pytest.raises(ValueError, match=r"finite scores expected, got 0"):
        model.with_threshold(np.array([]))
    with pytest.raises(ValueError, match="finite scores expected, got 2 with 1 not"):
        model.with_threshold(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match=r"between 0 and 1 expected, got 1\.5"):
        model.with_threshold(np.array([1.0]), 1.5)


@pytest.mark.real_data
@pytest.mark.slow
def test_an_activity_that_was_left_out_is_found_on_uci_har(datasets: Path) -> None:
    from sklearn.metrics import roc_auc_score

    from trainer.export import fit_standardiser
    from trainer.features import FeatureExtractor, blocks_of, fit_scaling

    with np.load(datasets / "uci_har.npz", allow_pickle=False) as file:
        windows, y, split, channels = file["X"], file["y"], file["split"], [str(name) for name in file["channels"]]
    train, test = np.flatnonzero(split == 0)[::4], np.flatnonzero(split == 1)[::2]
    extractor = FeatureExtractor(blocks_of("statistics+spectral"), fit_scaling(windows[train], channels), 128, 50.0)
    features, unseen = extractor.transform(windows[train]), extractor.transform(windows[test])
    found = []
    for left_out in range(6):
        known = y[train] != left_out
        standardiser = fit_standardiser(features[known])
        model = fit_novelty(standardiser.apply(features[known]), y[train][known])
        found.append(roc_auc_score(y[test] == left_out, model.scores(standardiser.apply(unseen))))
    # Sitting and standing hide behind each other: a phone in a pocket hardly knows them apart.
    assert np.mean(found) > 0.75
