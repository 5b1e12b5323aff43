"""Model files written: proven against numpy, guarded, and put in place in one step."""

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas import CARD_METADATA_KEY, ContractError, FeatureBlock, GoldenWindow, ModelCard, NoveltyFacts
from schemas.card import encode_golden_values
from trainer.errors import ExportParityError
from trainer.export.model_graph import FittedModel, build_model
from trainer.export.novelty import METHOD
from trainer.export.numpy_forward import Answers, forward_features
from trainer.export.read import LoadedModel, model_of_bytes, open_session
from trainer.features import IR_VERSION, OPSET

GOLDEN_BUDGET_BYTES = 32 * 1024
"""Most bytes of golden windows in a card (before base64); one window is kept whatever its size."""

PARITY_TOLERANCE = 1e-5
"""Largest difference between a probability of the graph and of numpy in float64."""

_MAX_PARITY_WINDOWS = 1_000


def export_model(
    model: FittedModel,
    card: ModelCard,
    path: str | os.PathLike[str],
    windows: npt.NDArray[np.floating],
    class_indices: npt.NDArray[np.integer],
) -> LoadedModel:
    """Write a model file that answers as the fitted model does, and return it as it was read back.

    The card is completed here with what only the export knows: feature blocks, temperature, novelty, golden windows,
    opset and IR. Same arguments, same bytes.

    Parameters
    ----------
    model : FittedModel
    card : ModelCard
        Its classes, channels and window length must be those of the model.
    path : path
        Where the file goes. It appears whole or not at all; an older file stays until then.
    windows : ndarray of shape (n_windows, n_channels, window_length)
        Training windows: the graph is compared with numpy on them (on at most 1,000, evenly taken), and the golden
        windows are chosen from them.
    class_indices : ndarray of shape (n_windows,), int
        Their classes, -1 = unlabelled.

    Raises
    ------
    ExportParityError
        If a probability differs from numpy's by more than 1e-5, or a label away from a tie differs.
    ContractError
        If the file would not pass the guard, or cannot be written.
    ValueError
        If card, model and windows do not fit each other.
    """
    where = os.fspath(path)
    _check_fit(model, card, windows, class_indices)
    bare = open_session(build_model(model).SerializeToString(deterministic=True))
    unproven = LoadedModel(card, bare, digest="")
    check_parity(model, unproven, windows)
    completed = card.model_copy(
        update={
            "features": [FeatureBlock.model_validate(block.model_dump()) for block in model.extractor.card_blocks],
            "temperature": model.head.temperature,
            "novelty": NoveltyFacts(
                method=METHOD,
                false_alarm_rate=model.novelty.false_alarm_rate,
                parameters={
                    "n_components": model.novelty.components.shape[1],
                    "n_discriminants": model.novelty.projection.shape[1],
                    "shrinkage": model.novelty.shrinkage,
                },
            ),
            "golden": choose_golden_windows(unproven, windows, class_indices),
            "opset": OPSET,
            "ir_version": IR_VERSION,
        }
    )
    metadata = {CARD_METADATA_KEY: completed.model_dump_json(by_alias=True)}
    content = build_model(model, metadata).SerializeToString(deterministic=True)
    proven = model_of_bytes(content, where)
    write_atomically(Path(path), content)
    return proven


def check_parity(model: FittedModel, loaded: LoadedModel, windows: npt.NDArray[np.floating]) -> float:
    """Return the largest difference between a probability of the graph and of numpy.

    Raises
    ------
    ExportParityError
        If it is more than 1e-5, an answer is not finite, or a label differs where the two largest probabilities do not
        lie within 2e-5 of each other.
    """
    if not len(windows):
        return 0.0
    chosen = windows[:: -(-len(windows) // _MAX_PARITY_WINDOWS)].astype(np.float32)
    expected = forward_features(model, model.extractor.transform(chosen))
    got = loaded.run(chosen)
    difference = _difference(got, expected)
    two_largest = np.sort(expected.probabilities, axis=1)[:, -2:]
    is_tie = two_largest[:, 1] - two_largest[:, 0] <= 2.0 * PARITY_TOLERANCE
    has_flipped = bool(((got.labels != expected.labels) & ~is_tie).any())
    # "not <=" and not ">": a NaN must not pass.
    if not difference <= PARITY_TOLERANCE or has_flipped or not np.isfinite(got.novelty).all():
        raise ExportParityError(max_abs_diff=difference, tolerance=PARITY_TOLERANCE)
    return difference


def choose_golden_windows(
    loaded: LoadedModel, windows: npt.NDArray[np.floating], class_indices: npt.NDArray[np.integer]
) -> list[GoldenWindow]:
    """Return one real window per class with the answers of the graph, as many as the budget holds, and at least one.

    Of each class the window of median confidence is taken, among those that are complete and answered rightly where
    there are such: a probability of 1.0 would hide small differences.
    """
    n_bytes = 4 * len(loaded.card.channels) * loaded.card.window_length
    n_golden = max(1, GOLDEN_BUDGET_BYTES // n_bytes)
    chosen = [
        _typical_window(loaded, windows[class_indices == index], index)
        for index in range(len(loaded.card.classes))
        if (class_indices == index).any()
    ][:n_golden]
    golden = []
    for window in chosen:
        # Alone, as a gateway will ask: in a larger batch the last bit may differ.
        answers = loaded.run(window[None])
        golden.append(
            GoldenWindow(
                window=encode_golden_values(window.ravel().tolist()),
                label=int(answers.labels[0]),
                probabilities=[float(value) for value in answers.probabilities[0]],
                novelty=float(answers.novelty[0]),
            )
        )
    return golden


def _typical_window(
    loaded: LoadedModel, windows: npt.NDArray[np.floating], class_index: int
) -> npt.NDArray[np.float32]:
    # A few hundred candidates are as good as all of them.
    candidates = windows[:: -(-len(windows) // 256)].astype(np.float32)
    is_complete = np.isfinite(candidates).all(axis=(1, 2))
    candidates = candidates[is_complete] if is_complete.any() else candidates
    answers = loaded.run(candidates)
    is_right = answers.labels == class_index
    order = np.argsort(answers.probabilities[:, class_index], kind="stable")
    order = order[is_right[order]] if is_right.any() else order
    window: npt.NDArray[np.float32] = candidates[order[len(order) // 2]]
    return window


def write_atomically(path: Path, content: bytes) -> None:
    """Put a file in place in one step: written beside, flushed to the disk, then renamed.

    Raises
    ------
    ContractError
        If it cannot be written; whatever stood there before is still whole.
    """
    beside: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        beside = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a model file is read by a service.
        beside.chmod(0o644)
        beside.replace(path)
        beside = None
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ContractError(os.fspath(path), [f"file: a place to write expected, got: {error.strerror}"]) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def _check_fit(
    model: FittedModel,
    card: ModelCard,
    windows: npt.NDArray[np.floating],
    class_indices: npt.NDArray[np.integer],
) -> None:
    extractor = model.extractor
    if tuple(card.channel_names) != extractor.scaling.channels:
        raise ValueError(f"card: channels {list(extractor.scaling.channels)} expected, got {card.channel_names}")
    if card.window_length != extractor.window_length:
        raise ValueError(f"card: window_length {extractor.window_length} expected, got {card.window_length}")
    if card.sampling_rate_hz != extractor.sampling_rate_hz:
        raise ValueError(f"card: sampling_rate_hz {extractor.sampling_rate_hz} expected, got {card.sampling_rate_hz}")
    if len(card.classes) != model.head.n_classes:
        raise ValueError(f"card: {model.head.n_classes} classes expected, got {len(card.classes)}")
    if class_indices.shape != windows.shape[:1]:
        raise ValueError(f"class_indices: shape {windows.shape[:1]} expected, got {class_indices.shape}")


def _difference(got: Answers, expected: Answers) -> float:
    return float(np.abs(got.probabilities - expected.probabilities).max())
