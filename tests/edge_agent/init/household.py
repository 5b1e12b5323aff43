"""A broker as people have it: the samples of real products, byte for byte but for times and one moving value."""

import json
import random
import struct
import threading
import time
from datetime import UTC, datetime
from typing import Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

STEP_S = 0.05

RETAINED = {
    "zigbee2mqtt/bridge/state": '{"state":"online"}',
    "zigbee2mqtt/bridge/devices": json.dumps(
        [{"friendly_name": "plug", "definition": {"exposes": [{"property": "power", "unit": "W"}]}}]
    ),
    "zigbee2mqtt/weather_sensor/availability": '{"state":"online"}',
    "tele/tasmota/LWT": "Online",
    "livingroom/status": "online",
    "livingroom/sensor/silent/state": "1.25",
    "homeassistant/sensor/livingroom/pump_vibration/config": json.dumps(
        {"stat_t": "livingroom/sensor/pump_vibration/state", "unit_of_meas": "mm/s", "name": "Vibration"}
    ),
}


class Household:
    """Publishes until it is closed."""

    def __init__(self, port: int) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="household")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._ended = threading.Event()
        self._random = random.Random(7)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        for topic, payload in RETAINED.items():
            self._client.publish(topic, payload, qos=1, retain=True).wait_for_publish(60)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _say(self, topic: str, payload: object) -> None:
        raw = payload if isinstance(payload, bytes | str) else json.dumps(payload, separators=(",", ":"))
        self._client.publish(topic, raw, qos=0)

    def _run(self) -> None:
        step = 0
        while not self._ended.wait(STEP_S):
            step += 1
            self._fast(step)
            if step % 2 == 0:
                self._slow(step)

    def _fast(self, step: int) -> None:
        now = time.time()
        for pump in ("pump-1", "pump-2"):
            columns: dict[str, Any] = {axis: [self._random.random() for _ in range(10)] for axis in "xy"}
            self._say(f"plant/{pump}/vibration", {"ts": int(now * 1000), **columns})
        self._say("hall/m1/imu", {"t": now, "acc": {"x": self._random.random(), "y": -1, "z": 9.8}, "seq": step})

    def _slow(self, step: int) -> None:
        now = time.time()
        local = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        warm = 21.37 + self._random.random()
        self._say(
            "zigbee2mqtt/weather_sensor",
            {"battery": 100, "humidity": 53.2, "linkquality": 120, "pressure": 1013, "temperature": warm},
        )
        self._say("zigbee2mqtt/attic/north", '{"temperature":27.34,"humidity":44.72}')
        self._say("zigbee2mqtt/plug", {"power": warm, "linkquality": 80, "state": "ON"})
        self._say(
            "tele/tasmota/SENSOR",
            f'{{"Time":"{local}","BME280":{{"Temperature":21.7,"Humidity":66.6,"Pressure":988.6}},'
            '"PressureUnit":"hPa","TempUnit":"C"}',
        )
        self._say("tele/tasmota/STATE", f'{{"Time":"{local}","Uptime":"0T00:00:15","Heap":27,"Wifi":{{"RSSI":100}}}}')
        self._say("livingroom/sensor/pump_vibration/state", f"{warm:.2f}")
        self._say("livingroom/binary_sensor/door/state", "ON" if step % 4 else "OFF")
        self._say("livingroom/text_sensor/mode/state", "any text")
        shelly: dict[str, Any] = {"ts": round(now, 2), "temperature:0": {"id": 0, "tC": 19.8, "tF": 67.6}}
        if step % 4 == 0:
            shelly |= {
                "devicepower:0": {"id": 0, "battery": {"V": 0.43, "percent": 0}, "external": {"present": True}},
                "humidity:0": {"id": 0, "rh": 42.2},
            }
        method = "NotifyFullStatus" if step % 4 == 0 else "NotifyStatus"
        name = "shellyplusht-b8d61a8b17cc"
        self._say(f"{name}/events/rpc", {"src": name, "dst": f"{name}/events", "method": method, "params": shelly})
        self._say("shellies/shelly1pm-AA/relay/0/power", "12.5")
        self._say("shellies/shelly1pm-AA/temperature", "40.5")
        self._say("all/sensors", {"device": f"unit-{step // 2 % 2}", "value": 3.5, "ts": now})
        self._say("frames/a", struct.pack("<I6h", step, *range(6)))
        self._say("odd/p1/x", {"v": 1.5, 'k"\n[mqtt]\nhost="evil"': 2.0})
        self._say("evil]\u2028/topic", '{"v": 1}')
