"""Decoders, block by block: libsndfile, and FFmpeg's libraries for formats that it does not know.

libsndfile reads wav, flac, ogg, mp3 and their kin. G.722, GSM, m4a and the sound tracks of mp4 and
webm go to FFmpeg's libraries. What a file's header says of its length is compared with what is
there, as far as these libraries do not do that themselves. :mod:`audioseg.audio` turns the
samples into the form that the course needs.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from audioseg.errors import CourseError

LIBSNDFILE_MALFORMED = 3  # its number for a format that it knows and contents that do not fit
MISSING_SECONDS = 0.1  # encoders round lengths to their frames; more than this is a cut file

# formats without a header are known by their suffix only
HEADERLESS = {".g722": "g722", ".gsm": "gsm"}
# FFmpeg knows formats that open other files and addresses; these are the ones that hold sound
CONTAINERS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,flac,flv,g722,gsm,matroska,webm,mov,mp4,m4a,3gp,mp3,mpeg,"
    "mpegts,ogg,w64,wav"
)
# containers that state how long they are, rather than leaving it to a guess from the bit rate
DATED_CONTAINERS = {"mov", "matroska", "flv", "asf", "avi"}
# what libmpg123 prints while libsndfile reads mp3; dropped, as the error or the samples say it too
MPG123_NOTES = re.compile(rb"\[src/libmpg123/|Note: |Warning: |\s*$")

_terminal = threading.Lock()


class AudioError(CourseError):
    """A recording cannot be read; one sentence with the file, the reason and what to do."""


class Decoder(NamedTuple):
    """An open file.

    Attributes
    ----------
    sample_rate, channels : int
        As the header says.
    seconds : float or None
        The length that the header states, where it states one.
    tolerance : float
        By how many seconds that may be wrong.
    decode : callable
        Returns an iterator over blocks [shape=(samples, channels), dtype=float32], once; it raises
        :class:`AudioError` where the file is damaged.
    fault : AudioError or None
        What is wrong with the end of the file, although it can be decoded.
    """

    sample_rate: int
    channels: int
    seconds: float | None
    tolerance: float
    decode: Callable[[], Iterator[np.ndarray]]
    fault: AudioError | None = None


@contextmanager
def open_decoder(path: Path, block_values: int) -> Iterator[Decoder]:
    """Open a file with the library that knows it.

    Parameters
    ----------
    path : Path
        The file; recognised by its content, except for the two formats that have no header.
    block_values : int
        Samples times channels to be decoded at a time, roughly.

    Raises
    ------
    AudioError
        If it is of no known format or has no sound.
    """
    if path.suffix.lower() in HEADERLESS:
        with _open_libav(path) as decoder:
            yield decoder
        return
    import soundfile

    try:
        with without_notes():
            file = soundfile.SoundFile(os.fspath(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # a name that ends in .raw needs a rate
        if getattr(error, "code", None) == LIBSNDFILE_MALFORMED:
            raise _damaged(path, error.error_string) from None
        with _open_libav(path) as decoder:
            yield decoder
        return
    with file:
        # streamed files state the largest number there is
        known = 0 < file.frames < 1 << 40
        if file.format == "MP3" and not _mp3_states_its_length(path):
            known = False
        seconds = file.frames / file.samplerate if known and file.samplerate > 0 else None
        block_frames = max(1, block_values // max(1, file.channels))
        quiet = without_notes if file.format == "MP3" else nullcontext

        def decode() -> Iterator[np.ndarray]:
            while True:
                try:
                    with quiet():
                        # read(), not blocks(), which trusts the number of frames in the header
                        block = file.read(block_frames, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError as error:
                    raise _damaged(path, error.error_string) from None
                if not len(block):
                    return
                yield block

        fault = _cut_in_its_header(path, file)
        yield Decoder(file.samplerate, file.channels, seconds, MISSING_SECONDS, decode, fault)


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep libmpg123's notes off the terminal; libsndfile has no switch for them.

    They go to standard error below Python's level, so that is diverted meanwhile. What others
    write there in these milliseconds is passed on afterwards.
    """
    with _terminal, tempfile.TemporaryFile() as aside:
        try:
            with diverted(aside) as terminal:
                yield
        finally:
            aside.seek(0)
            for line in aside if terminal is not None else ():
                if not MPG123_NOTES.match(line):
                    os.write(2, line)


@contextmanager
def diverted(file: IO) -> Iterator[int | None]:
    """Write to a file what goes to standard error meanwhile, even from libraries in C.

    Yields
    ------
    int or None
        The descriptor of the terminal, or None if standard error is closed.
    """
    try:
        # a file that is opened after standard error was closed takes its number
        terminal = os.dup(2) if file.fileno() != 2 else None
    except OSError:
        terminal = None
    if terminal is None:
        yield None
        return
    os.dup2(file.fileno(), 2)
    try:
        yield terminal
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def _cut_in_its_header(path: Path, file) -> AudioError | None:
    """Return the error for wav, aiff and au files that are shorter than their headers state.

    libsndfile corrects the length in silence, but writes the correction into its log.
    """
    stated = re.search(
        r"^ *(?:data|SSND|riff|Data Size) *: (\d+) \(should be (\d+)\)",
        file.extra_info,
        re.MULTILINE,
    )
    if not stated:
        return None
    said, is_there = (int(number) for number in stated.groups())
    lost = (said - is_there) / max(1, is_there) * file.frames / max(1, file.samplerate)
    # programs that do not know the length yet write 0 or one of the largest numbers
    if 0 < said < 0x7FFF0000 and lost > MISSING_SECONDS:
        have = file.frames / file.samplerate
        return cut_short(path, have + lost, have)
    return None


def _mp3_states_its_length(path: Path) -> bool:
    """Return whether an MP3 file says how many frames it has.

    Many do not, and libmpg123 then takes the size of the file, cover picture and all, by the rate
    of the first frame.
    """
    with path.open("rb") as file:
        start, skipped = file.read(10), 0
        if start[:3] == b"ID3":
            for seven_bits in start[6:]:
                skipped = skipped << 7 | seven_bits & 0x7F
            skipped += 10
        file.seek(skipped)
        first = file.read(4096)  # a frame has at most 1441 bytes
    for tag in (b"Xing", b"Info"):
        at = first.find(tag)
        if at >= 0:  # the last of the flags that follow: whether it tells the number of frames
            return bool(int.from_bytes(first[at + 4 : at + 8], "big") & 1)
    return b"VBRI" in first


def cut_ogg_page(path: Path) -> AudioError | None:
    """Return the error for an Ogg file whose last page is cut; decoders pass over it in silence."""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return None
        file.seek(max(0, path.stat().st_size - (1 << 17)))  # a page has at most 65,307 bytes
        tail = file.read()
    start = tail.rfind(b"OggS")
    sizes = tail[start + 27 :]
    segments = tail[start + 26] if len(tail) > start + 26 else 256
    whole = 27 + segments + sum(sizes[:segments])
    if 0 <= start and len(sizes) >= segments and len(tail) - start >= whole:
        return None
    return AudioError(f"{path} breaks off within its last Ogg page: fetch or export it again.")


@contextmanager
def _open_libav(path: Path) -> Iterator[Decoder]:
    """Open with FFmpeg's libraries."""
    import av

    with path.open("rb") as file:  # a file object: no name can be taken for an address
        try:
            container = av.open(
                file,
                format=HEADERLESS.get(path.suffix.lower()),
                container_options={"format_whitelist": CONTAINERS},
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError, ValueError, OverflowError):
            raise AudioError(
                f"{path} is in no format that can be read, or its header is damaged: export it "
                "again, as wav or flac."
            ) from None
        with container:
            if not container.streams.audio:
                raise AudioError(f"{path} has no sound track: leave it out.")
            track = container.streams.audio[0]
            if track.codec_context is None or not track.rate or not track.channels:
                raise AudioError(
                    f"{path} is coded in an unknown way, or its header is damaged: export it "
                    "again, as wav or flac."
                )
            seconds = None
            if DATED_CONTAINERS & set(container.format.name.split(",")):
                if track.duration is not None:
                    seconds = float(track.duration * track.time_base)
                elif container.duration is not None and len(container.streams) == 1:
                    seconds = container.duration / av.time_base
            # these lengths include what the codec puts before and after the sound
            tolerance = 0.5 + 0.01 * (seconds or 0.0)

            def decode() -> Iterator[np.ndarray]:
                packed = av.AudioResampler(format="flt")
                try:
                    for frame in container.decode(track):
                        frame.pts = None
                        for part in packed.resample(frame):
                            yield part.to_ndarray().reshape(part.samples, -1)
                except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
                    reason = getattr(error, "strerror", None) or str(error)
                    raise _damaged(path, reason) from None

            yield Decoder(track.rate, track.channels, seconds, tolerance, decode)


def _damaged(path: Path, reason: str) -> AudioError:
    """Return the error for a file that a decoder cannot decode."""
    reason = reason.removeprefix("Error : ").rstrip(".")
    return AudioError(f"{path} is damaged or cut short ({reason}): fetch or export it again.")


def cut_short(path: Path, stated: float, have: float) -> AudioError:
    """Return the error for a recording that ends too early."""
    return AudioError(
        f"{path} should last {stated:.2f} s by its header but ends after {have:.2f} s: it was cut "
        "short, fetch or export it again."
    )
