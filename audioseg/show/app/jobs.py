"""The recordings that people have sent: kept in a folder, segmented in turns.

There is one network for several recordings. After each stretch of audio it turns to the next
recording that waits, so a short recording need not wait for the end of a long one.
"""

from __future__ import annotations

import collections
import re
import secrets
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Protocol

from audioseg import audio
from audioseg.errors import CourseError
from audioseg.segmentation import pages
from vggish.errors import SentenceError

AT_ONCE = 3  # recordings that are at work at a time; the others wait
NAME_BYTES = 180  # file systems allow 255, and suffixes come behind
FORGOTTEN_SECONDS = 3600.0  # that nobody has asked for a recording; then it may go
# devices, whatever comes behind the dot
WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]) *(\..*)?", re.IGNORECASE)


class UploadError(CourseError):
    """A recording is refused; one sentence says why and what to do."""


class Cancelled(Exception):
    """Somebody has removed the recording."""


class Work(Protocol):
    """Segments recordings, as :class:`audioseg.segmentation.segmenter.Segmenter` does."""

    def segment(self, path: Path, progress: Callable[[float], None]) -> Any:
        """Segment a recording."""

    def write(self, path: Path, result: Any, stem: Path) -> list[Path]:
        """Write what people get of it; the page last."""


class Turns:
    """A lock for whoever has waited longest; ``threading.Lock`` may starve some."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: collections.deque[threading.Event] = collections.deque()
        self._taken = False

    def __enter__(self) -> Turns:
        with self._guard:
            if not self._taken:
                self._taken = True
                return self
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()
        return self

    def __exit__(self, *error) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()  # it stays taken, by another
            else:
                self._taken = False

    def pass_on(self) -> None:
        """Let the next one have its turn, and come back behind all who wait."""
        self.__exit__()
        self.__enter__()


@dataclass
class Job:
    """A recording and its ``state``: waiting, working, writing, done or failed.

    ``done`` and ``seconds`` count audio: how much of it is done, and how much there is, which is
    unknown in some formats. ``asked`` is when somebody last asked for it, or a part of it came in.
    """

    key: str
    name: str
    folder: Path
    state: str = "waiting"
    done: float = 0.0
    seconds: float | None = None
    error: str = ""
    note: str = ""
    files: list[Path] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)
    asked: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """The recording."""
        return self.folder / "sent" / self.name

    def said(self, ahead: int) -> dict[str, Any]:
        """Return what the browser is told; ``ahead`` is how many recordings are before it."""
        return {
            "name": self.name,
            "state": self.state,
            "ahead": ahead,
            "done": round(self.done, 1),
            "seconds": self.seconds,
            "error": self.error,
            "note": self.note,
            "shares": self.shares,
            "files": [file.name for file in self.files],
        }


class Jobs:
    """All recordings of a running app.

    Parameters
    ----------
    folder : Path
        Where to keep them.
    work : Work
        Segments them.
    most : int
        How many to hold at a time.
    """

    def __init__(self, folder: Path, work: Work, *, most: int) -> None:
        self.folder, self.work, self.most = folder, work, most
        self._jobs: dict[str, Job] = {}
        self._turns = Turns()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="recording")

    def get(self, key: str) -> Job | None:
        """Return a recording by its key, which nobody can guess."""
        job = self._jobs.get(key)
        if job:
            job.asked = time.monotonic()
        return job

    def ahead(self, job: Job) -> int:
        """Return how many recordings wait before this one."""
        waiting = [other for other in self._jobs.values() if other.state == "waiting"]
        return waiting.index(job) if job in waiting else 0

    def new(self, name: str) -> Job:
        """Make room for a recording that is coming in.

        If there are too many, the one that nobody has asked for in the longest time goes, if that
        is more than an hour: done, at work, or stuck on its way in.

        Raises
        ------
        UploadError
            If its name is not a plain file name, or there are too many already.
        """
        name = plain_name(name)
        if len(self._jobs) >= self.most:
            oldest = min(self._jobs.values(), key=lambda job: job.asked)
            if time.monotonic() - oldest.asked > FORGOTTEN_SECONDS:
                self.remove(oldest)
        if len(self._jobs) >= self.most:
            raise UploadError(
                f"{self.most} recordings are here already, and no more are taken: remove one that "
                "is done, or come back in an hour."
            )
        job = Job(secrets.token_urlsafe(16), name, self.folder)
        job.folder = self.folder / job.key
        job.path.parent.mkdir(parents=True)
        self._jobs[job.key] = job
        return job

    def start(self, job: Job) -> None:
        """Segment a recording that has come in, as soon as it is its turn."""
        self._threads.submit(self._do, job)

    def remove(self, job: Job) -> None:
        """Stop work on a recording, and forget it and all that was made of it."""
        job.cancelled.set()
        self._jobs.pop(job.key, None)
        if job.state not in ("working", "writing"):  # else its thread does it
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop all work."""
        for job in list(self._jobs.values()):
            job.cancelled.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _do(self, job: Job) -> None:
        try:
            self._segment(job)
        except Cancelled:
            pass
        except (SentenceError, ValueError, OSError) as error:
            job.error = str(error).replace(str(job.path), job.name)
            job.state = "failed"
        except Exception as error:
            traceback.print_exc(file=sys.stderr)  # for whoever runs the app
            job.error = f"{job.name} could not be segmented ({type(error).__name__}): try another."
            job.state = "failed"
        finally:
            shutil.rmtree(job.path.parent, ignore_errors=True)
            if job.cancelled.is_set():
                shutil.rmtree(job.folder, ignore_errors=True)

    def _segment(self, job: Job) -> None:
        def progress(seconds: float) -> None:
            job.done += seconds
            if job.cancelled.is_set():
                raise Cancelled
            self._turns.pass_on()

        if job.cancelled.is_set():
            raise Cancelled
        job.state = "working"
        job.seconds = audio.stated_seconds(job.path)
        with self._turns:
            result = self.work.segment(job.path, progress)
        job.state = "writing"
        job.files = self.work.write(job.path, result, job.folder / Path(job.name).stem)
        job.seconds, job.note = result.seconds, pages.note_on(job.path, result)
        for start, end, label in result.track:
            job.shares[label] = job.shares.get(label, 0.0) + (end - start) / result.seconds
        job.state = "done"


def plain_name(name: str) -> str:
    """Return a file's name, checked: it can be written on any system.

    Raises
    ------
    UploadError
        If it names a folder too, is empty, hidden or too long, holds forbidden characters, or means
        something else to Windows.
    """
    plain = name and name == PurePosixPath(name).name == PureWindowsPath(name).name
    odd = name.startswith(".") or name.endswith((".", " ")) or WINDOWS_DEVICES.fullmatch(name)
    if not plain or odd or not name.isprintable() or set(name) & set('<>:"|?*'):
        raise UploadError(
            f"{name[:80]!r} is not a plain file name: rename it, without folders and special "
            "characters, and send it again."
        )
    if len(name.encode("utf-8", "replace")) > NAME_BYTES:
        raise UploadError(f"the name {name[:40]!r}… is too long: give the file a shorter one.")
    return name
