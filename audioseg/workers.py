"""Work on many items: in this process, in several of this machine, or on a cluster.

Dask runs the processes: a ``LocalCluster`` of our own, or the workers of a scheduler that runs
already (``dask scheduler`` and ``dask worker`` by hand, dask-jobqueue on SLURM, dask-kubernetes).
On a cluster, all workers need this project installed, and the same files under the same paths.

If a worker dies, its item is tried again. Workers end with the process that started them, however
that ends: each watches a pipe to it (Dask's ``AsyncProcess``).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from audioseg.errors import ArgumentError, CourseError

if TYPE_CHECKING:  # importing it takes a second
    from multiprocessing.process import BaseProcess

    from distributed import Client, LocalCluster

CONNECT_SECONDS = 15
CLOSE_SECONDS = 1
LOOK_SECONDS = 2  # how often workers that keep silent are looked at
AHEAD = 3  # items a thread of a cluster's worker has, so that it never waits for one
DEATHS = 3  # an item on which so many of our own processes have died is given up
# deaths are counted here; the rest is for slow networks, or statistics that nobody looks at
OUR_OWN = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": None,
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ": {},
}
# results say what happens to workers, Dask need not; it reads this on import, in workers too
LOGGERS = ("distributed", "distributed.client", "tornado.application")
os.environ.setdefault("DASK_LOGGING", repr(dict.fromkeys(LOGGERS, logging.CRITICAL + 1)))


class WorkerError(CourseError):
    """Workers cannot work; one sentence that says what to do."""


class Died(Exception):
    """:func:`run_each` yields this for an item on which workers die again and again."""


def run_each(
    work: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Do the work on each item.

    Parameters
    ----------
    work : callable
        Takes an item. It, the items and the results travel between processes, by pickle.
    items : iterable
        They are taken as needed.
    workers : int
        Processes on this machine; 1 is this process itself.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, whose workers are used.

    Yields
    ------
    (item, result)
        As each item ends; :class:`Died` for an item that killed its workers. Closing the iterator,
        or an interruption, ends all processes on this machine.

    Raises
    ------
    ArgumentError
        If no scheduler answers at the address.
    WorkerError
        If the workers do not start, lack the project, or the connection to them breaks off.
    """
    if scheduler is None and workers == 1:
        for item in items:
            yield item, work(item)
        return
    from distributed import KilledWorker

    fresh = ((item, 0) for item in items)
    blamed: deque[tuple[Any, int]] = deque()  # each tried alone, so that no other is blamed
    running: dict[str, tuple] = {}
    ended: queue.SimpleQueue = queue.SimpleQueue()
    with _interrupts_in(ended), _connected(workers, scheduler) as (client, room):

        def submit(item: Any, deaths: int) -> None:
            future = client.submit(work, item, pure=False)
            running[future.key] = future, item, deaths
            future.add_done_callback(ended.put)

        while True:
            while len(running) < room and (one := next(fresh, None)):
                submit(*one)
            if not running:
                if not blamed:
                    return
                submit(*blamed.popleft())
            future = _next_of(ended, client)
            _, item, deaths = running.pop(future.key)
            try:
                result = future.result()
            except KilledWorker:
                # a scheduler of somebody else's has its own limit, which has been reached then
                deaths = deaths + 1 if scheduler is None else DEATHS
                if deaths < DEATHS:
                    blamed.append((item, deaths))
                    continue
                result = Died("every process that worked on it died (out of memory?)")
            except CancelledError:
                raise WorkerError(
                    f"the connection to the scheduler at {scheduler} broke off: restore it, "
                    "then run the same command again; it goes on where it stopped."
                ) from None
            except Exception as error:
                # a scheduler that cannot unpickle the work says so in an error of its own
                lacking = error.__cause__ or error
                if not isinstance(lacking, ModuleNotFoundError):
                    raise
                raise WorkerError(
                    f"the workers have no module {lacking.name}: install this project in their "
                    "environment, in the same version."
                ) from None
            del future
            yield item, result


def _next_of(ended: queue.SimpleQueue, client: Client) -> Any:
    """Wait for the next future, as long as there are workers."""
    while True:
        try:
            future = ended.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            _check(client.cluster)
            continue
        if future is None:
            raise KeyboardInterrupt
        return future


def _check(cluster: LocalCluster | None) -> None:
    """Raise an error where processes of our own do not start."""
    states = [nanny.status.name for nanny in cluster.workers.values()] if cluster else []
    if states and set(states) <= {"failed", "closed"}:
        raise WorkerError(
            "the worker processes do not start: take --workers 1, which needs none and shows why."
        )


@contextmanager
def _interrupts_in(ended: queue.SimpleQueue) -> Iterator[None]:
    """Put Ctrl-C into a queue, as None: a call of Dask's that is interrupted leaves locks taken."""
    if threading.current_thread() is not threading.main_thread():  # it is never interrupted
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: ended.put(None))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@contextmanager
def _connected(workers: int, scheduler: str | None) -> Iterator[tuple[Client, int]]:
    """Connect to a scheduler; yield the client, and how many items it should have at a time."""
    from distributed import Client

    if scheduler is None:
        with _processes(workers) as client:
            yield client, workers
        return
    # in two steps, so that one that fails can be closed here: the garbage collector would close it,
    # maybe within the start of the next client, which holds the lock that closing takes
    client = Client.__new__(Client)
    try:
        client.__init__(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # what answers there may be anything
        with suppress(Exception):
            client.close(timeout=CLOSE_SECONDS)
        client.status = "closed"  # if that failed as well: one that is closed is left in peace
        raise ArgumentError(
            f"no Dask scheduler answers at {scheduler} ({str(error).partition(chr(10))[0]}): "
            "start it, or correct --scheduler."
        ) from None
    with client:
        if not client.nthreads():  # a cluster that grows on demand has none at first
            print(f"waiting for workers at {scheduler} ...", file=sys.stderr)
        yield client, AHEAD * max(2, sum(client.nthreads().values()))


@contextmanager
def _processes(workers: int) -> Iterator[Client]:
    """Start processes on this machine, and end them, in mid-work if need be."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.utils import LoopRunner

    others = multiprocessing.active_children()
    runner = LoopRunner()
    with _without_interrupts():
        runner.start()
    with dask.config.set(OUR_OWN):
        cluster = LocalCluster(
            n_workers=0,  # they are started below, where Ctrl-C need not wait for them
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # None takes 8787, and complains if that is taken
            memory_limit=None,
            silence_logs=False,
            loop=runner.loop,
        )
        client = Client(cluster, set_as_default=False)
        cluster.shutdown_on_close = False  # nothing more is to be done when Python ends
        try:
            cluster.scale(workers)
            yield client
        finally:
            for nanny in cluster.workers.values():
                nanny.auto_restart = False
            _kill(others)
            for closable in (client, cluster):
                # Dask 2026.8.0 takes the successor of a process that died within 50 ms for
                # started before it is, and then fails to end it: it was killed here anyway
                with suppress(TimeoutError, AssertionError):
                    closable.close(timeout=CLOSE_SECONDS)
            _kill(others)  # those that were just being started
            runner.stop()


def _kill(others: Collection[BaseProcess]) -> None:
    """End this process's children, except those that have nothing to do with Dask."""
    for process in set(multiprocessing.active_children()) - set(others):
        process.kill()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start threads that ignore Ctrl-C, as do their processes: this process handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # started first, as its start unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
