"""A small fitted model and its card, for the tests of the export: three kinds of vibration on a 3-axis sensor."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas import Channel, DataFacts, HeadFacts, ModelCard, NoveltyFacts
from schemas.card import example_card
from trainer.export import FittedModel, NetworkHead, fit_novelty, fit_standardiser
from trainer.features import FeatureExtractor, blocks_of, fit_scaling
from trainer.learn import LogisticClassifier, MLPClassifier

CHANNELS = ["acc_x", "acc_y", "acc_z"]
CLASSES = ["idle", "pumping", "cavitation"]
RATE_HZ = 100.0
WINDOW_LENGTH = 64


class Fitted(NamedTuple):
    model: FittedModel
    card: ModelCard
    windows: npt.NDArray[np.float32]
    class_indices: npt.NDArray[np.int64]


def vibrations(n_per_class: int, n_classes: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    class_indices = np.repeat(np.arange(n_classes), n_per_class)
    times = np.arange(WINDOW_LENGTH) / RATE_HZ
    phases = generator.uniform(0.0, 2.0 * np.pi, size=(len(class_indices), 3, 1))
    frequency = np.array([0.0, 12.0, 12.0])[class_indices][:, None, None]
    noise = np.array([0.1, 0.3, 1.5])[class_indices][:, None, None]
    tone = np.sin(2.0 * np.pi * frequency * times + phases) * (frequency > 0)
    windows = tone + noise * generator.normal(size=(len(class_indices), 3, WINDOW_LENGTH))
    windows[:, 2] += 9.81
    return windows.astype(np.float32), class_indices


def fit_example(
    features: str = "statistics+spectral", head: str = "logistic", n_classes: int = 3, seed: int = 0
) -> Fitted:
    windows, y = vibrations(40, n_classes, seed)
    scaling = fit_scaling(windows, CHANNELS)
    blocks = blocks_of(features)
    extractor = FeatureExtractor(blocks, scaling, WINDOW_LENGTH, RATE_HZ, n_threads=1)
    raw = extractor.transform(windows)
    standardiser = fit_standardiser(raw)
    standardised = standardiser.apply(raw)
    if head == "logistic":
        fitted = LogisticClassifier(C=0.1).fit(standardised, y)
        own = NetworkHead.of(fitted.layers_, temperature=1.3, standardiser=standardiser)
    else:
        mlp = MLPClassifier((8, 5), activation=head, max_epochs=20, random_state=0, early_stopping=False)
        own = NetworkHead.of(mlp.fit(standardised, y).layers_, head, 0.8, standardiser=standardiser)
    model = FittedModel(extractor, standardiser, own, fit_novelty(standardised, y))
    return Fitted(model, card_of(n_classes), windows, y)


def card_of(n_classes: int) -> ModelCard:
    return ModelCard(
        name="pump",
        classes=CLASSES[:n_classes],
        channels=[Channel(name=name, unit="m/s2") for name in CHANNELS],
        sampling_rate_hz=RATE_HZ,
        window_length=WINDOW_LENGTH,
        hop_length=WINDOW_LENGTH // 2,
        features=example_card().features,
        head=HeadFacts(kind="logistic"),
        temperature=1.0,
        novelty=NoveltyFacts(method="none", false_alarm_rate=0.5),
        data=DataFacts(sha256="0" * 64, rows_per_class=dict.fromkeys(CLASSES[:n_classes], 40), seed=0),
    )
