"""Every effect of the agent: MQTT, the ONNX session, files, the clock, the log, and the one loop that drives them.

One job: bring messages to the engine and its events to the broker, losing nothing silently. No window is cut and no
payload is read here: that is `signals` and `edge_agent.engine`. No second thread: everything happens in the loop.
"""
