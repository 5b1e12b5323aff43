"""The model card: all that a gateway must know about a model file, stored inside it under ``telltale.card``.

Arrays travel as base64 of little-endian float32, row-major, so that a card is plain JSON.
"""

import base64
import json
import struct
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from schemas.contract import BY_ALIAS, WireContract
from schemas.errors import ContractError

CARD_METADATA_KEY = "telltale.card"
"""Key of the ONNX ``metadata_props`` entry that holds the card as JSON."""

CARD_SCHEMA: Literal["card/1"] = "card/1"
"""Version of this contract. A card of another version is refused, never guessed at."""

_FLOAT32_BYTES = 4

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Channel(WireContract):
    """One measured quantity. Channels are matched by name, never by position."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    unit: str | None = Field(default=None, description="SenML unit symbol (RFC 8428), or none where unknown")
    minimum: float | None = Field(
        default=None, description="Lower end of the sensor's range; values at it count as clipped"
    )
    maximum: float | None = Field(
        default=None, description="Upper end of the sensor's range; values at it count as clipped"
    )


class Grid(WireContract):
    """How samples of any rate and jitter come onto the epoch-anchored grid (DESIGN section 3)."""

    policy: Literal["nearest", "linear", "hold"] = Field(
        default="nearest",
        description="nearest: source at the nominal rate; linear: between neighbours; hold: report-on-change",
    )
    max_age_s: float = Field(
        default=0.0,
        ge=0.0,
        description="hold: a value stands for at most this long; linear: longest gap bridged; 0 = one window length",
    )


class FeatureBlock(WireContract):
    """One block of the feature graph with the parameters it was built with."""

    kind: str = Field(description="What the trainer calls it, for example statistics or minirocket")
    parameters: dict[str, Any] = Field(default_factory=dict)
    n_features: int = Field(ge=1)


class HeadFacts(WireContract):
    """The classifier on top of the features."""

    kind: Literal["logistic", "one-vs-rest", "ridge", "mlp", "deep-belief", "vote", "clusters"]
    hyper_parameters: dict[str, Any] = Field(default_factory=dict)

    def __str__(self) -> str:
        """In words, with its hyper-parameters.

        Examples
        --------
        >>> voices = [{"head": "ridge", "features": "minirocket:500", "alpha": 2.0}, {"head": "logistic", "C": 0.1}]
        >>> str(HeadFacts(kind="vote", hyper_parameters={"voices": voices}))
        'vote of ridge (features = minirocket:500, alpha = 2.0) and logistic (C = 0.1)'
        """
        voices = self.hyper_parameters.get("voices")
        if isinstance(voices, list) and all(isinstance(voice, dict) for voice in voices):
            told = [
                _in_words(str(voice.get("head")), {k: v for k, v in voice.items() if k != "head"}) for voice in voices
            ]
            return f"{self.kind} of {' and '.join(told)}"
        return _in_words(self.kind, self.hyper_parameters)


def _in_words(kind: str, parameters: dict[str, Any]) -> str:
    told = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    return f"{kind} ({told})" if told else kind


class NoveltyFacts(WireContract):
    """How the novelty output was scaled: 1.0 is the threshold."""

    method: str
    false_alarm_rate: float = Field(ge=0.0, le=1.0, description="Expected share of familiar windows with novelty > 1")
    parameters: dict[str, Any] = Field(default_factory=dict)


class DataFacts(WireContract):
    """What the model was fitted on."""

    sha256: Sha256 = Field(description="Digest of the training windows, labels and groups")
    rows_per_class: dict[str, int]
    group_key: str | None = Field(
        default=None, description="What a group is (subject, run, device); none = no groups known"
    )
    n_groups: int = Field(default=0, ge=0)
    seed: int
    libraries: dict[str, str] = Field(
        default_factory=dict, description="Versions of the libraries that fitted the model"
    )


class Metric(WireContract):
    """One measured number with the split it was measured on and its 95 % interval."""

    name: str
    split: str = Field(description="For example 'grouped 5-fold cross-validation'")
    value: float
    low: float | None = None
    high: float | None = None
    n_windows: int = Field(default=0, ge=0)


class GoldenWindow(WireContract):
    """One input with the answer that the model must give: a gateway reproduces it before it believes the file."""

    window: str = Field(description="base64 of little-endian float32, shape (n_channels, window_length), row-major")
    label: int = Field(ge=0, description="class index")
    probabilities: list[float]
    novelty: float


class ModelCard(WireContract):
    """All that a gateway must know about a model file.

    Examples
    --------
    >>> card = example_card()
    >>> parse_card(card.model_dump_json(), where="m.onnx") == card
    True
    >>> card.window_s
    0.5
    """

    schema_version: Literal["card/1"] = Field(default=CARD_SCHEMA, alias="schema")
    name: ModelName
    version: Version = "1"
    classes: Annotated[list[str], Field(min_length=2)]
    channels: Annotated[list[Channel], Field(min_length=1)]
    sampling_rate_hz: float | None = Field(default=None, gt=0.0, description="none: classifies windows, not streams")
    window_length: int = Field(ge=1, description="samples")
    hop_length: int = Field(ge=1, description="samples from start to start")
    grid: Grid = Grid()
    min_present: float = Field(default=0.9, gt=0.0, le=1.0, description="below this share the engine says incomplete")
    features: list[FeatureBlock]
    head: HeadFacts
    temperature: float = Field(gt=0.0)
    unsure_below: float = Field(default=0.0, ge=0.0, le=1.0, description="a confidence below this is 'unsure'")
    novelty: NoveltyFacts
    data: DataFacts
    metrics: list[Metric] = Field(default_factory=list)
    golden: list[GoldenWindow] = Field(default_factory=list)
    opset: int = 17
    ir_version: int = 8
    notes: list[str] = Field(default_factory=list, description="What a reader should know, one sentence each")

    model_config = BY_ALIAS

    @model_validator(mode="after")
    def _names_are_unique_and_golden_windows_fit(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            message = f"channels: unique names expected, got {names}"
            raise ValueError(message)
        if len(set(self.classes)) != len(self.classes):
            message = f"classes: unique names expected, got {self.classes}"
            raise ValueError(message)
        n_values = len(names) * self.window_length
        for index, golden in enumerate(self.golden):
            if len(golden_bytes(golden)) != n_values * _FLOAT32_BYTES:
                message = f"golden.{index}.window: {n_values} values expected"
                raise ValueError(message)
            if len(golden.probabilities) != len(self.classes) or golden.label >= len(self.classes):
                message = f"golden.{index}: {len(self.classes)} classes expected"
                raise ValueError(message)
        return self

    @property
    def channel_names(self) -> list[str]:
        """Names of the channels in the order of the model input."""
        return [channel.name for channel in self.channels]

    @property
    def window_s(self) -> float | None:
        """Length of a window in seconds; None where the rate is unknown."""
        return None if self.sampling_rate_hz is None else self.window_length / self.sampling_rate_hz

    @property
    def ref(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


def encode_golden_values(values: list[float]) -> str:
    """Base64 of the values as little-endian float32.

    Examples
    --------
    >>> encode_golden_values([1.0])
    'AACAPw=='
    """
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")


def golden_bytes(golden: GoldenWindow) -> bytes:
    """The values of a golden window as little-endian float32, flat.

    Raises
    ------
    ValueError
        If the text is no base64 of whole float32 values.
    """
    raw = base64.b64decode(golden.window, validate=True)
    if len(raw) % _FLOAT32_BYTES:
        message = f"golden window: whole float32 values expected, got {len(raw)} bytes"
        raise ValueError(message)
    return raw


def parse_card(text: str | bytes, where: str) -> ModelCard:
    """The card in ``text``, or one ContractError that names every problem.

    Raises
    ------
    ContractError
        If the text is no JSON, is a card of another version, or breaks the contract.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(where, [f"model card: JSON expected, got {error}"]) from error
    version = raw.get("schema") if isinstance(raw, dict) else None
    if version != CARD_SCHEMA:
        raise ContractError(where, [f"model card: version {CARD_SCHEMA!r} expected, got {version!r}"])
    try:
        return ModelCard.model_validate(raw)
    except ValidationError as error:
        raise ContractError(where, describe_problems(error, prefix="model card: ")) from error


def describe_problems(error: ValidationError, prefix: str = "") -> list[str]:
    """One line a problem: path, what was expected, what came.

    Examples
    --------
    >>> try:
    ...     Channel.model_validate({"name": ""})
    ... except ValidationError as error:
    ...     describe_problems(error)
    ["name: String should have at least 1 character, got ''"]
    """
    lines = []
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"]) or "whole"
        got = "" if problem["type"] in {"missing", "value_error"} else f", got {_short(problem['input'])}"
        lines.append(f"{prefix}{path}: {problem['msg']}{got}")
    return lines


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def example_card() -> ModelCard:
    """A small valid card, for examples and documentation."""
    return ModelCard(
        name="pump",
        classes=["idle", "pumping"],
        channels=[Channel(name="acc_x", unit="m/s2")],
        sampling_rate_hz=8.0,
        window_length=4,
        hop_length=2,
        features=[FeatureBlock(kind="raw", n_features=4)],
        head=HeadFacts(kind="logistic", hyper_parameters={"C": 1.0}),
        temperature=1.0,
        novelty=NoveltyFacts(method="mahalanobis", false_alarm_rate=0.01),
        data=DataFacts(sha256="0" * 64, rows_per_class={"idle": 1, "pumping": 1}, seed=0),
        golden=[
            GoldenWindow(
                window=encode_golden_values([0.0, 0.5, 1.0, 1.5]), label=0, probabilities=[0.9, 0.1], novelty=0.2
            )
        ],
    )
