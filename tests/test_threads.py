"""numpy's matrix products stay on one thread beside TensorFlow's, and only there."""

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from vggish.resample import resample_blocks
from vggish.threads import one_blas_thread


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_thread_inside_as_many_as_before_outside():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == before


def test_restored_after_an_error():
    before = blas_threads()
    try:
        with one_blas_thread():
            raise ValueError
    except ValueError:
        pass
    assert blas_threads() == before


def test_others_compute_with_their_threads_between_two_blocks():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        blocks = resample_blocks([np.zeros(1 << 18, np.float32)], 44_100, 16_000)
        next(blocks)
        assert blas_threads() == before
