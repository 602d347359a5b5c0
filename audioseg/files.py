"""Files that are whole or not there: writing aside, one run a folder, checksums, downloads.

Everything the project writes goes through :func:`replacing`, so that a killed run leaves either
the old file or the new one, and everything it fetches goes through :func:`download`, so that
nothing unverified ever stands under its final name.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from audioseg.errors import CourseError

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30
ATTEMPTS = 5
# the disk's faults, not the network's
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}

_asking = threading.Lock()  # a cluster's worker may have several threads


class BusyError(CourseError):
    """A folder that another run is writing to; one sentence that names it."""


class DownloadError(CourseError):
    """A download that did not end in the expected file; one sentence that says what to do."""


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
    with (folder / ".lock").open("ab") as file:
        try:
            if os.name == "nt":
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise BusyError(
                    f"another run is at work on {folder}: wait until it has ended, or end it."
                ) from None
        yield


def _umask() -> int:
    """Return what the process denies to new files."""
    with _asking:  # it can be asked only by changing it
        umask = os.umask(0)
        os.umask(umask)
    return umask


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(
    url: str, path: str | os.PathLike, *, sha256: str, size: int | None = None, label: str = ""
) -> Path:
    """Fetch a file, resuming where an earlier attempt stopped, and verify it.

    Parameters
    ----------
    url : str
        Where the file is.
    path : str or PathLike
        Where it goes. A file that is there already with the right checksum is not fetched again.
        Until the checksum has been verified, the data stands in ``<path>.part``.
    sha256 : str
        The expected SHA-256, in hexadecimal.
    size : int, optional
        The expected number of bytes: more than that is never written.
    label : str, optional
        What the progress bar calls it; the file's name by default.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    DownloadError
        If the server cannot be reached, or what it sent is not the expected file.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.exists() and sha256_of(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    by_hand = f"fetch it by hand to {path} (sha256 {sha256})"
    for attempt in range(ATTEMPTS):
        try:
            _fetch_rest(url, part, size, label or path.name)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise DownloadError(
                    f"{url} answered {error.code} {error.reason}: {by_hand}."
                ) from None
            reason = str(error)
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise
            reason = str(getattr(error, "reason", None) or error)
        if attempt + 1 == ATTEMPTS or "refused" in reason or "resolution" in reason:
            raise DownloadError(
                f"{url} could not be fetched ({reason}): connect to the network and run the same "
                f"command again, it goes on where it stopped, or {by_hand}."
            ) from None
        time.sleep(2**attempt / 4)
    got = sha256_of(part)
    if got != sha256:
        part.unlink()
        raise DownloadError(
            f"{url} has the sha256 {got} where {sha256} was expected, so it was thrown away: "
            f"run the same command again, and if that does not help {by_hand}."
        )
    part.replace(path)
    return path


def _fetch_rest(url: str, part: Path, size: int | None, label: str) -> None:
    """Append to ``part`` what it lacks of ``url``."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have > size:
        part.unlink()
        have = 0
    if size is not None and have == size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies past what we have; the checksum decides
            return
        raise
    with answer:
        if have and answer.status != 206:  # this server cannot resume: from the start
            have = 0
        expected = answer.headers.get("Content-Length")
        total = size or (have + int(expected) if expected else None)
        bar = tqdm(
            desc=label, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024
        )
        with bar, part.open("ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                have += len(chunk)
                if size is not None and have > size:
                    break  # not the file we asked for: the checksum will say so
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and have < total:
        raise http.client.IncompleteRead(b"", total - have)
