"""The proof that nothing is lost silently: every fault, for real, and an oracle that counts what became of each window.

In here: the raw-socket publisher and consumer whose word the oracle takes, the faults, the rows of the scoreboard, the
runner and the soak (``python -m tests.faults``), and the short form of all of it as tests. Nothing in here may look
into the agent to pass its verdict, and the agent has no hook for any of it: `launcher` wraps it from outside.
"""
