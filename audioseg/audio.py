"""Audio files of any common format, decoded in blocks.

:func:`open_audio` opens a recording; :func:`read_16k_blocks` reads it at VGGish's rate in blocks,
in memory that does not depend on its length; :func:`load` reads all of it. Samples are float32,
full scale is 1.0 (16-bit samples are divided by 32768). Several channels become one: their mean,
or the loudest one if they cancel each other.

libsndfile reads wav, flac, ogg, mp3 and the like; FFmpeg's libraries read the rest (G.722, GSM,
m4a, the sound tracks of mp4 and webm). A damaged file is refused, as labels would no longer fit
what follows the damage. Where there are no labels yet, :class:`Findings` asks for what comes before
it.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audioseg.errors import CourseError
from vggish.frontend import SAMPLE_RATE
from vggish.resample import resample_blocks

BLOCK_VALUES = 1 << 20  # samples times channels that are decoded at a time: 4 MB
SAMPLE_RATE_LIMITS = (1_000, 1_000_000)  # hertz; anything else is no audio but a broken header
CHANNELS_LIMITS = (1, 64)
PEAK_LIMIT = 64.0  # 36 dB over full scale: not loud, but integers in a floating-point file
LIBSNDFILE_MALFORMED = 3  # its number for a format that it knows and contents that do not fit
MISSING_SECONDS = 0.1  # encoders round lengths to their frames; more than this is a cut file

SUFFIXES = frozenset(
    ".3gp .aac .ac3 .aif .aifc .aiff .amr .au .avi .caf .flac .flv .g722 .gsm .m4a .m4b .mka .mkv "
    ".mov .mp2 .mp3 .mp4 .mpeg .mpg .oga .ogg .opus .rf64 .snd .w64 .wav .wave .webm .wma "
    ".wmv".split()
)

# formats without a header are known by their suffix only
HEADERLESS = {".g722": "g722", ".gsm": "gsm"}
# FFmpeg knows formats that open other files and addresses; these are the ones that hold sound
CONTAINERS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,flac,flv,g722,gsm,matroska,webm,mov,mp4,m4a,3gp,mp3,mpeg,"
    "mpegts,ogg,w64,wav"
)
# containers that state how long they are, rather than leaving it to a guess from the bit rate
DATED_CONTAINERS = {"mov", "matroska", "flv", "asf", "avi"}
# what libmpg123 says while libsndfile reads mp3: nothing that the error or the samples do not say
MPG123_NOTES = re.compile(rb"\[src/libmpg123/|Note: |Warning: |\s*$")

TOLERANT_BLOCK_VALUES = 1 << 14  # what is lost at most before a damage, where it is looked for
CANCELLED = 0.01  # power of the mean beside that of the louder channel: 20 dB less

_terminal = threading.Lock()


class AudioError(CourseError):
    """A recording cannot be read; one sentence with the file, the reason and what to do."""


@dataclass
class Findings:
    """Lets a damaged recording be read as far as possible, and keeps what was found on the way.

    Attributes
    ----------
    broken : AudioError or None
        What ended the reading before the recording's end.
    cancelled : bool
        Whether channels cancelled each other somewhere, so that the louder one was taken.
    """

    broken: AudioError | None = None
    cancelled: bool = False


@dataclass(frozen=True)
class AudioStream:
    """An open recording.

    Attributes
    ----------
    path : Path
        The file.
    sample_rate : int
        Hertz.
    channels : int
        The channels in the file. :meth:`blocks` gives their mean.
    seconds : float or None
        The length in the header, or None if it has none.
    """

    path: Path
    sample_rate: int
    channels: int
    seconds: float | None
    _decoded: Callable[[], Iterator[np.ndarray]]
    _tolerance: float = MISSING_SECONDS
    _findings: Findings | None = None

    def blocks(self) -> Iterator[np.ndarray]:
        """Decode the recording from its start, once.

        Yields
        ------
        np.ndarray [shape=(samples,), dtype=float32]
            Consecutive samples at ``sample_rate``: the mean of the channels, or the loudest one in
            any second in which they cancel each other. Lengths differ.

        Raises
        ------
        AudioError
            If the file is damaged, holds no samples, or ends before its header says it does. With
            findings, only if it holds no samples before that.
        """
        samples = 0
        try:
            for block in self._seconds():
                mono, cancelled = to_mono(block)
                if self._findings and cancelled:
                    self._findings.cancelled = True
                self._check_sizes(mono, samples)
                samples += len(mono)
                yield mono
            missing = (self.seconds or 0.0) - samples / self.sample_rate
            if samples and missing > self._tolerance:
                raise _cut(self.path, self.seconds, samples / self.sample_rate)
        except AudioError as error:
            if self._findings is None or not samples:
                raise
            self._findings.broken = error
        if not samples:
            raise AudioError(f"{self.path} holds no samples: record or export it again.")

    def _seconds(self) -> Iterator[np.ndarray]:
        """Decode; cut several channels into blocks of a second, however long the decoder's are."""
        if self.channels == 1:
            yield from self._decoded()
            return
        rest: list[np.ndarray] = []
        failed = None
        try:
            for block in self._decoded():
                rest.append(block)
                if sum(map(len, rest)) < self.sample_rate:
                    continue
                whole = np.concatenate(rest)
                used = len(whole) - len(whole) % self.sample_rate
                for start in range(0, used, self.sample_rate):
                    yield whole[start : start + self.sample_rate]
                rest = [whole[used:]]
        except AudioError as error:
            failed = error
        if sum(map(len, rest)):
            yield np.concatenate(rest)
        if failed:
            raise failed

    def _check_sizes(self, mono: np.ndarray, before: int) -> None:
        """Refuse samples that are not numbers, or that are integers."""
        loudest = np.abs(mono).argmax() if len(mono) else None  # NaN counts as the largest
        peak = 0.0 if loudest is None else abs(float(mono[loudest]))
        where = f"{self.path} at {(before + (loudest or 0)) / self.sample_rate:.3f} s"
        if not math.isfinite(peak):
            raise AudioError(f"{where} holds samples that are no numbers: export it again.")
        if peak > PEAK_LIMIT:
            raise AudioError(
                f"{where} reaches {peak:g}, where full scale is 1.0: divide the samples by "
                "the full scale of the integers they came from."
            )


def to_mono(block: np.ndarray) -> tuple[np.ndarray, bool]:
    """Mix channels to one: their mean, or the loudest one if they cancel each other.

    The mean of channels with opposite phase (a plug wired the wrong way) is nearly silent.

    Parameters
    ----------
    block : np.ndarray [shape=(samples, channels), dtype=float32]
        A second, or less.

    Returns
    -------
    tuple of (np.ndarray [shape=(samples,), dtype=float32], bool)
        The channel, and whether the channels cancel each other: their mean is 20 dB below it.
    """
    if block.shape[1] == 1:
        return block[:, 0], False
    mean = block.mean(axis=1, dtype=np.float64)
    power = np.square(block, dtype=np.float64).sum(axis=0)
    if np.square(mean).sum() < CANCELLED * power.max():
        # of channels equally loud the first, in every second: a change of phase would click
        return block[:, np.flatnonzero(power >= 0.5 * power.max())[0]], True
    return mean.astype(np.float32), False


@contextmanager
def open_audio(
    path: str | os.PathLike, *, findings: Findings | None = None
) -> Iterator[AudioStream]:
    """Open a recording of any common format.

    Parameters
    ----------
    path : str or PathLike
        The file. Its content tells the format, not its suffix, except for the two formats
        without a header, ``.g722`` (64 kbit/s, 16 kHz) and ``.gsm`` (8 kHz).
    findings : Findings, optional
        Reads a damaged recording as far as it goes, and says here what was found.

    Yields
    ------
    AudioStream
        Open as long as the block.

    Raises
    ------
    AudioError
        If the file is missing or empty, has no known format or no sound, or has a false header.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise AudioError(f"{path} is a folder, not a recording: move it away.")
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({error.strerror}): check that it is there."
        ) from None
    if not size:
        raise AudioError(f"{path} is empty (0 bytes): fetch or export it again.")
    if head[:4] == b"OggS":
        with _noting(findings):
            _check_last_ogg_page(path, size)
    opener = _open_libav if path.suffix.lower() in HEADERLESS else _open_libsndfile
    with opener(path, findings) as stream:
        for number, (low, high), what in (
            (stream.sample_rate, SAMPLE_RATE_LIMITS, "samples a second"),
            (stream.channels, CHANNELS_LIMITS, "channels"),
        ):
            if not low <= number <= high:
                raise AudioError(
                    f"{path} says it has {number} {what}, which is not between {low} and {high}: "
                    "its header is broken, export it again."
                )
        yield stream


@contextmanager
def _noting(findings: Findings | None) -> Iterator[None]:
    """Keep an error in the findings and go on, if there are findings."""
    try:
        yield
    except AudioError as error:
        if findings is None:
            raise
        findings.broken = error


@contextmanager
def _without_notes() -> Iterator[None]:
    """Keep libmpg123's notes off the terminal; libsndfile has no switch for them.

    They go to standard error beneath Python, which goes aside meanwhile. What others write there
    in these milliseconds follows.
    """
    with _terminal, tempfile.TemporaryFile() as aside:
        try:
            terminal = os.dup(2)
        except OSError:  # it is closed, and quiet
            yield
            return
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            aside.seek(0)
            for line in aside:
                if not MPG123_NOTES.match(line):
                    os.write(2, line)


@contextmanager
def _open_libsndfile(path: Path, findings: Findings | None) -> Iterator[AudioStream]:
    """Open with libsndfile, or else with FFmpeg's libraries."""
    import soundfile

    try:
        with _without_notes():
            file = soundfile.SoundFile(os.fspath(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # a name that ends in .raw needs a rate
        if getattr(error, "code", None) == LIBSNDFILE_MALFORMED:
            raise _damaged(path, error.error_string) from None
        with _open_libav(path, findings) as stream:
            yield stream
        return
    with file:
        with _noting(findings):
            _check_stated_bytes(path, file)
        # streamed files state the largest number there is
        known = 0 < file.frames < 1 << 40
        seconds = file.frames / file.samplerate if known and file.samplerate > 0 else None
        values = BLOCK_VALUES if findings is None else TOLERANT_BLOCK_VALUES
        block_frames = max(1, values // max(1, file.channels))
        quiet = _without_notes if file.format == "MP3" else nullcontext

        def decoded() -> Iterator[np.ndarray]:
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

        yield AudioStream(
            path, file.samplerate, file.channels, seconds, decoded, _findings=findings
        )


def _check_stated_bytes(path: Path, file) -> None:
    """Refuse wav, aiff and au files that are shorter than their headers state.

    libsndfile corrects the length in silence, but writes the correction into its log.
    """
    stated = re.search(
        r"^ *(?:data|SSND|riff|Data Size) *: (\d+) \(should be (\d+)\)",
        file.extra_info,
        re.MULTILINE,
    )
    if stated:
        said, is_there = (int(number) for number in stated.groups())
        lost = (said - is_there) / max(1, is_there) * file.frames / max(1, file.samplerate)
        # 0 and the largest numbers are what programs write that do not know the length yet
        if 0 < said < 0x7FFF0000 and lost > MISSING_SECONDS:
            have = file.frames / file.samplerate
            raise _cut(path, have + lost, have)


def _check_last_ogg_page(path: Path, size: int) -> None:
    """Refuse an Ogg file whose last page is cut; decoders pass over it in silence."""
    with path.open("rb") as file:
        file.seek(max(0, size - (1 << 17)))  # a page has at most 65,307 bytes
        tail = file.read()
    start = tail.rfind(b"OggS")
    sizes = tail[start + 27 :]
    segments = tail[start + 26] if len(tail) > start + 26 else 256
    whole = 27 + segments + sum(sizes[:segments])
    if start < 0 or len(sizes) < segments or len(tail) - start < whole:
        raise AudioError(f"{path} breaks off within its last Ogg page: fetch or export it again.")


@contextmanager
def _open_libav(path: Path, findings: Findings | None) -> Iterator[AudioStream]:
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

            def decoded() -> Iterator[np.ndarray]:
                packed = av.AudioResampler(format="flt")
                try:
                    for frame in container.decode(track):
                        frame.pts = None
                        for part in packed.resample(frame):
                            yield part.to_ndarray().reshape(part.samples, -1)
                except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
                    reason = getattr(error, "strerror", None) or str(error)
                    raise _damaged(path, reason) from None

            yield AudioStream(
                path, track.rate, track.channels, seconds, decoded, tolerance, findings
            )


def _damaged(path: Path, reason: str) -> AudioError:
    """Return the error for a file that a decoder cannot decode."""
    reason = reason.removeprefix("Error : ").rstrip(".")
    return AudioError(f"{path} is damaged or cut short ({reason}): fetch or export it again.")


def _cut(path: Path, stated: float, have: float) -> AudioError:
    """Return the error for a recording that ends too early."""
    return AudioError(
        f"{path} should last {stated:.2f} s by its header but ends after {have:.2f} s: it was cut "
        "short, fetch or export it again."
    )


def read_16k_blocks(
    path: str | os.PathLike, *, sample_rate: int = SAMPLE_RATE, findings: Findings | None = None
) -> Iterator[np.ndarray]:
    """Read a recording at VGGish's sample rate, in blocks.

    Parameters
    ----------
    path : str or PathLike
        The file.
    sample_rate : int
        Hertz. Recordings of another rate are resampled with the filter that VGGish was
        published with.
    findings : Findings, optional
        Reads a damaged recording as far as it goes, and says here what was found.

    Yields
    ------
    np.ndarray [shape=(samples,), dtype=float32]
        Consecutive samples, one channel, full scale 1.0. Lengths differ; joined, they are the
        whole recording.

    Raises
    ------
    AudioError
        If the file cannot be read; see :func:`open_audio`.
    """
    samples = 0
    with open_audio(path, findings=findings) as stream:
        for block in resample_blocks(stream.blocks(), stream.sample_rate, sample_rate):
            samples += len(block)
            yield block
    if not samples:
        raise AudioError(f"{path} is shorter than one sample at {sample_rate} Hz: record it again.")


def load(path: str | os.PathLike, *, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a whole recording.

    Parameters
    ----------
    path : str or PathLike
        The file.
    sample_rate : int
        Hertz; recordings of another rate are resampled.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=float32]
        One channel, full scale 1.0.

    Raises
    ------
    AudioError
        If the file cannot be read; see :func:`open_audio`.
    """
    return np.concatenate(list(read_16k_blocks(path, sample_rate=sample_rate)))
