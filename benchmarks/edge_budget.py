"""What features cost at six channels of 128 samples: in our graph, in aeon, and all that ``edge`` chooses from."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contestants import fit_and_judge
from benchmarks.outcome import Outcome
from benchmarks.problems import MADE, Problem
from benchmarks.rival_process import RivalProcess
from benchmarks.table import Table
from trainer.cost import measure_graph
from trainer.data import CutOptions, WindowedData, cut_source, plan_cut, read_source
from trainer.features import FeatureExtractor, blocks_of
from trainer.features.graph import Graph
from trainer.fit.candidates import feature_sets

_SIZES = (500, 1_000, 10_000)
"""Random-convolution features that are asked for; aeon makes the next lower multiple of 84."""

_N_WINDOWS = 64


def features_table(made: Problem, rivals: RivalProcess) -> Table:
    """Random-convolution features of one window at the same sizes, without a classifier on either side."""
    table = Table(
        f"random-convolution features alone, one window, one thread, CPU µs ({MADE})",
        ("features", "trainer's graph in onnxruntime", "aeon's MiniRocket.transform", "aeon's, times trainer's"),
    )
    data = _windows(made)
    for size in _SIZES:
        theirs = rivals.transform(made, size)
        if theirs is None:
            table.notes.append(f"{size:,} features: {rivals.absent or 'aeon gave no figure'}")
            continue
        own_us, n_features = _graph_us(f"minirocket:{size}", data)
        if n_features != theirs[1]:
            table.notes.append(f"{size:,} asked: {n_features:,} features made by trainer, {theirs[1]:,} by aeon")
        table.add(f"{n_features:,}", own_us, theirs[0], theirs[0] / own_us)
    return table


def whole_edge_outcome(made: Problem, work: Path) -> Outcome:
    """A model of all blocks that ``--features edge`` may put together: the dearest that it could become."""
    joined = [feature_set for feature_set in feature_sets("edge", _windows(made)) if feature_set.seat != "alone"]
    sets = [feature_set.name for feature_set in joined]
    parts = {part.partition(":")[0]: part for name in sets for part in name.split("+")}
    return fit_and_judge("+".join(parts.values()), made, 0, work)


def _graph_us(name: str, data: WindowedData) -> tuple[float, int]:
    """CPU microseconds of one window through a graph of features, and how many it makes."""
    extractor = FeatureExtractor.fitted(blocks_of(name), data.windows, data.channels, data.sampling_rate_hz)
    graph = Graph()
    window = graph.input("window", (None, len(data.channels), data.window_length))
    shapes = {"features": (None, extractor.n_features)}
    content = graph.model({"features": extractor.build(window)}, shapes).SerializeToString()
    return measure_graph(content, data.windows[:_N_WINDOWS], where=name).us_per_window_batch_1, extractor.n_features


def _windows(problem: Problem) -> WindowedData:
    source = read_source(problem.path)
    return cut_source(source, plan_cut(source, CutOptions()))[0]
