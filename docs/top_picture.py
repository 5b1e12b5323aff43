"""Writes ``img/top.svg``: one frame of ``edge-agent top``, of a real agent at a real broker.

    python docs/top_picture.py

Pumps of the simulated plant (``demo/plant``) are recorded through the broker and a model is fitted on them; an agent
labels others in real time, and collects windows of two rooms, for which there is no model, while ``edge-agent top``
looks on for a minute. Takes about two minutes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PICTURE = FOLDER / "img" / "top.svg"

# The repository root comes first: an installed package may be called ``docs`` too.
sys.path.insert(0, str(FOLDER.parent))

from demo.agents import Assignment, agent_config  # noqa: E402 - the line above must stand first
from demo.broker import Broker  # noqa: E402
from demo.pace import paced  # noqa: E402
from demo.perform import fit  # noqa: E402
from demo.plant import Site, pump_names  # noqa: E402
from demo.plant_demo import PLANT_EPOCH_NS, fit_arguments, record  # noqa: E402
from demo.streams import PUMP  # noqa: E402
from demo.wire import Address, Publisher, Subscriber  # noqa: E402

_WATCH_S = 60
_TRAINING_S = 120.0
_LIVE_PUMPS = 6
_ROOMS = """
[[pipelines]]
name = "rooms"
topics = ["home/{device}/climate"]
[pipelines.mapping]
format = "json"
channels = { co2 = "co2", temperature = "temperature" }
[pipelines.window]
channels = ["co2", "temperature"]
sampling_rate_hz = 4.0
window_length = 32
hop_length = 4
policy = "hold"
"""


def main() -> int:
    """Write the picture; the exit code of ``edge-agent top``."""
    with tempfile.TemporaryDirectory() as name, Broker.auto("mosquitto") as broker:
        folder, address = Path(name), Address(broker.host, broker.port)
        training = Site(pump_names(1, 6), (), seed=1, start_ns=PLANT_EPOCH_NS)
        recorders, _ = record(address, training.messages(_TRAINING_S))
        recorders[PUMP.name].save(folder / "pump.npz")
        models = fit(PUMP, folder / "pump.npz", folder, seed=1, arguments=fit_arguments(PUMP))
        config = folder / "edge-agent.toml"
        pumps = agent_config("pi4-kitchen", address, [Assignment(PUMP, models[0].path)], folder / "state")
        config.write_text(pumps + _ROOMS)
        return _show(config, address)


def _show(config: Path, address: Address) -> int:
    command = [sys.executable, "-m", "edge_agent"]
    quiet = {"cwd": FOLDER.parent, "env": {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}}
    agent = subprocess.Popen([*command, "run", "--config", str(config)], stderr=subprocess.DEVNULL, **quiet)  # type: ignore[call-overload]
    ended = threading.Event()
    feeders = [threading.Thread(target=feed, args=(address, ended)) for feed in (_feed_pumps, _feed_rooms)]
    top = ["top", "--config", str(config), "--once", "--after", str(_WATCH_S), "--picture", str(PICTURE)]
    try:
        for feeder in feeders:
            feeder.start()
        with Subscriber(address, ["telltale/v1/pi4-kitchen/+/+"], "consumer"):
            time.sleep(5.0)
            return subprocess.run([*command, *top], check=False, **quiet).returncode  # type: ignore[call-overload, no-any-return]
    finally:
        ended.set()
        for feeder in feeders:
            feeder.join()
        agent.send_signal(signal.SIGTERM)
        agent.wait()


def _feed_pumps(address: Address, ended: threading.Event) -> None:
    site = Site(pump_names(11, _LIVE_PUMPS), (), seed=3, start_ns=time.time_ns())
    with Publisher(address, "plant") as publisher:
        for message in paced(site.messages(), 1.0):
            if ended.is_set():
                return
            publisher.publish(message.topic, message.payload)


def _feed_rooms(address: Address, ended: threading.Event) -> None:
    walk = random.Random(4)  # noqa: S311 - a room, no secret
    rooms = {"hall": [620.0, 21.0], "office": [480.0, 22.5]}
    with Publisher(address, "rooms") as publisher:
        while not ended.wait(0.25):
            for name, values in rooms.items():
                values[0] += walk.gauss(0.0, 6.0)
                values[1] += walk.gauss(0.0, 0.05)
                payload = f'{{"co2": {values[0]:.0f}, "temperature": {values[1]:.2f}}}'
                publisher.publish(f"home/{name}/climate", payload.encode())


if __name__ == "__main__":
    raise SystemExit(main())
