"""The samples of composed recordings: decode sources, find where speech is, mix, send by phone.

Everything here is a pure function of files and of a plan, and gives the same samples on every run
and with every number of processes. To that end sources become 16-bit integers at once, levels are
exact sums of integers, filters have rounded coefficients, and nothing goes through an FFT or a
matrix product, whose last bits depend on the processor.
"""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import scipy.signal
import soundfile

from audioseg.corpus import singing
from audioseg.errors import CourseError

SAMPLE_RATE = 16_000
BLOCK_SAMPLES = 160  # speech is located to 10 ms
FULL_SCALE = 32_768
PAUSE_SECONDS = 0.8  # a longer pause ends a phrase
SHORTEST_PHRASE_SECONDS = 0.35
G722_DELAY_SAMPLES = 22  # of encoder and decoder together
COEFFICIENT_DECIMALS = 10
# what only PyAV reads; soundfile (libvorbis) reads some Ogg files that PyAV does not
RAW_FORMATS = {".g722": "g722", ".gsm": "gsm"}


class CorpusError(CourseError):
    """A corpus that cannot be made; one sentence that names the file and says what to do."""


# -- from a source to samples


@functools.cache
def _resampling_filter(up: int, down: int) -> np.ndarray:
    """Design the low-pass filter between two rates.

    The design ends in transcendental functions, whose last bit differs between processors:
    rounding takes that away.
    """
    longest = max(up, down)
    taps = scipy.signal.firwin(20 * longest + 1, 1 / longest, window=("kaiser", 5.0))
    return np.round(taps, COEFFICIENT_DECIMALS)


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Bring float64 samples from ``rate`` to 16 kHz."""
    if rate == SAMPLE_RATE:
        return samples
    common = math.gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    return scipy.signal.resample_poly(samples, up, down, window=_resampling_filter(up, down))


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Round samples in [-1, 1) to 16 bits; what lies outside is clipped."""
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def read_source(
    path: str | os.PathLike, *, start_seconds: int = 0, seconds: float | None = None
) -> np.ndarray:
    """Decode a source, or an excerpt of it, to 16 kHz, one channel.

    Parameters
    ----------
    path : str or PathLike
        The file. ``song.ogg&guitar.ogg`` stands for the sum of two files side by side.
    start_seconds : int
        Where to start.
    seconds : float, optional
        How much to read at most; to the end by default.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=int16]
        The channels' mean.

    Raises
    ------
    CorpusError
        If the file cannot be decoded.
    """
    first, _, second = str(path).partition("&")
    if second:
        pair = (Path(first), Path(first).with_name(second))
        tracks = [read_source(p, start_seconds=start_seconds, seconds=seconds) for p in pair]
        length = min(map(len, tracks))
        # halved: a sum may be twice as large, and levels are set later anyway
        return ((tracks[0][:length].astype(np.int32) + tracks[1][:length]) // 2).astype(np.int16)
    path = Path(path)
    try:
        if path.suffix in RAW_FORMATS:
            return _excerpt(_decode_raw(path), start_seconds, seconds)
        with soundfile.SoundFile(path) as file:
            file.seek(min(start_seconds * file.samplerate, file.frames))
            frames = -1 if seconds is None else math.ceil(seconds * file.samplerate)
            channels = file.read(frames, dtype="float64", always_2d=True).T
            rate = file.samplerate
    except (av.FFmpegError, soundfile.LibsndfileError, OSError, IndexError) as error:
        raise CorpusError(
            f"{path} cannot be decoded ({error}): remove the folder of its package from the raw "
            "data, and run the same command again."
        ) from None
    mixed = functools.reduce(np.add, channels) / len(channels)
    return _excerpt(to_int16(resample(mixed, rate)), 0, seconds)


def _excerpt(samples: np.ndarray, start_seconds: float, seconds: float | None) -> np.ndarray:
    start = round(start_seconds * SAMPLE_RATE)
    return samples[start : None if seconds is None else start + round(seconds * SAMPLE_RATE)]


@functools.lru_cache(maxsize=8)
def _decode_raw(path: Path) -> np.ndarray:
    """Decode a raw speech codec, which has no header that would name it."""
    with av.open(str(path), format=RAW_FORMATS[path.suffix]) as container:
        rate = container.streams.audio[0].rate
        blocks = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
    if rate == SAMPLE_RATE:
        return samples
    return to_int16(resample(samples / FULL_SCALE, rate))


def source_seconds(path: str | os.PathLike) -> tuple[float, int]:
    """Return how long a source is and its rate, without decoding it.

    Returns
    -------
    seconds : float
    rate : int
        Samples a second.
    """
    path = Path(str(path).partition("&")[0])
    try:
        if path.suffix == ".g722":  # 4 bits a sample
            return path.stat().st_size * 2 / 16_000, 16_000
        if path.suffix == ".gsm":  # 33 bytes for 160 samples
            return path.stat().st_size / 33 * 160 / 8_000, 8_000
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise CorpusError(
            f"{path} cannot be read ({error}): remove the folder of its package from the raw "
            "data, and run the same command again."
        ) from None
    return info.frames / info.samplerate, info.samplerate


# -- where speech is


def block_energies(samples: np.ndarray) -> np.ndarray:
    """Return the energy of each whole block of 10 ms, an exact integer."""
    blocks = samples[: len(samples) // BLOCK_SAMPLES * BLOCK_SAMPLES].astype(np.int64)
    return (blocks.reshape(-1, BLOCK_SAMPLES) ** 2).sum(axis=1)


def find_phrases(samples: np.ndarray) -> list[tuple[int, int, int]]:
    """Find the stretches of speech in a prompt.

    A block is active if it is 10 dB above the prompt's floor (its quietest 50 ms), but that
    threshold stays between 38 and 20 dB below the loud blocks, as a prompt without any pause has
    no floor to go by. Pauses up to 0.8 s are part of a phrase, longer ones end it.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,), dtype=int16]

    Returns
    -------
    list of (start, end, energy)
        Samples, multiples of 160, and the mean energy of an active block.
    """
    energies = block_energies(samples)
    if len(energies) < 5:
        return []
    sums = np.cumsum(np.concatenate([[0], energies]))
    floor = np.sort(sums[5:] - sums[:-5])[int(0.03 * (len(energies) - 5))] / 5
    loud = float(np.sort(energies)[int(0.95 * (len(energies) - 1))])
    threshold = min(max(10 * floor, loud * 10**-3.8), loud * 10**-2)
    active = np.flatnonzero(energies > max(threshold, BLOCK_SAMPLES))
    if not len(active):
        return []
    pause_blocks = round(PAUSE_SECONDS * SAMPLE_RATE / BLOCK_SAMPLES)
    phrases = []
    for run in np.split(active, np.flatnonzero(np.diff(active) > pause_blocks) + 1):
        # speech begins softly and dies away: 30 ms before, 60 ms after
        start = max(int(run[0]) - 3, 0) * BLOCK_SAMPLES
        end = min(int(run[-1]) + 7, len(energies)) * BLOCK_SAMPLES
        if end - start >= SHORTEST_PHRASE_SECONDS * SAMPLE_RATE and len(run) >= 10:
            phrases.append((start, end, int(energies[run].sum()) // len(run)))
    return phrases


# -- gains, fades, filters, noise


def gain_of(decibels: float) -> float:
    """Return the factor of a level, rounded so that every machine has the same one."""
    return round(10 ** (decibels / 20), COEFFICIENT_DECIMALS)


def root_mean_square(samples: np.ndarray) -> float:
    """Return the level of 16-bit samples, full scale 1, from an exact sum."""
    energy = int((samples.astype(np.int64) ** 2).sum())
    return math.sqrt(energy / max(len(samples), 1)) / FULL_SCALE


def faded(samples: np.ndarray, rise: int, fall: int) -> np.ndarray:
    """Return samples that rise from 0 and fall to 0 linearly, over so many samples."""
    samples = np.array(samples, dtype=float)
    rise, fall = min(rise, len(samples) // 2), min(fall, len(samples) // 2)
    samples[:rise] *= np.arange(rise) / max(rise, 1)
    samples[len(samples) - fall :] *= np.arange(fall)[::-1] / max(fall, 1)
    return samples


def narrowed(samples: np.ndarray, hertz: float) -> np.ndarray:
    """Return samples low-passed at a frequency, steeply, as a narrow-band telephone does."""
    sections = scipy.signal.butter(12, hertz, fs=SAMPLE_RATE, output="sos")
    return scipy.signal.sosfilt(np.round(sections, COEFFICIENT_DECIMALS), samples)


def hiss(count: int, rng: np.random.Generator, pole: float) -> np.ndarray:
    """Return noise of level 1: four uniform numbers a sample, through one pole.

    Sums of uniform numbers, as they need no logarithm; a pole at 0 is white, near 1 is dull.
    """
    white = (rng.random((4, count)) - 0.5) * math.sqrt(3)
    white = white[0] + white[1] + white[2] + white[3]
    pole = round(pole, 4)
    scale = round(math.sqrt(1 - pole**2), COEFFICIENT_DECIMALS)
    return scipy.signal.lfilter([scale], [1.0, -pole], white)


def g722_round_trip(samples: np.ndarray) -> np.ndarray:
    """Send 16-bit samples through the wide-band telephone codec, and undo its delay."""
    padded = np.concatenate([samples, np.zeros(G722_DELAY_SAMPLES + 2, np.int16)])
    padded = padded[: len(padded) // 2 * 2]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="g722") as container:
        stream = container.add_stream("g722", rate=SAMPLE_RATE)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(padded[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    buffer.seek(0)
    with av.open(buffer, format="g722") as container:
        heard = np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])
    heard = heard[G722_DELAY_SAMPLES : G722_DELAY_SAMPLES + len(samples)]
    return np.concatenate([heard, np.zeros(len(samples) - len(heard), np.int16)])


# -- a recording


def render(recording: Mapping, raw_folder: str | os.PathLike) -> np.ndarray:
    """Compose one recording.

    Parameters
    ----------
    recording : mapping
        Its plan, as :func:`audioseg.corpus.plan.plan_recordings` makes it.
    raw_folder : str or PathLike
        Where the sources are unpacked.

    Returns
    -------
    np.ndarray [shape=(samples,), dtype=int16]
        16 kHz.
    """
    raw_folder = Path(raw_folder)
    rng = np.random.default_rng(recording["seed"])
    segments = recording["segments"]
    mixed = np.zeros(recording["samples"])
    music = _music_of(segments, raw_folder, rng)
    for index, segment in enumerate(segments):
        length = segment["samples"]
        part = np.zeros(length)
        if segment["phrases"]:
            part += _speech(segment, raw_folder)
        if index in music:
            part += music[index]
        if segment["noise"]:
            sounds = _ambience(segment["noise"], length, raw_folder, rng)
            part += gain_of(segment["noise_db"]) * sounds
        if segment["hiss_db"] is not None:
            part += gain_of(segment["hiss_db"]) * hiss(length, rng, 0.9 * rng.random())
        if segment["narrow_hertz"]:
            part = narrowed(part, segment["narrow_hertz"])
        # 2 ms: nothing clicks where segments meet
        mixed[segment["start"] : segment["start"] + length] = faded(part, 32, 32)
    mixed += gain_of(recording["floor_db"]) * hiss(len(mixed), rng, 0.9 * rng.random())
    if recording["narrow_hertz"]:
        mixed = narrowed(mixed, recording["narrow_hertz"])
    mixed *= gain_of(recording["gain_db"])
    mixed /= max(1.0, float(np.abs(mixed).max()) / 0.97)
    return g722_round_trip(to_int16(mixed))


def _speech(segment: Mapping, raw_folder: Path) -> np.ndarray:
    """Place whole phrases; the first starts with the segment, the last ends with it."""
    speech = np.zeros(segment["samples"])
    for file, start, end, energy, at in segment["phrases"]:
        phrase = read_source(raw_folder / file)[start:end] / FULL_SCALE
        level = math.sqrt(energy / BLOCK_SAMPLES) / FULL_SCALE
        speech[at : at + end - start] += faded(phrase / level, 80, 160)
    return gain_of(segment["speech_db"]) * speech


def _music_of(
    segments: Sequence[Mapping], raw_folder: Path, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """Return the music of each segment that has some; it plays on from one to the next."""
    music = {}
    index = 0
    while index < len(segments):
        run = index
        while (
            run < len(segments)
            and segments[run]["music"]
            and (run == index or segments[run]["music_goes_on"])
        ):
            run += 1
        if run > index:
            music.update(_music_run(segments, range(index, run), raw_folder, rng))
        index = max(run, index + 1)
    return music


def _music_run(
    segments: Sequence[Mapping], indices: range, raw_folder: Path, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    lengths = [segments[i]["samples"] for i in indices]
    edges = np.cumsum([0, *lengths])
    played = _excerpt_of_track(raw_folder / segments[indices[0]]["music"], int(edges[-1]), rng)
    # the level is that under the voice, if there is one: the ratio of speech to music is exact
    voiced = [k for k, i in enumerate(indices) if segments[i]["phrases"]] or [0]
    reference = played[edges[voiced[0]] : edges[voiced[0] + 1]]
    level = max(root_mean_square(reference), 0.25 * root_mean_square(played), 1e-4)
    gain = gain_of(segments[indices[voiced[0]]]["music_db"])
    rise, fall = (int(rng.integers(320, 8_000)) for _ in range(2))
    played = faded(played / (FULL_SCALE * level), rise, fall) * gain
    music = {i: played[edges[k] : edges[k + 1]] for k, i in enumerate(indices)}
    for i in indices:
        if segments[i]["sung"]:
            music[i] = _sung(music[i], segments[i], raw_folder, rng)
    return music


def _sung(
    music: np.ndarray, segment: Mapping, raw_folder: Path, rng: np.random.Generator
) -> np.ndarray:
    """Let a voice of the same split sing to the music, at the level the music had alone."""
    phrases = [
        read_source(raw_folder / file)[start:end] / FULL_SCALE
        for file, start, end in segment["sung"]
    ]
    both = singing.sing_over(music, phrases, rng, ratio_db=segment["sung_db"])
    before, after = (root_mean_square(to_int16(0.25 * part)) for part in (music, both))
    return both * (before / after if after else 1.0)


def _excerpt_of_track(path: Path, length: int, rng: np.random.Generator) -> np.ndarray:
    """Choose an excerpt in which the music is really heard; a short track starts over."""
    whole, _ = source_seconds(path)
    seconds = length / SAMPLE_RATE
    latest = max(int(whole - seconds) - 1, 0)
    usual = _usual_level(path)
    best, best_heard = np.zeros(0, np.int16), -1.0
    for _ in range(6 if latest else 1):
        start = int(rng.integers(0, latest + 1))
        excerpt = read_source(path, start_seconds=start, seconds=seconds)
        energies = block_energies(excerpt)
        tenths = energies[: len(energies) // 10 * 10].reshape(-1, 10).sum(axis=1)
        loud = int(np.sort(tenths)[int(0.9 * (len(tenths) - 1))]) if len(tenths) else 0
        # within 26 dB of the loud parts, and above -60 dBFS
        audible = tenths > max(loud / 400, 10 * BLOCK_SAMPLES * (FULL_SCALE / 1000) ** 2)
        # an intro that only hums is no music yet
        heard = int(audible.sum()) / max(len(tenths), 1)
        heard *= min(1.0, root_mean_square(excerpt) / (0.4 * usual))
        if heard > best_heard:
            best, best_heard = excerpt, heard
        if heard > 0.95:
            break
    if not len(best):
        raise CorpusError(f"{path} holds no sound: leave it out in the table of sources.")
    return np.resize(best, length)


@functools.cache
def _usual_level(path: Path) -> float:
    """Return the median level of a track, from a second at each of nine places."""
    whole, _ = source_seconds(path)
    starts = [int(whole * tenth / 10) for tenth in range(1, 10)]
    levels = [root_mean_square(read_source(path, start_seconds=s, seconds=1)) for s in starts]
    return max(sorted(levels)[4], 1e-4)


def _ambience(
    files: Sequence[str], length: int, raw_folder: Path, rng: np.random.Generator
) -> np.ndarray:
    """Play sounds one after the other until the time is filled; their level is about 1."""
    sounds = np.zeros(length)
    at = turn = 0
    while at < length:
        samples = read_source(raw_folder / files[turn % len(files)])
        turn += 1
        level = root_mean_square(samples)
        if not level:
            at += SAMPLE_RATE // 10
            continue
        start = int(rng.integers(0, max(len(samples) - (length - at), 0) + 1))
        heard = samples[start : start + length - at] / FULL_SCALE
        # a single knock would else dwarf the rest
        peak = float(np.abs(heard).max()) if len(heard) else 0.0
        gain = min(1 / level, 8 / peak if peak else 1.0)
        gain *= gain_of(round(8 * rng.random() - 8, 2))
        sounds[at : at + len(heard)] += faded(heard * gain, 400, 800)
        at += len(heard) + int(rng.integers(0, 3_200))
    return sounds
