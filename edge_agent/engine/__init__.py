"""The gateway's engine: bytes in, events out.

One job: decode, place, cut and account for what was delivered. It owns no socket, clock, thread, file, log or
model; no paho and no onnxruntime may enter this room. Nothing raises out of it, whatever bytes come in.
"""

from edge_agent.engine.engine import Engine, EngineCounters, Pipeline, Resume
from edge_agent.engine.events import Event, Gap, Rejected, WindowReady

__all__ = ["Engine", "EngineCounters", "Event", "Gap", "Pipeline", "Rejected", "Resume", "WindowReady"]
