"""Files that are whole or not there: everything the course writes goes through `replacing`.

A killed run so leaves either the old file or the new one.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vggish.download import DownloadError, download, sha256_of

__all__ = ["DownloadError", "download", "replacing", "sha256_of"]

_asking = threading.Lock()  # a cluster's worker may have several threads


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
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}-", suffix=f".part{path.suffix}"
    )
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        # mkstemp makes private files; what we leave behind is meant to be read
        aside.chmod(0o666 & ~_umask())
        with aside.open("rb+") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _umask() -> int:
    """Return what the process denies to new files."""
    with _asking:  # it can be asked only by changing it
        umask = os.umask(0)
        os.umask(umask)
    return umask
