"""From any data file to labelled windows, and from labelled windows to splits that can be believed.

One job: import, cut, label, split. Cutting itself is `signals`, the code of the gateway; what may not enter:
features, models, metrics, printing. Whatever is wrong with a file becomes one `DatasetError` line that names the
file, the field and what was expected.
"""

from trainer.data.cutting import cut_source, drop_empty, stream_recordings, with_classes
from trainer.data.folds import MAX_FOLDS, MAX_GROUPS, Fold, FoldPlan, overlapping, plan_folds, plan_groups
from trainer.data.plan import CutOptions, CutPlan, GridPolicy, plan_cut, plan_of_card
from trainer.data.reading import ENDINGS, read_source
from trainer.data.source import Arrays, Source, checked_source
from trainer.data.windowed import UNLABELLED, WindowedData

__all__ = [
    "ENDINGS",
    "MAX_FOLDS",
    "MAX_GROUPS",
    "UNLABELLED",
    "Arrays",
    "CutOptions",
    "CutPlan",
    "Fold",
    "FoldPlan",
    "GridPolicy",
    "Source",
    "WindowedData",
    "checked_source",
    "cut_source",
    "drop_empty",
    "overlapping",
    "plan_cut",
    "plan_folds",
    "plan_groups",
    "plan_of_card",
    "read_source",
    "stream_recordings",
    "with_classes",
]
