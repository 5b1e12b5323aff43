"""What survives on disk, with a real broker and a real process: labels that wait, messages in the journal, alarms."""

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.shell.alarms import AlarmBoard
from tests.edge_agent.gateway import DEADLINE_S, AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.edge_agent.shell.small_disk import fill, remount, small_disk
from tests.edge_agent.test_delivery import Plant, assert_all_labelled, assert_nothing_silent, covered_windows
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.fault

KILLS = int(os.environ.get("TELLTALE_KILLS", "5"))


def rows_of(path: Path) -> int:
    if not path.exists():
        return 0
    connection = sqlite3.connect(path, timeout=DEADLINE_S)
    try:
        return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.OperationalError:  # the table is being made
        return 0
    finally:
        connection.close()


def alarms(consumer: Consumer) -> set[str]:
    told = consumer.of("/alarm")
    return {alarm["code"] for alarm in told[-1]["alarms"]} if told else set()


def metrics(consumer: Consumer) -> dict[str, Any]:
    told = consumer.of("/metrics")
    return told[-1] if told else {}


def run_plant_until(plant: Plant, condition: Callable[[], object], what: str) -> None:
    def has_come() -> bool:
        plant.run_until(time.monotonic() + 0.2)
        return bool(condition())

    wait_until(has_come, what)


def test_nothing_is_spooled_while_the_broker_accepts(broker: Mosquitto, tmp_path: Path) -> None:
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher:
        with AgentProcess(write_config(tmp_path, broker.port)) as agent:
            wait_until(lambda: consumer.of("/availability"), "the agent")
            Plant(publisher, n_devices=5).run_until(time.monotonic() + 4.0)
            assert_all_labelled(publisher, consumer, agent.log)
            assert agent.stop() == 0
        assert not (tmp_path / "state" / "spool.sqlite3").exists()
        assert not (tmp_path / "state" / "journal.sqlite3").exists()


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_labels_of_acknowledged_samples_survive_a_broker_that_is_away_and_a_restart_of_the_agent(
    broker: Mosquitto, tmp_path: Path, ends: str
) -> None:
    """MQTT 3.1.1: samples are acknowledged on receipt, and the broker that had them is killed: the spool is all."""
    agent = AgentProcess(write_config(tmp_path, broker.port), "--set", "mqtt.protocol=3.1.1")
    spool = tmp_path / "state" / "spool.sqlite3"
    with agent:
        with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher:
            wait_until(lambda: consumer.of("/availability"), "the agent")
            plant = Plant(publisher, n_devices=3)
            plant.run_until(time.monotonic() + 1.0)
            os.kill(agent.pid, signal.SIGSTOP)
            plant.run_until(time.monotonic() + 1.0)
            wait_until(lambda: publisher.n_pending == 0, "the broker to accept every sample")
            expected = covered_windows(publisher.accepted)
            before = set(consumer.labels())
        broker.kill()
        os.kill(agent.pid, signal.SIGCONT)
        if ends == "kill":
            wait_until(lambda: rows_of(spool) >= len(expected - before), "the labels to reach the disk")
            agent.kill()
        else:
            wait_until(lambda: "cannot reach the broker" in agent.log, "the agent to notice")
            assert agent.stop() == 0
        assert len(expected - before) > 20
        broker.start()
        with Consumer(broker.port, name="another") as other:
            agent.start()
            wait_until(lambda: not expected - before - set(other.labels()), "the labels of the spool")
            for device in ("pump-0", "pump-1", "pump-2"):
                told = [label["window"]["index"] for label in other.of("/label") if label["device"] == device]
                assert told == sorted(told), "in the order in which they were made"
            wait_until(lambda: rows_of(spool) == 0, "accepted labels to leave the disk")
            newest = max(index for device, index in other.labels() if device == "pump-0")
            with Consumer(broker.port, ["telltale/v1/gw/pump-0/label"], name="late") as late:
                wait_until(lambda: late.messages, "the retained label")
                assert late.messages[0][1]["window"]["index"] == newest


def test_labels_beyond_the_memory_bound_wait_on_disk_for_a_subscriber(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    agent = AgentProcess(config, "--set", "limits.outbox_labels=16", "--set", "delivery.retry_max_s=1")
    with (
        Publisher(broker.port) as publisher,
        Consumer(broker.port, ["telltale/v1/+/metrics"], name="watcher") as watcher,
        agent,
    ):
        wait_until(lambda: watcher.of("/metrics"), "the agent")
        plant = Plant(publisher, n_devices=4)
        plant.run_until(time.monotonic() + 4.0)
        wait_until(lambda: metrics(watcher)["spool_labels"] > 100, "labels on the disk")
        wait_until(lambda: metrics(watcher)["unacknowledged"] < 500, "samples of labels on disk to be acknowledged")
        with Consumer(broker.port) as consumer:
            assert_all_labelled(publisher, consumer, agent.log)
            wait_until(lambda: metrics(watcher)["spool_labels"] == 0, "the disk to be empty again")
            assert metrics(watcher)["labels_dropped"] == {}


def test_disk_full_does_not_stop_the_labels_and_is_said_and_taken_back(broker: Mosquitto, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 12) as folder:
        config = write_config(tmp_path, broker.port)
        agent = AgentProcess(config, "--set", f"gateway.state_dir={folder}", "--set", "delivery.spool_bytes=8388608")
        with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
            wait_until(lambda: consumer.of("/availability"), "the agent")
            plant = Plant(publisher, n_devices=2)
            plant.run_until(time.monotonic() + 3.0)
            wait_until((folder / "ballast").exists, "the ballast")
            assert "disk_full" not in alarms(consumer)
            filler = fill(folder)
            run_plant_until(plant, lambda: "disk_full" in alarms(consumer), "the alarm")
            wait_until(lambda: not (folder / "ballast").exists(), "the ballast to be let go")
            n_labels = len(consumer.of("/label"))
            plant.run_until(time.monotonic() + 2.0)
            wait_until(lambda: len(consumer.of("/label")) > n_labels + 50, "labels to go on")
            filler.unlink()
            run_plant_until(plant, lambda: not alarms(consumer), "the end of the alarm")
            wait_until((folder / "ballast").exists, "the ballast to be made again")
            assert_all_labelled(publisher, consumer, agent.log)
            assert "Traceback" not in agent.log


def test_read_only_disk_does_not_stop_the_labels_and_is_said_and_taken_back(broker: Mosquitto, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 12) as folder:
        remount(folder, "ro")
        config = write_config(tmp_path, broker.port)
        with (
            Consumer(broker.port) as consumer,
            Publisher(broker.port) as publisher,
            AgentProcess(config, "--set", f"gateway.state_dir={folder}") as agent,
        ):
            wait_until(lambda: consumer.of("/availability"), "the agent")
            plant = Plant(publisher, n_devices=2)
            plant.run_until(time.monotonic() + 3.0)
            wait_until(lambda: "disk_unwritable" in alarms(consumer), "the alarm")
            assert_all_labelled(publisher, consumer, agent.log)
            remount(folder, "rw")
            run_plant_until(plant, lambda: not alarms(consumer), "the end of the alarm")
            wait_until((folder / "watermark.json").exists, "the watermark")
            assert_all_labelled(publisher, consumer, agent.log)
            assert "Traceback" not in agent.log


def test_journal_mode_agent_killed_in_mid_stream_loses_nothing_and_repeats_little(
    broker: Mosquitto, tmp_path: Path
) -> None:
    chance = random.Random(7)
    agent = AgentProcess(write_config(tmp_path, broker.port), "--set", "delivery.mode=journal")
    again = n_said = 0

    def used_twice() -> int:
        """By the agent that runs now; one that was killed before its first metrics has said nothing of it."""
        told = consumer.of("/metrics")[n_said:]
        return int(told[-1]["samples_dropped"].get("duplicate", 0)) if told else 0

    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        plant = Plant(publisher, n_devices=10)
        for _ in range(KILLS):
            plant.run_until(time.monotonic() + chance.uniform(1.5, 2.5))
            again += used_twice()
            agent.kill()
            n_said = len(consumer.of("/metrics"))
            plant.run_until(time.monotonic() + 0.2)
            agent.start()
        plant.run_until(time.monotonic() + 2.0)
        assert_all_labelled(publisher, consumer, agent.log)
        wait_until(lambda: consumer.of("/metrics")[n_said:], "the metrics of the last one")
        wait_until(lambda: metrics(consumer)["unacknowledged"] < 1_000, "acknowledgements to catch up")
        again += used_twice()
        assert again <= 0.01 * len(publisher.accepted), "samples that were used twice"
        wait_until(lambda: rows_of(tmp_path / "state" / "journal.sqlite3") < 6_000, "rows of labelled windows to go")
        times = Counter((label["device"], label["window"]["index"]) for label in consumer.of("/label"))
        n_repeated = sum(times.values()) - len(times)
        # A second of the stream at each kill, and as much again on a machine that is late with its notes.
        assert n_repeated <= KILLS * 400, "labels that were made twice"


def test_journal_acknowledges_before_the_window_is_whole(broker: Mosquitto, tmp_path: Path) -> None:
    """What broker mode cannot do: a window that stays open does not hold the broker's queue."""
    config = write_config(tmp_path, broker.port)
    agent = AgentProcess(config, "--set", "delivery.mode=journal")
    start_ms = int(time.time() * 1000) // 10 * 10
    with Consumer(broker.port) as consumer, agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        with Publisher(broker.port) as publisher:
            for step in range(4):  # less than a window
                publisher.sample("pump-0", start_ms + 10 * step, 1.0)
            wait_until(lambda: publisher.n_pending == 0, "the broker to accept every sample")
            wait_until(lambda: rows_of(tmp_path / "state" / "journal.sqlite3") == 4, "the journal")
        agent.kill()
        broker.stop()
        for part in broker.folder.glob("mosquitto.db*"):
            part.unlink()  # the broker forgets everything: the journal alone has the samples
        broker.start()
        agent.start()
        with Consumer(broker.port, name="another") as other:
            wait_until(lambda: other.of("/label"), "the label of what the journal had")
            samples = [label["window"]["n_samples"] for label in other.of("/label")]
            assert max(samples) == 4


def test_journal_left_by_an_earlier_mode_is_labelled_first(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port, deadline_s=10.0)  # longer than an agent takes to start and connect
    journalling = AgentProcess(config, "--set", "delivery.mode=journal")
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, journalling:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        plant = Plant(publisher, n_devices=4)
        plant.run_until(time.monotonic() + 1.5)
        journalling.kill()
        plant.run_until(time.monotonic() + 0.5)
        with AgentProcess(config) as agent:
            plant.run_until(time.monotonic() + 1.0)
            assert_all_labelled(publisher, consumer, agent.log)
            wait_until(lambda: rows_of(tmp_path / "state" / "journal.sqlite3") == 0, "the journal to empty")
            assert agent.stop() == 0


def test_alarm_topic_is_cleared_when_all_is_well(broker: Mosquitto, tmp_path: Path) -> None:
    board = AlarmBoard("gw", wall_ns=lambda: 0)
    board.set("disk_low", "x")
    assert board.is_changed
    with Consumer(broker.port) as consumer, AgentProcess(write_config(tmp_path, broker.port)):
        wait_until(lambda: consumer.of("/alarm"), "the retained word that there is none")
        assert consumer.of("/alarm")[-1]["alarms"] == []


def test_messages_that_the_broker_dropped_raise_an_alarm(broker: Mosquitto, tmp_path: Path) -> None:
    broker.stop()
    broker.settings = (*broker.settings, "sys_interval 1", "max_queued_messages 10")
    broker.start()
    config = write_config(tmp_path, broker.port)
    agent = AgentProcess(config, "--set", "mqtt.watch_drops=true")
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
        wait_until(lambda: metrics(consumer).get("broker_dropped") is not None, "the broker's own count")
        with Consumer(broker.port, filters=["plant/#"], name="sleeper"):
            pass  # a session that stays, and reads no more
        Plant(publisher, n_devices=5).run_until(time.monotonic() + 2.0)
        wait_until(lambda: "broker_dropping" in alarms(consumer), "the alarm")
        wait_until(
            lambda: metrics(consumer)["broker_dropped"] > 0, "the count in the metrics, which come after the alarm"
        )
        assert_nothing_silent(publisher, consumer)


def test_full_disk_of_a_broker_on_the_same_machine_is_said(tmp_path: Path) -> None:
    """R15: mosquitto itself goes on accepting what it cannot keep, and none of its topics tells."""
    with small_disk(tmp_path / "store", 2) as store:
        broker = Mosquitto(store, ("autosave_interval 1",))
        broker.start()
        try:
            agent = AgentProcess(write_config(tmp_path, broker.port), "--set", f'gateway.watch_dirs=["{store}"]')
            with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
                wait_until(lambda: consumer.of("/alarm"), "the agent")
                assert "disk_full" not in alarms(consumer)
                filler = fill(store)
                wait_until(lambda: "disk_full" in alarms(consumer), "the alarm")
                Plant(publisher, n_devices=2).run_until(time.monotonic() + 1.0)
                assert_all_labelled(publisher, consumer, agent.log)
                filler.unlink()
                wait_until(lambda: "disk_full" not in alarms(consumer), "the end of the alarm")
        finally:
            broker.kill()
