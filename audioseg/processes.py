"""Worker processes that never outlive the one that started them (``workers`` replaces this)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that work for this one, and leave none of them behind.

    Whoever leaves the block by an exception, an interruption above all, does not wait for what is
    in hand: the processes are ended in the middle of it. That damages nothing where all files are
    written aside. If this process is killed, they end by themselves.

    Parameters
    ----------
    workers : int
        How many.

    Yields
    ------
    ProcessPoolExecutor
        Its processes are started as they are needed.
    """
    others = set(multiprocessing.active_children())
    # spawned: TensorFlow does not survive a fork, and a fork of a process with threads may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


@contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until it is asked for.

    An interruption inside the locking of a pool's futures leaves a lock taken that the pool's
    own thread then waits for, for ever.

    Yields
    ------
    callable
        Raises KeyboardInterrupt if Ctrl-C was pressed since. Call it a few times a second.
    """
    pressed: list[int] = []

    def check() -> None:
        if pressed:
            pressed.clear()
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # it is never interrupted
        yield check
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield check
        check()
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _end_with_parent() -> None:
    """Make a worker process end when it is interrupted, and when its parent has ended.

    It would else go on, and write into a folder that another run has taken over by then.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no stack trace

    def wait_for_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait_for_parent, daemon=True).start()
