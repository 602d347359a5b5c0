"""One run at a time in a folder, and workers that never outlive the run."""

import os
import signal
import threading
import time

import pytest

from audioseg.processes import held_interrupts, worker_pool


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ValueError])
def test_an_exception_does_not_wait_for_what_is_in_hand(reason):
    with pytest.raises(reason), worker_pool(2) as pool:
        pool.submit(os.getpid).result()  # they are there
        for _ in range(5):
            endless = pool.submit(time.sleep, 600)
        start = time.monotonic()
        raise reason
    assert time.monotonic() - start < 30
    assert endless.done()


def test_what_was_submitted_is_done_when_the_block_ends():
    with worker_pool(1) as pool:
        future = pool.submit(abs, -1)
    assert future.result() == 1


def test_an_interruption_waits_until_it_is_asked_for():
    before = signal.getsignal(signal.SIGINT)
    passed = []
    with pytest.raises(KeyboardInterrupt), held_interrupts() as check:
        check()
        signal.raise_signal(signal.SIGINT)
        passed.append("the signal")
        check()
        passed.append("the question")
    assert passed == ["the signal"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_that_was_never_asked_for_is_not_lost():
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        signal.raise_signal(signal.SIGINT)


def test_other_threads_hold_nothing():
    def work():
        with held_interrupts() as check:
            check()
            done.append(True)

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
