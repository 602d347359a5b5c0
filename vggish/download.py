"""Downloads that resume, and are verified before they appear.

No library does this: pooch (1.9) verifies a checksum too, but starts a new temporary file at every
attempt, so after a broken connection the 291 MB of Google's checkpoint would start again from the
first byte; requests and urllib3 repeat a request, but not the rest of a body. Here, the bytes that
have arrived stay in ``<path>.part``; the next attempt, or the next run, asks for the rest; and a
file gets its final name once its SHA-256 is right.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from vggish.errors import SentenceError

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30
ATTEMPTS = 5
# the disk's faults, not the network's
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


class DownloadError(SentenceError):
    """A download failed, or gave another file than expected; one sentence says what to do."""


def sha256_of(*paths: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, or of several one after the other, as 64 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def download(
    url: str, path: str | os.PathLike, *, sha256: str, size: int | None = None, label: str = ""
) -> Path:
    """Fetch a file, resuming where an earlier attempt stopped, and verify it.

    Parameters
    ----------
    url : str
        Where the file is.
    path : str or PathLike
        Where it goes. A file that is there with the right checksum is not fetched again. Until the
        checksum is verified, the data is in ``<path>.part``.
    sha256 : str
        The expected SHA-256, in hexadecimal.
    size : int, optional
        The expected number of bytes; more are never written.
    label : str, optional
        The name on the progress bar; the file's name by default.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    DownloadError
        If the server cannot be reached, or did not send the expected file.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    if path.exists() and sha256_of(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    by_hand = f"fetch it by hand to {path} (sha256 {sha256})"
    for attempt in range(1, ATTEMPTS + 1):
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
        if attempt == ATTEMPTS or "refused" in reason or "resolution" in reason:
            raise DownloadError(
                f"{url} could not be fetched ({reason}): connect to the network and run the same "
                f"command again (it goes on where it stopped), or {by_hand}."
            ) from None
        time.sleep(2**attempt / 8)
    got = sha256_of(part)
    if got != sha256:
        part.unlink()
        raise DownloadError(
            f"{url} has the sha256 {got} where {sha256} was expected, so it was thrown away: "
            f"run the same command again, and if that does not help {by_hand}."
        )
    return part.replace(path)


def _fetch_rest(url: str, part: Path, size: int | None, label: str) -> None:
    """Append the missing rest of ``url`` to ``part``."""
    have = part.stat().st_size if part.exists() else 0
    if have and have == size:
        return
    if size is not None and have > size:
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies past what we have; the checksum decides
            return
        raise
    with answer:
        if answer.status != 206:  # this server cannot resume: from the start
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
