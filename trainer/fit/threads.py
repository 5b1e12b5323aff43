"""One thread inside the linear algebra, so that sums are taken in the same order on every machine.

A BLAS with more threads splits a product by the number of cores, rounds differently, and a hundred steps of an
optimiser later the model is another one. Parallel work is done by folds instead, which are independent of each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within this block numpy and scipy multiply matrices on one thread."""
    with threadpool_limits(limits=1, user_api="blas"):  # type: ignore[no-untyped-call]  # not annotated
        yield


_N_THREADS = 2
_LARGE = 500_000
"""Values in a matrix of features from which a second thread pays; below, the two only wait for each other."""


def fold_threads(n_values: int) -> ThreadPoolExecutor:
    """Threads for folds of a matrix of so many values; which fold runs on which changes no result."""
    return ThreadPoolExecutor(_N_THREADS if n_values > _LARGE else 1)
