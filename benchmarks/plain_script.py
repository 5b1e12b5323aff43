"""The rival: what a user writes by hand. paho, json and one predict per window, with scikit-learn or onnxruntime.

python -m benchmarks.plain_script PORT single|json|binary MODEL.joblib|MODEL.onnx
"""

# ruff: noqa: D103 - as its author would leave it
import json
import sys
from collections import defaultdict
from typing import Any

import numpy as np
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

CHANNELS = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]
CLASSES = ["idle", "walking", "running", "climbing", "cycling", "falling"]
PORT, FORM, MODEL = sys.argv[1:4] if __name__ == "__main__" else ("1883", "json", "")
LENGTH, HOP, BATCH = 128, 64, 64
samples: dict[str, Any] = defaultdict(lambda: np.empty((LENGTH + BATCH, len(CHANNELS)), np.float32))
filled: dict[str, int] = defaultdict(int)


def load_model(path: str) -> Any:  # noqa: ANN401 - a function from window to probabilities
    if path.endswith(".onnx"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda window: session.run(["probabilities"], {"window": window[None]})[0][0]
    import joblib

    pipeline = joblib.load(path)
    return lambda window: pipeline.predict_proba(window.reshape(1, -1))[0]


def read(payload: bytes | bytearray, form: str) -> Any:  # noqa: ANN401 - rows of samples
    if form == "binary":
        return np.frombuffer(payload, "<f4", offset=8).reshape(-1, len(CHANNELS))
    message = json.loads(payload)
    values = [message[name] for name in CHANNELS]
    return [values] if form == "single" else np.array(values, np.float32).T


def on_message(client: Client, predict: Any, message: MQTTMessage) -> None:  # noqa: ANN401
    device = message.topic.split("/")[1]
    rows, buffer, n = read(message.payload, FORM), samples[device], filled[device]
    buffer[n : n + len(rows)] = rows
    n += len(rows)
    if n >= LENGTH:
        probabilities = predict(np.ascontiguousarray(buffer[:LENGTH].T))
        best = int(probabilities.argmax())
        label = {"device": device, "label": CLASSES[best], "confidence": float(probabilities[best])}
        client.publish(f"telltale/v1/bench/{device}/label", json.dumps(label), qos=1, retain=True)
        buffer[: n - HOP] = buffer[HOP:n].copy()
        n -= HOP
    filled[device] = n


def on_connect(client: Client, *_: object) -> None:
    client.subscribe("plant/+/motion", qos=1)
    client.publish("telltale/v1/bench/availability", '{"state":"online"}', qos=1, retain=True)


if __name__ == "__main__":
    client = Client(CallbackAPIVersion.VERSION2, userdata=load_model(MODEL))
    client.on_connect, client.on_message = on_connect, on_message
    client.connect("127.0.0.1", int(PORT))
    client.loop_forever()
