"""No tensor of a graph may have a size that depends on what the sensors say: only then a trial speaks for all windows.

A file could behave on its golden windows and ask for the whole memory once a certain value comes. So an input that
decides about the shape of an output must follow from constants and from the shape of the batch alone. ONNX wants nodes
in topological order (onnx/onnx, docs/IR.md), so one pass is enough.
"""

from __future__ import annotations

from edge_agent.shell.onnx_file import OnnxFile
from edge_agent.shell.protobuf import FormatError

_FROM_SECOND = range(1, 64)
SHAPING_INPUTS = {
    "DFT": range(1, 3),
    "Dropout": range(1, 3),
    "ReduceSum": _FROM_SECOND,
    "Reshape": _FROM_SECOND,
    "Slice": _FROM_SECOND,
    "Split": _FROM_SECOND,
    "Squeeze": _FROM_SECOND,
    "TopK": _FROM_SECOND,
    "Unsqueeze": _FROM_SECOND,
}
"""Operator the guard allows -> positions of the inputs that decide about the shape of its outputs, up to opset 17."""


def check_sizes(found: OnnxFile) -> None:
    """Refuse a graph in which data decide about a size; FormatError names the node."""
    from_data = {"window"}
    for node in found.nodes:
        for position in SHAPING_INPUTS.get(node.op_type, ()):
            if position < len(node.inputs) and node.inputs[position] in from_data:
                raise FormatError(
                    f"node {node.name or node.op_type!r}: sizes that follow from the shape of the batch expected, "
                    f"input {position} depends on the data"
                )
        # Of its input, Shape tells the shape only; and that, by induction, follows from the batch.
        if node.op_type != "Shape" and not from_data.isdisjoint(node.inputs):
            from_data.update(node.outputs)
