"""One thread for numpy's matrix products, where TensorFlow computes next.

The BLAS library under numpy leaves its threads running for some 30 ms after a product, in case
another follows. They wait on processors that TensorFlow needs at that moment: with two cores,
embedding with ``mini`` took 1.7 times as long. The products of the front end are small, one
thread is enough for them, and their last bits then do not depend on the number of processors.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager:
    """Return a context in which numpy's matrix products stay on one thread."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, so only once
