import pytest

from demo import programs
from demo.errors import DemoError
from schemas import LabelEvent
from tests.demo.test_score import event


def by_id(*events: LabelEvent) -> dict[str, LabelEvent]:
    return {one.id: one for one in events}


def test_equal_labels_have_no_differences() -> None:
    assert programs.differences(by_id(event(0, 0.9)), by_id(event(0, 0.9), event(1, 0.9))) == []


def test_every_kind_of_difference_is_told() -> None:
    missing = programs.differences(by_id(event(0, 0.9)), {})
    label = programs.differences(by_id(event(0, 0.9)), by_id(event(0, 0.2)))
    state = programs.differences(by_id(event(0, 0.9)), by_id(event(0, present=0.1)))
    probability = programs.differences(by_id(event(0, 0.9)), by_id(event(0, 0.90001)))
    assert [len(found) for found in (missing, label, state, probability)] == [1, 1, 1, 1]
    assert missing[0].endswith("a label expected, got none")
    assert "idle (ok) expected, got pumping (ok)" in label[0]
    assert "got None (incomplete)" in state[0]
    assert "a difference of 1.0e-05" in probability[0]


def test_a_program_that_fails_is_one_line() -> None:
    with pytest.raises(DemoError, match=r"edge_agent replay: exit code 0 expected, got 2: .*nowhere") as caught:
        programs.run("edge_agent", ["replay", "nowhere.onnx", "nowhere.npz"])
    assert "\n" not in str(caught.value)


def test_programs_report_to_nobody() -> None:
    assert programs.environment()["ORT_DISABLE_TELEMETRY"] == "1"
