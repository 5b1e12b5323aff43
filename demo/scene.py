"""From a performance to the panels of a plot: one device a stream, what was true of it, and what each agent said."""

from __future__ import annotations

from demo.perform import FittedModel, Performance
from demo.ribbon import Panel, Stretch, true_stretches
from demo.score import window_times
from signals import Recording

_MOST_CHANNELS = 3


def performance_panels(performance: Performance) -> list[Panel]:
    """One panel for each stream: the first device that was labelled live."""
    panels = []
    for name, file in performance.files.items():
        models = [model for model in performance.models if model.stream.name == name]
        recording = file.recordings[0]
        stream = models[0].stream
        ribbons = [("true", true_stretches(recording, stream.classes))]
        ribbons += [(model.head, _said(performance, model, recording)) for model in models]
        span_s = float(recording.t_ns[-1] - recording.t_ns[0]) / 1e9
        seconds_per_unit, unit = (3600.0, "h") if span_s > 10_000.0 else (1.0, "s")
        # A sensor that reports on change speaks in many units: the first of its channels tells enough.
        channels = stream.channels[:1] if stream.policy == "hold" else stream.channels[:_MOST_CHANNELS]
        title = f"{recording.device}: {', '.join(channels)}"
        panels.append(Panel(title, channels, recording, ribbons, stream.classes, seconds_per_unit, unit))
    return panels


def _said(performance: Performance, model: FittedModel, recording: Recording) -> list[Stretch]:
    """What one agent said of a device: each label over the middle of its window, as long as a hop."""
    stretches = []
    for (gateway, _), (event, _) in performance.book.arrivals.items():
        if gateway != model.gateway or event.device != recording.device or event.pipeline != model.stream.name:
            continue
        times = window_times(model.card, event.window.index)
        following = window_times(model.card, event.window.index + 1)
        hop_ns = following.start_ns - times.start_ns
        begin_ns = (times.start_ns + times.end_ns - hop_ns) // 2 - int(recording.t_ns[0])
        stretches.append(Stretch(begin_ns / 1e9, (begin_ns + hop_ns) / 1e9, event.label))
    return sorted(stretches)
