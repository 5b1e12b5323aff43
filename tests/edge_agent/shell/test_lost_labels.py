"""What cannot be published is declared: as few gaps as possible, none too early, and nothing settled before them."""

import json
import time
from pathlib import Path

import pytest

from edge_agent.shell.delivery import NO_SUBSCRIBER, Outbox
from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.lost_labels import TELL_WHILE_AWAY_S, LostLabels
from edge_agent.shell.outgoing import Outgoing
from edge_agent.shell.spool import Spool
from schemas import GapEvent
from tests.edge_agent.gateway import AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.mosquitto import Mosquitto

REFUSED = 0x87


def label(index: int, device: str = "d", *, pad: int = 0) -> Outgoing:
    said = {
        "gateway": "gw",
        "device": device,
        "pipeline": "p",
        "model": {"name": "m", "version": "1"},
        "window": {"index": index, "start": f"s{index}", "end": f"e{index}"},
        "pad": "x" * pad,
    }
    return Outgoing("label", f"gw/{device}/label", json.dumps(said).encode(), retain=True, key=("p", device, index))


def outbox(*, limit: int = 100, spool: Spool | None = None) -> Outbox:
    return Outbox(limit=limit, attempts=1, retry_max_s=30.0, patience_s=0.0, spool=spool)


def told(messages: list[Outgoing]) -> list[tuple[str, int, int, str, str, str]]:
    gaps = [GapEvent.model_validate_json(message.payload) for message in messages if message.kind == "gap"]
    return [(gap.device, gap.first_index, gap.last_index, gap.start, gap.end, gap.reason) for gap in gaps]


def test_refused_labels_are_told_as_one_gap_and_owed_until_it_is_accepted() -> None:
    box = outbox()
    box.put_all([label(index) for index in (4, 5, 6)])
    for message in box.take(0.0, 100):
        box.confirmed(message.mid, REFUSED, 0.0)
    box.keep_safe(1.0)
    gaps = box.take(1.0, 100)
    assert told(gaps) == [("d", 4, 6, "s4", "e6", "not_published")]
    assert [gap.topic for gap in gaps] == ["telltale/v1/gw/d/gap"]
    assert box.settled == []
    box.accepted_all([gaps[0].mid], 1.0, lambda since_ns, n: None)
    assert box.settled == [("p", "d", index) for index in (4, 5, 6)]
    assert dict(box.dropped) == {"refused": 3}


def test_a_window_is_settled_when_its_event_and_the_gap_of_its_label_are_accepted() -> None:
    box = outbox()
    box.put_all([label(4), Outgoing("event", "gw/d/event", b"{}", key=("p", "d", 4))])
    of_label, of_event = box.take(0.0, 100)
    box.confirmed(of_label.mid, REFUSED, 0.0)
    box.keep_safe(1.0)
    [gap] = box.take(1.0, 100)
    box.confirmed(gap.mid, 0, 1.0)
    assert box.settled == []
    box.confirmed(of_event.mid, 0, 1.0)
    assert box.settled == [("p", "d", 4)]


def test_a_gap_that_the_broker_refuses_is_counted_and_holds_up_nothing() -> None:
    box = outbox()
    box.put(label(4))
    for now_s in (0.0, 2.0, 4.0):
        for message in box.take(now_s, 100):
            box.confirmed(message.mid, REFUSED, now_s)
        box.keep_safe(now_s)
    assert box.settled == [("p", "d", 4)]
    assert (dict(box.dropped), box.waiting) == ({"refused": 2}, 0)


def test_nothing_is_declared_where_nobody_would_hear_it() -> None:
    box = outbox()
    box.put(label(4))
    for message in box.take(0.0, 100):
        box.confirmed(message.mid, NO_SUBSCRIBER, 0.0)
    box.keep_safe(5.0)
    assert (box.settled, box.take(5.0, 100)) == ([("p", "d", 4)], [])


def test_a_flood_beyond_every_bound_is_told_when_there_is_room_again() -> None:
    box = outbox(limit=10)
    box.put_all([label(index) for index in range(200)])
    n_lost = box.dropped["outbox_full"]
    assert n_lost == 150
    box.keep_safe(1.0)
    assert told(box.take(1.0, 45)) == [], "a full queue does not grow by it"
    box.keep_safe(1.1)
    assert told(box.take(1.1, 100)) == [("d", 0, n_lost - 1, "s0", f"e{n_lost - 1}", "not_published")]


def test_labels_that_left_a_full_spool_are_declared_a_restart_later_too(tmp_path: Path) -> None:
    writer = DiskWriter()

    def spool() -> Spool:
        return Spool(tmp_path, writer, max_bytes=4 * 2**20 + 256 * 1024)

    first = spool()
    box = outbox(limit=1_000, spool=first)
    box.put_all([label(index, pad=900) for index in range(150)])
    box.keep_safe(0.0, all_of_it=True)
    assert first.close(20.0, 1.0)
    second = spool()
    n_before = second.n_kept
    assert 0 < n_before <= 150
    box = outbox(limit=1_000, spool=second)
    box.put_all([label(index, pad=900) for index in range(1_000, 1_250)])
    for now_s in (3.0, 10.0, 20.0, 30.0):
        box.keep_safe(now_s, all_of_it=now_s < 20.0)
        assert writer.wait(20.0)
    box.connected(100.0)
    gaps: list[Outgoing] = []
    kept: set[int] = set()
    for now_s in (100.0, 101.0, 102.0 + TELL_WHILE_AWAY_S, 103.0 + TELL_WHILE_AWAY_S):
        box.keep_safe(now_s)
        for message in box.take(now_s, 1_000):
            if message.kind == "gap":
                gaps.append(message)
            else:
                kept.add(json.loads(message.payload)["window"]["index"])
            box.confirmed(message.mid, 0, now_s)
    lost = {index for _, first_index, last, *_ in told(gaps) for index in range(first_index, last + 1)}
    assert lost
    assert kept | lost >= {*range(1_000, 1_250), *range(n_before)}
    assert box.dropped["spool_full"] > 0
    assert second.close(20.0, 200.0)
    assert writer.close(20.0)


def test_ranges_without_end_become_one_a_device() -> None:
    lost = LostLabels()
    for index in range(0, 5_000, 2):
        assert lost.add("label", label(index).payload, None)
    gaps = told(list(lost.notices(0.0)))
    assert len(gaps) == 1_000
    assert gaps[-1][2] == 4_998


@pytest.mark.parametrize("payload", [b"", b"7", b"[]", b'{"window": 3}', b'{"window": {"index": "x"}}'])
def test_what_is_no_label_is_not_declared(payload: bytes) -> None:
    lost = LostLabels()
    assert not lost.add("label", payload, None)
    assert not lost.add("gap", payload, None)
    assert not lost.add("event", label(1).payload, None)


def test_labels_that_the_broker_refuses_end_in_a_gap_and_their_samples_are_acknowledged(
    mosquitto_program: str, tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite #\ntopic deny telltale/v1/gw/pump-1/label\n")
    acl.chmod(0o600)
    broker = Mosquitto(tmp_path, (f"acl_file {acl}",))
    broker.start()
    start_ms = (int(time.time() * 1000) // 160 + 1) * 160
    config = write_config(tmp_path, broker.port)
    try:
        with (
            Consumer(broker.port) as consumer,
            Publisher(broker.port) as publisher,
            AgentProcess(config, "--set", "delivery.attempts=1"),
        ):
            wait_until(lambda: consumer.of("/availability"), "the agent")
            for step in range(100):
                publisher.sample("pump-1", start_ms + 10 * step, float(step), -float(step))
            wait_until(lambda: consumer.of("/gap"), "a gap")
            wait_until(lambda: consumer.of("/metrics") and consumer.of("/metrics")[-1]["unacknowledged"] == 0, "a rest")
            assert not consumer.labels()
            gaps = consumer.of("/gap")
            metrics = consumer.of("/metrics")[-1]
        assert {(gap["device"], gap["reason"]) for gap in gaps} == {("pump-1", "not_published")}
        declared = {index for gap in gaps for index in range(gap["first_index"], gap["last_index"] + 1)}
        assert len(declared) >= metrics["labels_dropped"]["refused"] - 1 > 0
    finally:
        broker.kill()


def test_a_broker_that_takes_no_label_and_no_metrics_for_their_size_keeps_the_connection(
    mosquitto_program: str, tmp_path: Path
) -> None:
    broker = Mosquitto(tmp_path, ("max_packet_size 450",))
    broker.start()
    start_ms = (int(time.time() * 1000) // 160 + 1) * 160
    try:
        with (
            Consumer(broker.port) as consumer,
            Publisher(broker.port) as publisher,
            AgentProcess(write_config(tmp_path, broker.port)) as agent,
        ):
            wait_until(lambda: consumer.of("/availability"), "the agent")
            for step in range(100):
                publisher.sample("pump-1", start_ms + 10 * step, float(step), -float(step))
            wait_until(lambda: consumer.of("/gap"), "a gap")
            n_gaps = len(consumer.of("/gap"))
            for step in range(100, 400):
                publisher.sample("pump-1", start_ms + 10 * step, float(step), -float(step))
            wait_until(lambda: len(consumer.of("/gap")) > n_gaps, "another one, after metrics were due")
            assert {gap["reason"] for gap in consumer.of("/gap")} == {"not_published"}
            assert not consumer.labels()
            assert agent.log.count("connected to ") == 1, agent.log
    finally:
        broker.kill()
