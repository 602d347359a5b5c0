"""Write files whole or not at all, and let one process at a time write to a folder.

The course writes every file through :func:`replacing`, so a killed run leaves either the old file
or the new one.
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
    """Another run is writing to a folder; one sentence names it."""


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a temporary file, and put it in place once it is complete.

    Parameters
    ----------
    path : str or PathLike
        The final place. A missing folder is created.

    Yields
    ------
    Path
        A temporary file beside ``path``, with the same suffix, as some writers choose the format
        by it. It replaces ``path`` atomically when the block ends, and is removed when the block
        raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # tempfile would make it private, but others are meant to read what we leave behind
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
    """Lock a folder for one run.

    The operating system releases the lock when the process ends, however it ends. On a file
    system without locks, nothing is locked.

    Parameters
    ----------
    folder : str or PathLike
        It is created if missing.

    Raises
    ------
    BusyError
        If another run has locked it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BusyError(
            f"another run is writing to {folder}: wait until it ends, or stop it."
        ) from None
    except (OSError, NotImplementedError):  # no locks on this file system
        pass
    try:
        yield
    finally:
        lock.release()
