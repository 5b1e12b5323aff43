"""The learning core: losses, backpropagation, optimisers and the heads, in numpy.

One job: from a matrix ``X`` and labels ``y`` to fitted weights and a calibrated temperature. scipy may be used for
L-BFGS, roots and large triangular systems only: it brings a BLAS of its own, whose threads fight numpy's in small
calls. What may not enter: scikit-learn (it is the oracle of the tests), files, windows, feature extraction, ONNX,
printing. Everything here is a function of its arguments; nothing reads a clock or a global random state.

Conventions, said once: rows come first (``X`` is ``(n_windows, n_features)``), weights are ``(fan_in, fan_out)``,
losses are means in nats, a binary problem has one logit and a problem of ``k > 2`` classes has ``k``.
"""

from trainer.learn.activations import ACTIVATIONS, sigmoid, softmax
from trainer.learn.calibration import careful_temperature, expected_calibration_error, fit_temperature
from trainer.learn.deep_belief import DeepBeliefClassifier
from trainer.learn.estimator import ConvergenceWarning, DataConversionWarning, NotFittedError
from trainer.learn.kmeans import KMeans
from trainer.learn.least_squares import LeastSquares, ridge_path
from trainer.learn.logistic import LogisticClassifier, row_space
from trainer.learn.losses import LOSSES, binary_cross_entropy, cross_entropy, one_vs_rest, squared_error
from trainer.learn.mixture import GaussianMixture
from trainer.learn.mlp import MLPClassifier
from trainer.learn.network import Layer, forward, initialise, loss_and_gradients, probabilities
from trainer.learn.optimisers import OPTIMISERS, SGD, Adam, fit_lbfgs
from trainer.learn.rbm import RestrictedBoltzmannMachine
from trainer.learn.ridge import RidgeClassifier

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "OPTIMISERS",
    "SGD",
    "Adam",
    "ConvergenceWarning",
    "DataConversionWarning",
    "DeepBeliefClassifier",
    "GaussianMixture",
    "KMeans",
    "Layer",
    "LeastSquares",
    "LogisticClassifier",
    "MLPClassifier",
    "NotFittedError",
    "RestrictedBoltzmannMachine",
    "RidgeClassifier",
    "binary_cross_entropy",
    "careful_temperature",
    "cross_entropy",
    "expected_calibration_error",
    "fit_lbfgs",
    "fit_temperature",
    "forward",
    "initialise",
    "loss_and_gradients",
    "one_vs_rest",
    "probabilities",
    "ridge_path",
    "row_space",
    "sigmoid",
    "softmax",
    "squared_error",
]
