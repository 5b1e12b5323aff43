"""Several processes for one gateway: who takes which device, who starts them, and who speaks for all of them.

One job: share the devices out by a hash that never changes, start a process for each share, hand over when their
number changes. `share` is pure and is all that a worker needs; the rest belongs to the supervisor, which labels
nothing and opens no model. No sample, window or label may enter this room.
"""
