"""Files that are whole or not there, and folders that one run at a time writes to.

Everything the course writes goes through :func:`replacing`, so that a killed run leaves either the
old file or the new one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from audioseg.errors import CourseError


class BusyError(CourseError):
    """A folder that another run is writing to; one sentence that names it."""


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file aside, and put it in place only when it is complete.

    Parameters
    ----------
    path : str or PathLike
        The final place. Its folder is made where it is missing.

    Yields
    ------
    Path
        A temporary file beside ``path`` (same suffix, so that writers which go by the suffix
        work). It replaces ``path`` atomically when the block ends, and is removed when the
        block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # not of tempfile, whose files are private: what we leave behind is meant to be read
    aside = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        aside.touch(exist_ok=False)
        yield aside
        with aside.open("rb+") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def only_run(folder: str | os.PathLike) -> Iterator[None]:
    """Hold a folder for one run at a time.

    The operating system lets go of the lock when the process ends, however it ends. Where a file
    system has no locks, there is none.

    Parameters
    ----------
    folder : str or PathLike
        It is made where it is missing.

    Raises
    ------
    BusyError
        If another run holds it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BusyError(
            f"another run is at work on {folder}: wait until it has ended, or end it."
        ) from None
    except (OSError, NotImplementedError):  # no locks on this file system
        pass
    try:
        yield
    finally:
        lock.release()
