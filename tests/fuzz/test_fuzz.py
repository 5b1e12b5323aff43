"""The short form of the fuzzer: some thousands of payloads, the same in every run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.engine import Rejected
from tests.fuzz import judge as judging
from tests.fuzz.__main__ import play
from tests.fuzz.judge import Findings, Judge, judges
from tests.fuzz.mutation import TOKENS, Mutator
from tests.signals.codecs.test_hostile_payloads import DECODERS

N_PAYLOADS = 6_000


def test_mutated_payloads_leave_the_engine_as_windows_gaps_or_counted_refusals() -> None:
    findings = Findings()
    engines = judges(findings)
    mutator = Mutator(20)
    for at in range(N_PAYLOADS):
        play(engines, mutator, at)
    assert findings.broken == []
    assert findings.n_payloads == N_PAYLOADS
    # A fuzzer that is refused at the door, or never, tests nothing.
    assert findings.n_windows > 100
    assert {"not_json", "bad_frame", "missing_field", "bad_time", "not_finite"} <= set(findings.reasons)
    assert sum(judge.engine.counters.rejected.get("internal", 0) for judge in engines) == 0


@pytest.mark.parametrize("name", DECODERS)
@given(messages=st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(TOKENS)), max_size=4))
def test_any_bytes_for_any_codec_are_counted_once(name: str, messages: list[bytes]) -> None:
    findings = Findings()
    judge = Judge(name, findings)
    for payload in messages:
        judge.feed(b"d", payload)
    judge.tick()
    assert findings.broken == []
    assert judge.engine.counters.messages == len(messages)


def test_judge_notices_what_it_is_there_for(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = Findings()
    judge = Judge("json columns", findings)
    with monkeypatch.context() as patch:
        patch.setattr(judge.engine, "receive_burst", _raises)
        judge.feed(b"d", b"{}")
    monkeypatch.setattr(judging, "REASONS", set())
    judge.feed(b"d", b"{")
    monkeypatch.setattr(judge.engine, "_reject", lambda *refusal: Rejected("d", None, "not_json", ""))
    judge.feed(b"d", b"{")
    assert ["left the engine" in findings.broken[0], "'not_json'" in findings.broken[1]] == [True, True]
    assert any("1 refusals told, 0 counted" in problem for problem in findings.broken)


def _raises(*_: object, **__: object) -> None:
    raise ZeroDivisionError
