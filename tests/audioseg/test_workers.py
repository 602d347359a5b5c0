"""One engine for many items: real processes, which are killed and interrupted."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import engine_work
import pytest
from engine_work import die_once, die_over_three, nap, raise_over_three

from audioseg.errors import ArgumentError
from audioseg.workers import Died, WorkerError, run_each

POSIX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
PATIENCE = 300.0  # what is told apart is this and ENDLESS


def alive(pid, session=None):
    try:
        state, _, _, found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return False
    return state != "Z" and session in (None, int(found))


def all_processes():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_one_worker_is_a_plain_loop_without_dask():
    program = (
        "import sys; from audioseg.workers import run_each\n"
        "assert list(run_each(abs, iter([-1, 2]))) == [(-1, 1), (2, 2)]\n"
        "assert not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_two_workers_take_items_as_they_need_them():
    taken = []

    def items():
        for number in range(40):
            taken.append(number)
            yield -number

    stream = run_each(abs, items(), workers=2)
    first = next(stream)
    assert len(taken) < 10
    assert sorted([first, *stream]) == sorted((-number, number) for number in range(40))


def test_what_the_work_raises_is_raised_and_no_process_stays(tmp_path):
    with pytest.raises(ArithmeticError, match="three"):
        list(run_each(raise_over_three, range(9), workers=2))


@POSIX
def test_a_killed_worker_costs_a_retry(tmp_path):
    items = [(str(tmp_path), number) for number in range(6)]
    assert sorted(run_each(die_once, items, workers=2)) == [(item, item[1]) for item in items]
    assert (tmp_path / "died").exists()


@POSIX
def test_an_item_that_kills_its_workers_fails_and_no_other(tmp_path):
    items = [(str(tmp_path), number) for number in range(12)]
    results = {number: result for (_, number), result in run_each(die_over_three, items, workers=2)}
    assert isinstance(results.pop(3), Died)
    assert results == {number: number for number in range(12) if number != 3}
    assert len(list(tmp_path.glob("died-*"))) == 3


@POSIX
def test_what_goes_wrong_as_processes_end_costs_no_result(tmp_path, monkeypatch):
    async def join(self, timeout=None):
        raise AssertionError("can only join a started process")  # as Dask's does, at times

    monkeypatch.setattr("distributed.process.AsyncProcess.join", join)
    stream = run_each(nap, [(str(tmp_path), 0.0)] * 4, workers=2)
    assert {str(pid) for _, pid in stream} == {path.name for path in tmp_path.iterdir()}
    wait_until(lambda: not any(alive(int(path.name)) for path in tmp_path.iterdir()))


@POSIX
def test_whoever_stops_early_waits_for_nothing(tmp_path):
    stream = run_each(nap, [(str(tmp_path), 0.0), *[(str(tmp_path), 600.0)] * 3], workers=2)
    with contextlib.closing(stream):
        next(stream)
        start = time.monotonic()
    assert time.monotonic() - start < PATIENCE
    wait_until(lambda: not any(alive(int(path.name)) for path in tmp_path.iterdir()))


@POSIX
@pytest.mark.parametrize("at_work", [True, False], ids=["at work", "starting"])
def test_an_interruption_ends_all_with_one_sentence(tmp_path, at_work):
    process = subprocess.Popen(
        [sys.executable, engine_work.__file__, str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C goes to all processes of a terminal, as below
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    if at_work:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    else:
        wait_until(lambda: children_of(process.pid))
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert time.monotonic() - start < 10  # a second on an idle machine
    assert said == "error: interrupted\n"
    wait_until(lambda: not any(alive(pid, session=process.pid) for pid in all_processes()))


def children_of(pid):
    tasks = Path(f"/proc/{pid}/task")
    return [child for path in tasks.glob("*/children") for child in path.read_text().split()]


@POSIX
def test_workers_end_when_their_process_is_killed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, engine_work.__file__, str(tmp_path)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert all(map(alive, workers))
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, workers)))


def test_no_scheduler():
    with pytest.raises(ArgumentError, match=r"no Dask scheduler answers at nonsense://x \("):
        list(run_each(abs, [1], scheduler="nonsense://x"))


@pytest.fixture
def foreign(tmp_path):
    """A scheduler and a worker that somebody else started, elsewhere."""
    address = tmp_path / "scheduler.json"
    common = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(address),
         "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        **common,
    )  # fmt: skip
    wait_until(address.exists)
    worker = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(address),
         "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"],
        **common,
    )  # fmt: skip
    yield json.loads(address.read_text())["address"], scheduler
    for process in (worker, scheduler):
        process.terminate()
        process.wait(PATIENCE)


def test_the_workers_of_somebody_else(foreign):
    address, scheduler = foreign
    assert sorted(run_each(abs, [-1, -2], scheduler=address)) == [(-2, 2), (-1, 1)]
    # these workers do not have the tests' helpers
    with pytest.raises(WorkerError, match="have no module engine_work: install"):
        list(run_each(raise_over_three, [1], scheduler=address))
    stream = run_each(time.sleep, [0, 600], scheduler=address)
    assert next(stream) == (0, None)
    scheduler.kill()
    with pytest.raises(WorkerError, match=r"connection to the scheduler at tcp://.* broke off"):
        next(stream)
