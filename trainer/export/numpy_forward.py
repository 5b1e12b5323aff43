"""The model from its features on, once more, in numpy and float64: what the exported graph is measured against."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.export.model_graph import FittedModel

FloatArray = npt.NDArray[np.float64]


class Answers(NamedTuple):
    """What a model says about windows.

    Parameters
    ----------
    labels : ndarray of shape (n_windows,), int64
        Class indices.
    probabilities : ndarray of shape (n_windows, n_classes)
    novelty : ndarray of shape (n_windows,)
        0 = typical, 1 = at the threshold.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.floating]
    novelty: npt.NDArray[np.floating]


def forward_features(model: FittedModel, features: npt.NDArray[np.floating]) -> Answers:
    """Return the answers of the fitted model, in float64.

    Parameters
    ----------
    model : FittedModel
    features : ndarray of shape (n_windows, n_features)
        As the extractor of the model gives them.
    """
    standardised = model.standardiser.apply(features)
    rows = model.head.probabilities(standardised)
    return Answers(rows.argmax(axis=1), rows, model.novelty.novelty(standardised))
