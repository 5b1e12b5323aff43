"""From a configuration to pipelines that can run: models proven, decoders compiled, every problem found at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_agent.config import AgentConfig, PipelineConfig
from edge_agent.engine import Pipeline
from edge_agent.errors import ModelError
from edge_agent.shell.captures import CAPTURE_REF, capture_spec
from edge_agent.shell.model import Model
from edge_agent.shell.trial import Proofs, load_model
from schemas import ConfigError
from schemas.status import PipelineInfo
from signals import WindowSpec, compile_decoder


@dataclass(frozen=True, slots=True)
class Assembled:
    """One pipeline, ready to run; without a model it collects windows."""

    config: PipelineConfig
    model: Model | None
    pipeline: Pipeline

    @property
    def needs_carry(self) -> bool:
        """Whether its windows depend on samples before them, which a restart must find on disk (hold and linear)."""
        return self.pipeline.spec.policy != "nearest"

    @property
    def ref(self) -> str:
        """name@version of the model; ``capture`` without one."""
        return self.model.card.ref if self.model else CAPTURE_REF

    @property
    def info(self) -> PipelineInfo:
        """What the agent says of it."""
        spec, model = self.pipeline.spec, self.model
        return PipelineInfo(
            name=self.pipeline.name,
            topics=list(self.pipeline.topics),
            model=self.ref,
            digest=model.digest if model else "",
            classes=model.card.classes if model else [],
            channels=list(spec.channels),
            sampling_rate_hz=spec.sampling_rate_hz,
            window_length=spec.window_length,
            hop_length=spec.hop_length,
        )


def assemble(config: AgentConfig, where: str) -> list[Assembled]:
    """The pipelines of a configuration.

    Raises
    ------
    ConfigError
        Names every pipeline that cannot run, and why; and every file of the ``mqtt`` table that cannot be read.
    """
    problems = _unreadable_files(config)
    models: dict[Path, Model] = {}
    proofs = Proofs(config.gateway.state_dir)
    assembled = []
    for index, pipeline in enumerate(config.pipelines):
        path = f"pipelines[{index}]"
        model: Model | None = None
        try:
            if pipeline.model is None:
                spec = capture_spec(pipeline)
            else:
                model = models.get(pipeline.model) or load_model(pipeline.model, proofs)
                models[pipeline.model] = model
                spec = WindowSpec.from_card(model.card, pipeline.deadline_s)
        except (ModelError, ValueError) as error:
            problems.append(f"{path}.model: {error}")
            continue
        try:
            decoder = compile_decoder(pipeline.mapping, pipeline.topics, spec.channels, spec.sampling_rate_hz)
        except ConfigError as error:
            problems += [f"{path}.{problem}" for problem in error.problems]
            continue
        assembled.append(Assembled(pipeline, model, Pipeline(pipeline.name, tuple(pipeline.topics), decoder, spec)))
    if problems:
        raise ConfigError(where, problems)
    return assembled


def _unreadable_files(config: AgentConfig) -> list[str]:
    problems = []
    for name in ("ca_file", "cert_file", "key_file", "password_file"):
        path: Path | None = getattr(config.mqtt, name)
        if path is None:
            continue
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            problems.append(f"mqtt.{name}: a readable file expected, got {path}: {error.strerror or error}")
    return problems
