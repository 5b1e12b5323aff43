"""``edge-agent init``: from what a broker carries to a commented configuration that runs.

One job: listen, recognise, write. Reads of a stranger's broker as a guest does: a clean session under a client id of
its own, QoS 0, bounded memory, nothing published. What it says of a message it has tried: every mapping it writes has
decoded the messages that were heard, and the whole file has passed ``edge-agent check`` before it gets its name. The
running agent never imports this room; no engine, no forward pass and no state of a device may enter it.
"""
