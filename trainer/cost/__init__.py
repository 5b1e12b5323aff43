"""What a model costs on a machine: microseconds, bytes and memory, measured and never estimated.

One job: run a model file in a fresh process and say what it took, with the noise; the same for smaller weights beside
float, with what they do to the answers. What may not enter: choosing between models (`trainer.tune`), fitting,
printing.
"""

from trainer.cost.measure import measure_graph, measure_model
from trainer.cost.model_cost import ModelCost
from trainer.cost.weights import RUNTIME_INT8, WeightCost, compare_weights

__all__ = ["RUNTIME_INT8", "ModelCost", "WeightCost", "compare_weights", "measure_graph", "measure_model"]
