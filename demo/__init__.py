"""The whole house in one command: a broker, a plant, a fit, two agents, a table, and an exit code that means it.

One job: compose the agent and the trainer, as the processes that a user starts, and judge the result by the truth that
only the demo knows. The roof: everything below may be used, nothing below may import it. No learning, no decoding and
no cutting of windows may be written here; what the demo needs of those it calls.
"""
