"""The page as a browser reads it: whole, self-contained, harmless; and drawn by a real one."""

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.report.made import answers, write_data, write_model
from tests.trainer.report.test_facts import facts_of
from trainer.report import Question, ReportOptions, render_page, write_report
from trainer.report.quality import quality_facts

SECTIONS = [
    "model",
    "confusion",
    "classes",
    "calibration",
    "groups",
    "learning-curve",
    "worst",
    "map",
    "importance",
    "novelty",
    "cost",
    "repeat",
]
_VOID = {"meta", "br", "img", "hr", "link", "input"}


class Reader(HTMLParser):
    """Collects what a test asks about, and fails on elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: Counter[str] = Counter()
        self.identifiers: list[str] = []
        self.references: list[str] = []
        self.labels: list[str] = []
        self.sections: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.counts[tag] += 1
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append(str(values["id"]))
        if "id" in values:
            self.identifiers.append(str(values["id"]))
        self.references += [
            str(values[name]) for name in ("src", "href", "xlink:href", "srcset", "action") if name in values
        ]
        if values.get("role") == "img":
            self.labels.append(str(values.get("aria-label") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(model_path: Path, data_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    options = ReportOptions(learning_curve=True, measures_cost=True, commands=("trainer evaluate a.onnx b.npz",))
    write_report(Question(model_path, data_path, out), options, lambda *_: None)
    return out


def test_every_section_is_there_with_its_figures_and_every_figure_in_words(page: Path) -> None:
    reader = read(page.read_text())
    assert reader.sections == SECTIONS
    assert reader.counts["svg"] == len(reader.labels) >= 10
    assert all(len(label) > 20 for label in reader.labels)
    for line in ("trainer evaluate a.onnx b.npz", "Would more data help?", "a window", "sha256"):
        assert line in reader.text


def test_the_page_needs_nothing_from_anywhere(page: Path) -> None:
    text = page.read_text()
    reader = read(text)
    assert [name for name in reader.references if not name.startswith(("#", "data:image/png;base64,"))] == []
    assert not {"script", "link", "iframe", "object", "embed"} & set(reader.counts)
    assert "http" not in text
    assert "@import" not in text
    assert len(reader.identifiers) == len(set(reader.identifiers))


def test_the_same_files_give_the_same_page(model_path: Path, data_path: Path, tmp_path: Path) -> None:
    pages = [tmp_path / "one.html", tmp_path / "two.html"]
    for out in pages:
        write_report(Question(model_path, data_path, out), ReportOptions(made="2031-05-06"), lambda *_: None)
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert "2031-05-06" in pages[0].read_text()


def test_hostile_and_endless_class_names_are_only_names(tmp_path: Path) -> None:
    names = ("<script>alert('x')</script>", "l" * 128)
    data = write_data(tmp_path / "hostile.npz", names)
    out = tmp_path / "hostile.html"
    model = write_model(data, tmp_path / "hostile.onnx")
    write_report(Question(model, data, out), ReportOptions(), lambda *_: None)
    reader = read(out.read_text())
    assert reader.counts["script"] == 0
    assert names[0] in reader.text
    assert names[1] in reader.text


def test_sections_without_facts_say_why() -> None:
    facts = facts_of(answers([0, 1] * 20, [0, 1] * 20))
    text = read(render_page(replace(facts, left_out={"map": "The reason."}))).text
    assert "The reason." in text
    assert "Not one window was named wrongly." in text


def test_more_classes_than_a_matrix_shows_are_a_table_of_mistakes() -> None:
    names = tuple(f"kind {index}" for index in range(35))
    labels = list(range(35)) * 3
    judged = answers(labels, labels, n_classes=35)
    wrong = replace(judged, probabilities=np.roll(judged.probabilities, 1, axis=1))
    small = facts_of(answers([0, 1] * 20, [0, 1] * 20))
    card = small.head.card.model_copy(update={"classes": list(names), "golden": []})
    facts = replace(
        small, head=replace(small.head, card=card), quality=quality_facts(wrong, names, unsure_below=0.5, seed=0)
    )
    text = read(render_page(facts)).text
    assert "A matrix of 35 classes cannot be read" in text
    assert "kind 34" in text


@pytest.fixture(scope="module")
def chromium() -> str:
    """Path of a browser; the test is skipped, visibly, where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no browser is installed: sudo apt-get install chromium")
    return program


def test_a_real_browser_draws_the_page_and_nothing_is_wider_than_it(page: Path, chromium: str, tmp_path: Path) -> None:
    probe = tmp_path / "probe.html"
    script = "<script>document.title = 'width ' + document.documentElement.scrollWidth</script></body>"
    probe.write_text(page.read_text().replace("</body>", script))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    for width in (1200, 500):
        dumped = subprocess.run(
            [chromium, *flags, f"--window-size={width},900", "--dump-dom", probe.as_uri()],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
        assert f"<title>width {width}</title>" in dumped
    picture = tmp_path / "page.png"
    subprocess.run(
        [chromium, *flags, "--window-size=1200,3000", f"--screenshot={picture}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with Image.open(picture) as image:
        colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
    assert image.size == (1200, 3000)
    assert colours is not None
    drawn = {colour: count for count, colour in colours}
    # The accent of the figures, in which the diagonal of the matrix and the bars are drawn, came from the style sheet.
    assert drawn.get((31, 111, 235), 0) > 2000
