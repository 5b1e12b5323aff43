import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from demo.ribbon import Panel, Stretch, draw, true_stretches, write
from signals import Recording

CLASSES = ("idle", "pumping <fast>")


def panel(n_samples: int = 2000, ribbons: Sequence[tuple[str, Sequence[Stretch]]] = ()) -> Panel:
    t_ns = np.arange(n_samples) * 5_000_000
    values = np.stack([np.sin(t_ns / 1e8), np.cos(t_ns / 1e8)]).astype(np.float32)
    values[0, :10] = np.nan
    labels = (np.arange(n_samples) >= n_samples // 2).astype(np.int64)
    recording = Recording("pump-01", ("x", "y"), t_ns, values, labels)
    ribbons = ribbons or [("true", true_stretches(recording, CLASSES))]
    return Panel("pump-01: x & y", ("x", "y"), recording, ribbons, CLASSES, 1.0, "s")


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - what is parsed here was drawn a line above


def rectangles(text: str, height: str = "13") -> list[ET.Element]:
    root = parsed(text)
    return [one for one in root if one.tag.endswith("rect") and one.get("height") == height]


def size(element: ET.Element, name: str) -> float:
    return float(element.attrib[name])


def test_the_ribbon_of_the_truth_changes_where_the_labels_change() -> None:
    first, second = rectangles(draw([panel()]))
    assert first.get("fill") != second.get("fill")
    assert size(second, "x") == pytest.approx(86 + 894 / 2, abs=1.0)
    assert size(first, "width") == pytest.approx(894 / 2, abs=1.5)


def test_a_stretch_without_a_label_has_the_colour_of_nothing() -> None:
    (one,) = rectangles(draw([panel(ribbons=[("agent", [Stretch(0.0, 5.0, None)])])]))
    assert one.get("fill") == "#eceff1"


def test_labels_beyond_the_signal_are_cut_off() -> None:
    found = rectangles(draw([panel(ribbons=[("agent", [Stretch(-9.0, -1.0, "idle"), Stretch(9.0, 99.0, "idle")])])]))
    assert len(found) == 1
    assert size(found[0], "x") + size(found[0], "width") <= 86 + 894 + 1


def test_a_long_signal_is_drawn_by_its_envelope() -> None:
    text = draw([panel(200_000)])
    assert len(text) < 150_000
    (line, _) = [one for one in parsed(text) if one.tag.endswith("polyline")]
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert max(heights) - min(heights) == pytest.approx(96.0, abs=1.5)


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "img" / "signals.svg", [panel(), panel()])
    assert parsed((tmp_path / "img" / "signals.svg").read_text()).get("viewBox") == "0 0 1000 396"
    assert len(list((tmp_path / "img").iterdir())) == 1
