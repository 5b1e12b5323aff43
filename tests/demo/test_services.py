import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from demo.broker import Broker
from demo.screen import Screen
from demo.services import put_in_place, run_plant, run_train
from demo.wire import Address, Subscriber
from edge_agent.shell.guard import inspect_model


@pytest.fixture
def address(mosquitto_program: str) -> Iterator[Address]:
    with Broker.auto("mosquitto") as broker:
        yield Address(broker.host, broker.port)


def make_screen() -> Screen:
    return Screen(Console(file=io.StringIO(), width=150))


def test_the_plant_runs_for_as_long_as_it_was_asked_to(address: Address) -> None:
    with Subscriber(address, ["plant/#"]) as inbox:
        run_plant(make_screen(), address, n_devices=2, seed=1, speed=50.0, seconds=0.2)
        topics = {message.topic for message in inbox.take()}
    assert {"plant/pump-01/vibration", "plant/pump-02/vibration", "plant/room-02/climate"} <= topics
    assert {f"plant/truth/{device}" for device in ("pump-01", "pump-02", "room-01", "room-02")} <= topics


@pytest.mark.slow
def test_a_trainer_beside_a_plant_leaves_two_models_that_an_agent_takes(address: Address, tmp_path: Path) -> None:
    stream = {"n_devices": 3, "seed": 1, "speed": 12.0, "seconds": 12.0}
    plant = threading.Thread(target=run_plant, args=(make_screen(), address), kwargs=stream)
    plant.start()
    screen = make_screen()
    run_train(screen, address, tmp_path / "models", head="mlp", seed=1, seconds=11.0)
    plant.join()
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["pump.onnx", "room.onnx"]
    cards = {
        name: inspect_model((tmp_path / "models" / f"{name}.onnx").read_bytes(), name) for name in ("pump", "room")
    }
    assert [card.head.kind for card in cards.values()] == ["mlp", "mlp"]
    assert cards["pump"].channel_names == ["acc_x", "acc_y", "acc_z"]
    assert cards["room"].grid.policy == "hold"
    assert screen.steps == ["record", "fit", "fit"]


def test_a_model_is_put_in_place_whole(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "pump.onnx").write_bytes(b"old")
    put_in_place(tmp_path / "new", tmp_path / "pump.onnx")
    assert (tmp_path / "pump.onnx").read_bytes() == b"new"
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "missing", tmp_path / "pump.onnx")
    assert (tmp_path / "pump.onnx").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "pump.onnx"]
