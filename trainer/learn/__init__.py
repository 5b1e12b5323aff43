"""The learning core: losses, backpropagation, optimisers and the two heads, in numpy.

One job: from a matrix ``X`` and labels ``y`` to fitted weights and a calibrated temperature. scipy may be used for
L-BFGS only. What may not enter: scikit-learn (it is the oracle of the tests), files, windows, feature extraction,
ONNX, printing. Everything here is a function of its arguments; nothing reads a clock or a global random state.

Conventions, said once: rows come first (``X`` is ``(n_windows, n_features)``), weights are ``(fan_in, fan_out)``,
losses are means in nats, a binary problem has one logit and a problem of ``k > 2`` classes has ``k``.
"""

from trainer.learn.activations import ACTIVATIONS, sigmoid, softmax
from trainer.learn.calibration import expected_calibration_error, fit_temperature
from trainer.learn.estimator import ConvergenceWarning, DataConversionWarning, NotFittedError
from trainer.learn.logistic import LogisticClassifier
from trainer.learn.losses import LOSSES, binary_cross_entropy, cross_entropy
from trainer.learn.mlp import MLPClassifier
from trainer.learn.network import Layer, forward, initialise, loss_and_gradients, probabilities
from trainer.learn.optimisers import OPTIMISERS, SGD, Adam, fit_lbfgs

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "OPTIMISERS",
    "SGD",
    "Adam",
    "ConvergenceWarning",
    "DataConversionWarning",
    "Layer",
    "LogisticClassifier",
    "MLPClassifier",
    "NotFittedError",
    "binary_cross_entropy",
    "cross_entropy",
    "expected_calibration_error",
    "fit_lbfgs",
    "fit_temperature",
    "forward",
    "initialise",
    "loss_and_gradients",
    "probabilities",
    "sigmoid",
    "softmax",
]
