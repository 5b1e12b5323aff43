"""Which state a device is in, and for how long: a semi-Markov chain whose states come round equally often."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Episode(NamedTuple):
    """One stay in one state, half-open ``[start_s, end_s)`` in seconds of plant time."""

    start_s: float
    end_s: float
    class_index: int
    severity: float
    """How pronounced the state is, about 1: no two cavitations are alike."""


def device_rng(seed: int, device: str, purpose: str) -> np.random.Generator:
    """A generator of its own for one purpose of one device: adding a device never changes another.

    Examples
    --------
    >>> a, b = device_rng(1, "pump-01", "noise"), device_rng(1, "pump-02", "noise")
    >>> bool(a.random() == b.random())
    False
    """
    return np.random.default_rng([seed, zlib.crc32(device.encode()), zlib.crc32(purpose.encode())])


def episodes(rng: np.random.Generator, *, n_states: int, mean_s: float, least_s: float) -> Iterator[Episode]:
    """Episodes without end, back to back from second 0.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the order, the durations and the severities are drawn from.
    n_states : int
        Number of states, at least 2.
    mean_s, least_s : float
        Mean and shortest duration. What lies above the shortest is gamma distributed with shape 2: a memory-less chain
        would give mostly very short stays, real machines do not switch like that.

    Notes
    -----
    The order is drawn in rounds: each round holds every state once, in random order, and never starts with the state
    that the last one ended in. So after ``n`` rounds every state came ``n`` times, and a short recording is balanced.

    Examples
    --------
    >>> from itertools import islice
    >>> stays = list(islice(episodes(np.random.default_rng(0), n_states=3, mean_s=10.0, least_s=4.0), 6))
    >>> sorted(stay.class_index for stay in stays[:3]), sorted(stay.class_index for stay in stays[3:])
    ([0, 1, 2], [0, 1, 2])
    >>> all(stay.end_s - stay.start_s >= 4.0 for stay in stays)
    True
    """
    start_s, last = 0.0, -1
    while True:
        order = rng.permutation(n_states)
        if order[0] == last:
            order = np.roll(order, 1)
        for class_index in order.tolist():
            end_s = start_s + least_s + float(rng.gamma(2.0, (mean_s - least_s) / 2.0))
            yield Episode(start_s, end_s, class_index, float(rng.uniform(0.75, 1.25)))
            start_s, last = end_s, class_index
