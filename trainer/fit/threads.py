"""One thread inside the linear algebra, so that sums are taken in the same order on every machine.

A BLAS with more threads splits a product by the number of cores, rounds differently, and a hundred steps of an
optimiser later the model is another one. Parallel work is done by folds instead, which are independent of each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within this block numpy and scipy multiply matrices on one thread."""
    with threadpool_limits(limits=1, user_api="blas"):  # type: ignore[no-untyped-call]  # not annotated
        yield
