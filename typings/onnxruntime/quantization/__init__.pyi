"""The parts of onnxruntime.quantization (1.25 to 1.28) that Telltale calls, as onnxruntime documents them."""

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt

class QuantFormat(Enum):
    QOperator = 0
    QDQ = 1

class QuantType(Enum):
    QInt8 = 0
    QUInt8 = 1

class CalibrationDataReader:
    def get_next(self) -> Mapping[str, npt.NDArray[np.float32]] | None: ...

def quantize_static(
    model_input: Path,
    model_output: Path,
    calibration_data_reader: CalibrationDataReader,
    *,
    quant_format: QuantFormat = ...,
    per_channel: bool = ...,
    weight_type: QuantType = ...,
    op_types_to_quantize: Sequence[str] | None = ...,
    nodes_to_quantize: Sequence[str] | None = ...,
) -> None: ...
def quantize_dynamic(
    model_input: Path,
    model_output: Path,
    *,
    per_channel: bool = ...,
    weight_type: QuantType = ...,
) -> None: ...
