"""Windows collected without a model: how a pipeline asks for them, and the message each becomes."""

from __future__ import annotations

import base64

from edge_agent.config import PipelineConfig
from schemas import Capture, format_timestamp
from signals import ClosedWindow, WindowSpec
from signals.grid import point_time_ns

CAPTURE_REF = "capture"
"""Stands where a label names its model; no model can be called so, for theirs is name@version."""


def capture_spec(pipeline: PipelineConfig) -> WindowSpec:
    """The windows that ``[pipelines.window]`` asks for.

    Raises
    ------
    ValueError
        If the pipeline has no such table.
    """
    window = pipeline.window
    if window is None:
        message = f"pipeline {pipeline.name}: a table [pipelines.window] expected"
        raise ValueError(message)
    return WindowSpec(
        channels=tuple(window.channels),
        sampling_rate_hz=window.sampling_rate_hz,
        window_length=window.window_length,
        hop_length=window.hop_length,
        policy=window.policy,
        max_age_s=window.max_age_s or window.window_length / window.sampling_rate_hz,
        min_present=window.min_present,
        deadline_s=pipeline.deadline_s,
    )


def capture_of(spec: WindowSpec, window: ClosedWindow, *, gateway: str, pipeline: str, device: str) -> Capture:
    """The message of one window; its id is the same however often it is published.

    Examples
    --------
    >>> import numpy as np
    >>> spec = WindowSpec(("x",), 2.0, 4, 4)
    >>> window = ClosedWindow(3, np.zeros((1, 4), np.float32), 4, 1.0, 0.0, ("x",), ())
    >>> capture = capture_of(spec, window, gateway="pi4", pipeline="pump", device="p1")
    >>> capture.id, capture.state, capture.start, capture.end
    ('p1/pump/3', 'unlabelled', '1970-01-01T00:00:06.000000Z', '1970-01-01T00:00:08.000000Z')
    """
    first = window.index * spec.hop_length
    return Capture(
        id=f"{device}/{pipeline}/{window.index}",
        gateway=gateway,
        device=device,
        window=base64.b64encode(window.values.astype("<f4").tobytes()).decode(),
        channels=list(spec.channels),
        state="unlabelled" if window.present >= spec.min_present else "incomplete",
        pipeline=pipeline,
        index=window.index,
        start=format_timestamp(point_time_ns(first, spec.sampling_rate_hz)),
        end=format_timestamp(point_time_ns(first + spec.window_length, spec.sampling_rate_hz)),
        sampling_rate_hz=spec.sampling_rate_hz,
        n_samples=window.n_samples,
        present=round(window.present, 4),
    )
