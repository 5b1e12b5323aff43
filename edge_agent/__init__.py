"""The gateway: sensor messages in, label events out, offline if it must.

One job: run models on live streams. `engine` is pure (bytes in, events out); `shell` owns every effect: MQTT, the
ONNX session, files, the clock, the log. What a gateway does not install may not enter: onnx, scipy, scikit-learn,
pandas; nor the trainer.
"""

import os

# Newer onnxruntime wheels report to their vendor unless told otherwise; this must stand before the first import of it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# No package that happens to be installed may hook into the contracts; nor is every package asked whether it wants to.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

__version__ = "0.1.0"
