"""A page that a person can judge a model by: one HTML file with figures, intervals and warnings, without a network.

One job: facts of a model on data (`quality`, `groups`, `windows`, `inside`, `learning_curve`), figures of the facts
(`charts_*`), the page around the figures (`page`). What may not enter: fitting of models that ship, choosing between
models, anything that answers differently on another day. Every number of the page is computed by a function that
returns plain values and is tested with numbers; charts and template only show.
"""

from trainer.report.build import Question, ReportOptions, gather, write_report
from trainer.report.facts import ReportFacts
from trainer.report.judged import Judged, judge, judge_file
from trainer.report.page import render_page

__all__ = [
    "Judged",
    "Question",
    "ReportFacts",
    "ReportOptions",
    "gather",
    "judge",
    "judge_file",
    "render_page",
    "write_report",
]
