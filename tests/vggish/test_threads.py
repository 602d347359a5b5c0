"""numpy's matrix products stay on one thread beside TensorFlow's, and only there."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from vggish.resample import resample_blocks
from vggish.threads import one_blas_thread


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


pytestmark = pytest.mark.skipif(not blas_threads(), reason="a BLAS without such a setting")


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


def test_threads_take_turns_and_leave_the_setting_as_it_was():
    seen = []

    def work():
        for _ in range(50):
            with one_blas_thread():
                seen.append(blas_threads())

    before = blas_threads()
    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert seen == [{1}] * 200
    assert blas_threads() == before
