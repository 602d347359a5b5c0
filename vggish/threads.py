"""One thread for numpy's matrix products, so that TensorFlow has the others.

The BLAS library under numpy leaves its threads running for some 30 ms after a product, in case
another follows. They wait on processors that TensorFlow needs at that moment: with two cores,
embedding with ``mini`` took 1.7 times as long. The products of the front end are small;
one thread is enough for them. (macOS's own BLAS has no such setting, and is left alone.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock

from threadpoolctl import ThreadpoolController

# the limit is the process's: if two threads set and restored it in turn, it could stay at 1
_lock = RLock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep numpy's matrix products on one thread; others that ask for it wait."""
    with _lock, _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, so only once
