"""Windows to features, written once as an ONNX graph: the trainer runs the very nodes that ship.

One job: the builder of graphs, what a window is before any feature is taken (nothing missing, every channel in its own
scale), the blocks `raw`, `summary`, `statistics`, `spectral`, `quantiles`, `minirocket`, `multirocket` and `hydra`,
what is fitted of them on training windows without labels, and the extractor that runs them. What may not enter: heads,
thresholds (they belong to `trainer.export`), files, labels, and any second implementation of a feature in numpy (those
live in the tests).
"""

from trainer.features.block import Block, Features, FittableBlock
from trainer.features.extractor import BLOCKS, FeatureExtractor, blocks_of
from trainer.features.fitting import Probe
from trainer.features.graph import IR_VERSION, OPSET, Graph, Value
from trainer.features.hydra_block import HydraBlock
from trainer.features.minirocket_block import MiniRocketBlock
from trainer.features.multirocket_block import MultiRocketBlock
from trainer.features.quantiles_block import QuantilesBlock
from trainer.features.raw_block import RawBlock
from trainer.features.scaling import ChannelScaling, fit_scaling
from trainer.features.spectral_block import SpectralBlock
from trainer.features.statistics_block import StatisticsBlock
from trainer.features.summary_block import SummaryBlock

__all__ = [
    "BLOCKS",
    "IR_VERSION",
    "OPSET",
    "Block",
    "ChannelScaling",
    "FeatureExtractor",
    "Features",
    "FittableBlock",
    "Graph",
    "HydraBlock",
    "MiniRocketBlock",
    "MultiRocketBlock",
    "Probe",
    "QuantilesBlock",
    "RawBlock",
    "SpectralBlock",
    "StatisticsBlock",
    "SummaryBlock",
    "Value",
    "blocks_of",
    "fit_scaling",
]
