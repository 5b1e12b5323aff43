"""Links between the pages lead somewhere, and no page names a place of one machine."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = sorted(
    [*PAGES, *(ROOT / "docs").rglob("*.json"), *(ROOT / "docs").rglob("*.toml"), *(ROOT / "docs").rglob("*.py")]
)

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_MACHINE = re.compile(r"(?<![A-Za-z0-9_.-])/(?:work|tmp|home|root|Users|opt)/|https?://[^\s)\"]*/simple\b")


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def links(page: Path) -> list[str]:
    return _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of the headings."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith(("https://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target.replace("\\_", "_")).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", TEXTS, ids=ids(TEXTS))
def test_no_page_names_a_place_of_one_machine_or_a_package_index(path: Path) -> None:
    assert _MACHINE.findall(path.read_text(encoding="utf-8")) == []


def test_every_page_of_the_documents_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for link in links(page):
            found = (page.parent / link.partition("#")[0]).resolve()
            waiting += [found / "README.md"] if (found / "README.md").is_file() else [found] if found.is_file() else []
    assert [path for path in ids(PAGES) if ROOT / path not in reached] == []


def test_the_table_of_the_contributing_page_is_long_enough_to_be_of_use() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.split("\n\n")[1].splitlines()[2:]]
    assert len(rows) >= 20
    for what, files, tests in rows:
        assert _LINK.findall(files), what
        assert all(link.startswith("tests/") for link in _LINK.findall(tests)), what
        assert _LINK.findall(tests), what
