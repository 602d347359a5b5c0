"""The samples of composed recordings: decode sources, mix them, encode them.

Every function here is pure: it depends on files and a plan alone. Samples are floats, full scale 1,
the same on every machine to within rounding.
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

from audioseg import audio
from audioseg.audio import AudioError
from audioseg.corpus import noises, singing
from audioseg.decoding import HEADERLESS
from audioseg.errors import CourseError
from vggish.frontend import SAMPLE_RATE
from vggish.resample import resample

BLOCK_SAMPLES = 160  # speech is located to 10 ms
HIGHEST = 0.97  # of full scale: codecs overshoot
G722_DELAY_SAMPLES = 22  # of encoder and decoder together
# how recordings have reached us, by share, drawn alike for every class: no shortcut
CODECS = {"g722": 0.5, "mp3": 0.2, "none": 0.3}


class CorpusError(CourseError):
    """A corpus cannot be made; one sentence names the file and says what to do."""


# -- from a source to samples


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Round samples in [-1, 1) to 16 bits; clip those outside."""
    return np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype(np.int16)


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
    np.ndarray [shape=(samples,), dtype=float32]
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
        return (tracks[0][:length] + tracks[1][:length]) / 2
    path = Path(path)
    stop = None if seconds is None else round((start_seconds + seconds) * SAMPLE_RATE)
    try:
        if stop is None or path.suffix in HEADERLESS:
            return _whole(path)[start_seconds * SAMPLE_RATE : stop]
        # a track lasts minutes, and seconds of it are wanted
        with soundfile.SoundFile(path) as file:
            file.seek(min(start_seconds * file.samplerate, file.frames))
            frames = math.ceil(seconds * file.samplerate)
            channels = file.read(frames, dtype="float32", always_2d=True).T
            mixed = sum(channels) / len(channels)  # mean() takes ten times as long
            return resample(mixed, file.samplerate, SAMPLE_RATE)[: round(seconds * SAMPLE_RATE)]
    except (AudioError, soundfile.LibsndfileError, OSError):
        raise CorpusError(
            f"{path} cannot be decoded: remove the folder of its package from the raw data, and "
            "run the same command again."
        ) from None


@functools.lru_cache(maxsize=64)  # medleys play the same again and again; some 30 MB
def _whole(path: Path) -> np.ndarray:
    # a package may hold an empty prompt
    return audio.load(path) if path.stat().st_size else np.zeros(0, np.float32)


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


# -- levels, fades, filters, noise


def block_powers(samples: np.ndarray, block: int = BLOCK_SAMPLES) -> np.ndarray:
    """Return the mean square of each whole block, of 10 ms by default."""
    blocks = samples[: len(samples) // block * block].astype(float)
    return (blocks.reshape(-1, block) ** 2).mean(axis=1)


def gain_of(decibels: float) -> float:
    """Return the factor of a level."""
    return 10 ** (decibels / 20)


def root_mean_square(samples: np.ndarray) -> float:
    """Return the level of samples, 0 for none."""
    return math.sqrt(np.mean(np.square(samples, dtype=float))) if len(samples) else 0.0


def faded(samples: np.ndarray, rise: int, fall: int) -> np.ndarray:
    """Return samples that rise from 0 and fall to 0 linearly, over so many samples."""
    samples = np.array(samples, dtype=float)
    rise, fall = min(rise, len(samples) // 2), min(fall, len(samples) // 2)
    samples[:rise] *= np.arange(rise) / max(rise, 1)
    samples[len(samples) - fall :] *= np.arange(fall)[::-1] / max(fall, 1)
    return samples


def narrowed(samples: np.ndarray, hertz: float) -> np.ndarray:
    """Return samples after a steep low-pass, as of a narrow-band telephone."""
    sections = scipy.signal.butter(12, hertz, fs=SAMPLE_RATE, output="sos")
    return scipy.signal.sosfilt(sections, samples)


def mp3_round_trip(samples: np.ndarray) -> np.ndarray:
    """Encode 16-bit samples as MP3 at 40 kbit/s, as in voice messages, and decode them."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", SAMPLE_RATE, layout="mono", format="s16p")
        stream.bit_rate = 40_000
        stream.options = {"compression_level": "7"}  # LAME's quick way, as recorders take
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16p", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux((*stream.encode(frame), *stream.encode(None)))
    file.seek(0)
    return soundfile.read(file, dtype="int16")[0]


def g722_round_trip(samples: np.ndarray) -> np.ndarray:
    """Send 16-bit samples through the wide-band telephone codec, and undo its delay."""
    padded = np.pad(samples, (0, G722_DELAY_SAMPLES + len(samples) % 2))
    encoder, decoder = (av.CodecContext.create("g722", mode) for mode in "wr")
    for codec in (encoder, decoder):
        codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(padded[None], format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    packets = (*encoder.encode(frame), *encoder.encode(None))
    frames = [frame.to_ndarray()[0] for packet in packets for frame in decoder.decode(packet)]
    return np.concatenate(frames)[G722_DELAY_SAMPLES:][: len(samples)]


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
            part += _speech(segment, raw_folder, rng)
        if index in music:
            part += music[index]
        if segment["recorded"] and not segment["music"]:
            song = _song(raw_folder / segment["recorded"], length, rng)
            part += gain_of(segment["music_db"]) * song
        if segment["noise"]:
            sounds = _ambience(segment["noise"], length, raw_folder, rng)
            part += gain_of(segment["noise_db"]) * sounds
        if segment["steady"]:
            noise = noises.steady_noise(segment["steady"], length, rng)
            # beyond full scale, the peaks of clicks would turn the whole recording down
            peak = max(float(np.abs(noise).max()), 1e-9)
            loudest = HIGHEST / gain_of(recording["gain_db"]) / peak
            part += min(gain_of(segment["noise_db"]), loudest) * noise
        if segment["narrow_hertz"]:
            part = narrowed(part, segment["narrow_hertz"])
        # 2 ms: nothing clicks where segments meet
        mixed[segment["start"] : segment["start"] + length] = faded(part, 32, 32)
    floor = noises.coloured(len(mixed), rng.uniform(0, 2), rng)
    for segment in segments:
        if segment["silent"]:  # as between the tracks of a record
            floor[segment["start"] : segment["start"] + segment["samples"]] = 0
    mixed += gain_of(recording["floor_db"]) * floor
    if recording["narrow_hertz"]:
        mixed = narrowed(mixed, recording["narrow_hertz"])
    mixed *= gain_of(recording["gain_db"])
    mixed /= max(1.0, float(np.abs(mixed).max()) / HIGHEST)
    samples = to_int16(mixed)
    if recording["codec"] == "g722":
        return g722_round_trip(samples)
    return mp3_round_trip(samples) if recording["codec"] == "mp3" else samples


def _song(path: Path, length: int, rng: np.random.Generator) -> np.ndarray:
    """Play a recording of singing; its level is about 1."""
    song = read_source(path)
    if not song.any():
        raise _silent(path)
    return singing.play(song, length, rng)


def _silent(path: Path) -> CorpusError:
    return CorpusError(f"{path} holds no sound: leave it out in the table of sources.")


def _speech(segment: Mapping, raw_folder: Path, rng: np.random.Generator) -> np.ndarray:
    """Place whole phrases; the first starts with the segment, the last ends with it."""
    speech = np.zeros(segment["samples"])
    for file, start, end, level, at in segment["phrases"]:
        phrase = read_source(raw_folder / file)[start:end] / gain_of(level)
        if segment["lively"]:  # its place stays as planned: it is cut, or begins again
            phrase = np.resize(singing.lively(phrase, rng), end - start)
        speech[at : at + len(phrase)] += faded(phrase, 80, 160)
    return gain_of(segment["speech_db"]) * speech


def _music_of(
    segments: Sequence[Mapping], raw_folder: Path, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """Return the music of each segment that has some; it may go on from one to the next."""
    runs: list[list[int]] = []
    for index, segment in enumerate(segments):
        if segment["music_goes_on"]:
            runs[-1].append(index)
        elif segment["music"]:
            runs.append([index])
    return {
        index: part
        for run in runs
        for index, part in _music_run(segments, run, raw_folder, rng).items()
    }


def _music_run(
    segments: Sequence[Mapping], indices: Sequence[int], raw_folder: Path, rng: np.random.Generator
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
    played = faded(played / level, rise, fall) * gain
    music = {i: played[edges[k] : edges[k + 1]] for k, i in enumerate(indices)}
    for i in indices:
        if segments[i]["singer"]:
            music[i] = _sung(music[i], segments[i], raw_folder, rng)
    return music


def _sung(
    music: np.ndarray, segment: Mapping, raw_folder: Path, rng: np.random.Generator
) -> np.ndarray:
    """Let a singer, recorded or made, sing to the music, at the level the music had alone."""
    if segment["recorded"]:
        song = _song(raw_folder / segment["recorded"], len(music), rng)
        both = music + gain_of(segment["sung_db"]) * root_mean_square(music) * song
    else:
        files = segment["sung"]
        phrases = [read_source(raw_folder / file)[start:end] for file, start, end in files]
        both = singing.sing_over(music, phrases, rng, ratio_db=segment["sung_db"])
    before, after = map(root_mean_square, (music, both))
    return both * (before / after if after else 1.0)


def _excerpt_of_track(path: Path, length: int, rng: np.random.Generator) -> np.ndarray:
    """Choose an excerpt in which the music is audible; a short track is repeated."""
    whole, _ = source_seconds(path)
    seconds = length / SAMPLE_RATE
    latest = max(int(whole - seconds) - 1, 0)
    usual = _usual_level(path)
    best, best_heard = np.zeros(0), -1.0
    for _ in range(6 if latest else 1):
        start = int(rng.integers(0, latest + 1))
        excerpt = read_source(path, start_seconds=start, seconds=seconds)
        tenths = block_powers(excerpt, 10 * BLOCK_SAMPLES)
        loud = np.sort(tenths)[int(0.9 * (len(tenths) - 1))] if len(tenths) else 0.0
        # within 26 dB of the loud parts, and above -60 dBFS
        audible = tenths > max(loud / 400, 1e-6)
        # an intro that only hums is no music yet
        heard = audible.sum() / max(len(tenths), 1)
        heard *= min(1.0, root_mean_square(excerpt) / (0.4 * usual))
        if heard > best_heard:
            best, best_heard = excerpt, heard
        if heard > 0.95:
            break
    if not best.any():
        raise _silent(path)
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
    """Play sounds in turn until the time is filled; their level is about 1."""
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
        heard = samples[start : start + length - at]
        # a single knock would else dwarf the rest
        peak = float(np.abs(heard).max()) if len(heard) else 0.0
        gain = min(1 / level, 8 / peak if peak else 1.0)
        gain *= gain_of(round(8 * rng.random() - 8, 2))
        sounds[at : at + len(heard)] += faded(heard * gain, 400, 800)
        at += len(heard) + int(rng.integers(0, 3_200))
    return sounds
