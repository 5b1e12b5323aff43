"""Paths into JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.codecs.json_paths import compile_path, compile_pick, find


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("x", ("x",)),
        ("data.x", ("data", "x")),
        ("values[0][12].x", ("values", 0, 12, "x")),
        ("[3]", (3,)),
        ('["odd key"].x', ("odd key", "x")),
        ('a["b.c"]["]"]', ("a", "b.c", "]")),
        (r'["quote \" and \u00e9"]', ('quote " and é',)),
        ("['back\\slash']", ("back\\slash",)),
        ("$", ()),
        ("$.x", ("x",)),
        ("$[0]", (0,)),
        ("$state", ("$state",)),  # Homie: the dollar is part of the name
        ("params.temperature:0.tC", ("params", "temperature:0", "tC")),
        ("a.0", ("a", "0")),
    ],
)
def test_path_is_compiled_to_its_steps(text: str, steps: tuple[str | int, ...]) -> None:
    assert compile_path(text) == steps


@pytest.mark.parametrize(
    "text", [".x", "x.", "a..b", "a[", "a[]", "a[-1]", "a[x]", "a]b", "a[0]b", '["a]', "$.", "a.[0]", "[٣]"]
)
def test_text_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a path such as"):
        compile_path(text)


def test_path_that_meets_another_kind_leads_to_nothing() -> None:
    document = {"list": [1, 2], "text": "abc", "number": 5, "null": None, "0": "key"}
    for steps in (("list", "x"), ("list", 2), ("text", 0), ("number", "x"), ("null", "x"), (0,), ("missing", "x")):
        assert find(document, steps) is None


_DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
)
_STEPS = st.lists(st.sampled_from(["a", "b", 0, 1]), max_size=3).map(tuple)


@given(_DOCUMENTS, st.lists(_STEPS, min_size=1, max_size=4))
def test_picking_together_is_picking_one_by_one(document: object, paths: list[tuple[str | int, ...]]) -> None:
    assert compile_pick(paths)(document) == [find(document, steps) for steps in paths]
