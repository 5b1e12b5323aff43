"""The gateway's engine: bytes in, events out.

One job: decode, place, cut and account for what was delivered. It owns no socket, clock, thread, file, log or
model; no paho and no onnxruntime may enter this room. Nothing raises out of it, whatever bytes come in.
"""

from edge_agent.engine.device import Pipeline
from edge_agent.engine.engine import Engine, EngineCounters, Packet
from edge_agent.engine.events import Event, Gap, Rejected, WindowReady
from edge_agent.engine.resume import Resume

__all__ = ["Engine", "EngineCounters", "Event", "Gap", "Packet", "Pipeline", "Rejected", "Resume", "WindowReady"]
