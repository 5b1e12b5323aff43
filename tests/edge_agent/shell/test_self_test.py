import logging

import numpy as np
import pytest

from edge_agent.shell.self_test import ECHO_S, LONGEST_ECHO_S, SILENCE_S, SelfTest

TOPIC = "telltale/v1/gw/barrier"


@pytest.fixture(name="test")
def fresh_self_test() -> SelfTest:
    made = SelfTest(TOPIC, ["plant/+/v"])
    made.connected(0.0)
    return made


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_missing_echo_is_said_once_and_kept_as_a_problem(test: SelfTest, caplog: pytest.LogCaptureFixture) -> None:
    for now_s in (0.0, ECHO_S - 0.1, ECHO_S, ECHO_S + 1.0, ECHO_S + 100.0):
        test.turn(now_s)
    assert test.state == "failed"
    assert [line for line in lines(caplog) if TOPIC in line and "does not come back" in line] == test.problems()
    assert len(test.problems()) == 1


def test_echo_waits_behind_what_the_broker_has_to_deliver_first(test: SelfTest) -> None:
    states = []
    for now_s in (ECHO_S - 1.0, *np.arange(ECHO_S, LONGEST_ECHO_S, 4.0).tolist()):
        test.heard(now_s)
        test.turn(now_s)
        states.append(test.state)
    test.turn(LONGEST_ECHO_S)
    assert [*states, test.state] == [*["waiting"] * len(states), "failed"]


def test_late_echo_ends_the_trouble(test: SelfTest) -> None:
    test.turn(ECHO_S)
    test.echoed()
    assert (test.state, test.problems()) == ("passed", [])


def test_refusals_are_said_once_for_each_kind_of_topic(test: SelfTest, caplog: pytest.LogCaptureFixture) -> None:
    test.echoed()
    for device in ("a", "b", "c"):
        test.refused(f"telltale/v1/gw/{device}/label", 0x87)
        test.refused(f"telltale/v1/gw/{device}/event", 0x83)
    assert test.state == "failed"
    assert lines(caplog) == [
        "self-test: the broker refuses messages like telltale/v1/gw/a/label: not authorized by its access control",
        "self-test: the broker refuses messages like telltale/v1/gw/a/event: reason 0x83",
    ]
    assert len(test.problems()) == 2
    test.echoed()
    assert test.state == "failed"


def test_every_connection_is_tested_anew(test: SelfTest) -> None:
    test.refused("telltale/v1/gw/a/label", 0x87)
    test.connected(50.0)
    assert (test.state, test.problems()) == ("waiting", [])


def test_silence_of_the_sensors_is_told_as_silence(test: SelfTest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    test.echoed()
    test.turn(SILENCE_S - 1.0)
    assert lines(caplog) == []
    test.turn(SILENCE_S)
    test.turn(SILENCE_S + 1.0)
    assert [line for line in lines(caplog) if "nothing heard on plant/+/v for 60 s" in line] == lines(caplog)
    assert len(lines(caplog)) == 1
    assert test.state == "passed"


def test_nothing_is_said_of_a_broker_that_is_away(test: SelfTest, caplog: pytest.LogCaptureFixture) -> None:
    test.lost()
    test.turn(1000.0)
    assert (test.state, lines(caplog)) == ("waiting", [])
