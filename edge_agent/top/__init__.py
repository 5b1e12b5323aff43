"""``edge-agent top``: the running agent in a terminal, live.

One job: draw what the status socket answers. It asks as any visitor does, holds no state of the agent and sends
nothing but the question. It alone of the gateway's rooms draws with rich, the optional extra ``top``; nothing that
``edge-agent run`` imports may import this room, and no MQTT, engine or model may enter it.
"""
