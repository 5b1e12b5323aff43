"""Everything around the loop that lets a person leave an agent alone: what it says of itself, and how it is reloaded.

One job: operation. Words to systemd, the Prometheus endpoint, the status socket, the health, the reload by SIGHUP or
by a changed file. The loop knows this room only as a `Service`, called once a turn; the room reads the agent's
snapshots and never touches the MQTT client, the engine or the outbox. Threads serve values that no longer change, and
prove models.
"""
