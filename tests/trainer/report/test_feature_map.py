"""The plane of most variance, by whichever Gram matrix is smaller."""

import numpy as np

from trainer.report.feature_map import principal_plane


def test_both_ways_agree_with_the_singular_values() -> None:
    generator = np.random.default_rng(0)
    for shape in ((30, 6), (6, 30)):
        features = generator.standard_normal(shape)
        points, explained = principal_plane(features)
        centred = features - features.mean(axis=0)
        left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        np.testing.assert_allclose(np.abs(points), np.abs(left[:, :2] * sizes[:2]), atol=1e-9)
        np.testing.assert_allclose(explained, sizes[:2] ** 2 / (sizes**2).sum())


def test_windows_that_are_all_the_same_lie_on_one_point() -> None:
    points, explained = principal_plane(np.ones((5, 3)))
    assert not points.any()
    assert explained == (0.0, 0.0)


def test_a_single_feature_gives_a_line() -> None:
    points, explained = principal_plane(np.array([[0.0], [2.0]]))
    assert points.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert explained == (1.0, 0.0)
