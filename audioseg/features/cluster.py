"""Recordings on more than one machine: the workers of a running Dask cluster.

Dask is an extra (``python -m pip install -r requirements-cluster.txt``), and what starts the
cluster is up to its owner: ``dask scheduler`` and ``dask worker`` by hand, dask-jobqueue on SLURM,
dask-kubernetes, or a ``LocalCluster``. Two things must be so: workers run in the course's folder
(or have it on ``PYTHONPATH``), and all see the corpus and the weights under the same paths.

A worker that dies takes along the recordings it had in hand, and Dask gives these to others. As
every part is written aside and renamed, and a recording's bytes do not depend on who made it, the
result is that of one machine; of one kind of processor, strictly: other kinds round differently in
the last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

from audioseg.errors import ArgumentError
from audioseg.features.parts import Done, Settings, Source, Task, work_on
from feat_ext import DatasetError

CONNECT_SECONDS = 15
AHEAD = 4  # recordings a thread of a worker has waiting, so that it never waits itself


def in_cluster(
    tasks: Iterable[Task], settings: Settings, source: Source, address: str
) -> Iterator[Done]:
    """Work on recordings with the workers of a Dask cluster.

    Parameters
    ----------
    tasks, settings, source
        As for :func:`audioseg.features.parts.in_processes`.
    address : str
        Of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Yields
    ------
    Done
        In the order in which they end.

    Raises
    ------
    ArgumentError
        If Dask is not installed, or there is no scheduler at the address.
    DatasetError
        If the workers have no course, no corpus or other weights.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError:
        raise ArgumentError(
            "--scheduler needs Dask, which is not installed: run python -m pip install -r "
            "requirements-cluster.txt."
        ) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            f"no Dask scheduler answers at {address} ({str(error).partition(chr(10))[0]}): start "
            "it, or correct --scheduler."
        ) from None
    with client:
        if not client.nthreads():  # a cluster that grows on demand has none at first
            print(f"waiting for workers at {address} ...", file=sys.stderr)
        source = _absolute_source(source)
        waiting = iter(tasks)
        by_key = {}

        def submit(count: int) -> Iterator:
            for _, task in zip(range(count), waiting, strict=False):
                future = client.submit(work_on, _absolute(task), settings, source, pure=False)
                by_key[future.key] = task
                yield future

        threads = max(2, sum(client.nthreads().values()))
        running = as_completed(list(submit(AHEAD * threads)), loop=client.loop)
        for future in running:
            task = by_key.pop(future.key)
            try:
                yield future.result()._replace(task=task)
            except KilledWorker:
                reason = f"{task.path}: the workers that had it died one after the other (memory?)."
                yield Done(task, None, reason)
            except ModuleNotFoundError as error:
                raise DatasetError(
                    f"the workers at {address} have no module {error.name}: start them in the "
                    "course's folder, in an environment like this one."
                ) from None
            except (CancelledError, OSError):
                raise DatasetError(
                    f"the connection to the scheduler at {address} broke off: see to it, then run "
                    "the same command again, it goes on where it stopped."
                ) from None
            running.update(submit(1))


def _absolute(task: Task) -> Task:
    """Return a task whose paths hold in other folders, too."""
    return replace(task, path=str(Path(task.path).absolute()), part=str(Path(task.part).absolute()))


def _absolute_source(source: Source) -> Source:
    """Return a source whose weights, if they are a file, are found from other folders, too."""
    if source.weights in ("auto", "audioset", "mini"):
        return source
    return replace(source, weights=str(Path(source.weights).absolute()))
