"""Payloads nobody meant, by the million, through every codec into the engine; and the judge of what became of them.

One job: find bytes that raise, are not counted, or make memory grow. Faults of processes, brokers and disks live
elsewhere.

    python -m tests.fuzz                       1,000,000 payloads, a table, exit code 1 if anything broke
    python -m tests.fuzz --coverage 300        atheris, guided by coverage, 300 s (pip install atheris)
"""
