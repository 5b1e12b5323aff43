"""Types of the part of onnxruntime that Telltale calls; the package ships none and re-exports implicitly."""

from collections.abc import Mapping, Sequence
from enum import Enum
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

__version__: str

class GraphOptimizationLevel(Enum):
    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99

class ExecutionMode(Enum):
    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1

class SessionOptions:
    enable_cpu_mem_arena: bool
    enable_mem_pattern: bool
    enable_profiling: bool
    execution_mode: ExecutionMode
    graph_optimization_level: GraphOptimizationLevel
    inter_op_num_threads: int
    intra_op_num_threads: int
    log_severity_level: int
    log_verbosity_level: int
    logid: str
    optimized_model_filepath: str
    use_deterministic_compute: bool
    def __init__(self) -> None: ...
    def add_session_config_entry(self, key: str, value: str, /) -> None: ...
    def add_free_dimension_override_by_name(self, name: str, value: int, /) -> None: ...

class RunOptions:
    log_severity_level: int
    terminate: bool
    def __init__(self) -> None: ...

class NodeArg:
    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> list[int | str | None]: ...
    @property
    def type(self) -> str: ...

class ModelMetadata:
    custom_metadata_map: dict[str, str]
    description: str
    domain: str
    graph_name: str
    producer_name: str
    version: int

class InferenceSession:
    def __init__(
        self,
        path_or_bytes: str | bytes | PathLike[str],
        sess_options: SessionOptions | None = None,
        providers: Sequence[str] | None = None,
        provider_options: Sequence[Mapping[str, str]] | None = None,
    ) -> None: ...
    def get_inputs(self) -> list[NodeArg]: ...
    def get_outputs(self) -> list[NodeArg]: ...
    def get_modelmeta(self) -> ModelMetadata: ...
    def get_providers(self) -> list[str]: ...
    def get_session_options(self) -> SessionOptions: ...
    # Tensors only: sequences, maps and sparse tensors are no outputs of a Telltale model.
    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, npt.NDArray[np.generic]],
        run_options: RunOptions | None = None,
    ) -> list[npt.NDArray[Any]]: ...

def disable_telemetry_events() -> None: ...
def get_available_providers() -> list[str]: ...
def get_device() -> str: ...
def set_default_logger_severity(severity: int, /) -> None: ...
def set_seed(seed: int, /) -> None: ...
