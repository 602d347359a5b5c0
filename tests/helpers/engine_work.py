"""Work for the tests of ``audioseg.workers``, and a program that they interrupt and kill."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from audioseg.workers import run_each

ENDLESS = 600.0


def nap(item):
    """Sleep for so many seconds; leave a file that says which process did."""
    folder, seconds = item
    (Path(folder) / f"{os.getpid()}").touch()
    time.sleep(seconds)
    return os.getpid()


def die_once(item):
    """Die over the number 3 once: the file stands for what has happened."""
    folder, number = item
    died = Path(folder) / "died"
    if number == 3 and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_over_three(item):
    """Die over the number 3 whenever it comes, and count that."""
    folder, number = item
    if number == 3:
        (Path(folder) / f"died-{time.monotonic_ns()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def raise_over_three(number):
    if number == 3:
        raise ArithmeticError("three")
    return -number


def main() -> int:
    """Nap on two workers until somebody ends it."""
    try:
        for _ in run_each(nap, [(sys.argv[1], ENDLESS)] * 4, workers=2):
            pass
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
