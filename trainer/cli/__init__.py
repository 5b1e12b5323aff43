"""The commands ``trainer fit | evaluate | predict | inspect``.

One job: read arguments, call the rooms that do the work, print. What may not enter: any decision about data or
models. Results go to standard output (with ``--json`` nothing else does), progress and errors to standard error. Exit
codes: 0 done, 1 unexpected, 2 data or usage.
"""

from trainer.cli.app import app, main

__all__ = ["app", "main"]
