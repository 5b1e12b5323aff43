"""From windows to groups of windows that look alike, with the evidence for their number.

One job: place windows by their features, group them, choose and justify the number of groups, describe each group in
words, and turn named groups into labels or into a model. What may not enter: the clustering algorithms themselves
(`trainer.learn`), nodes of graphs (`trainer.export`), printing. Labels that the data may carry are looked at for one
figure only, the agreement that is reported at the end; they never decide anything.
"""

from trainer.cluster.grouping import Group, Grouping, group_windows
from trainer.cluster.names import parse_names
from trainer.cluster.options import ClusterOptions
from trainer.cluster.pipeline import ClusterResult, Files, cluster, cluster_file

__all__ = [
    "ClusterOptions",
    "ClusterResult",
    "Files",
    "Group",
    "Grouping",
    "cluster",
    "cluster_file",
    "group_windows",
    "parse_names",
]
