"""Speeds, memory and start times, each beside a named rival that does the same work in the same run.

One job: to measure. What may not enter: tests (nothing here passes or fails on a time), code that the product needs,
and figures typed by hand: every number in README.md is written by ``python -m benchmarks`` out of results/*.json.
"""
