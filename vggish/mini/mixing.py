"""Random windows mixed from a bank of sounds, for `mini` to learn from.

:class:`Mixer` draws windows of 15,600 samples: one role alone, speech over music or noise at many
ratios, sung speech, changes in mid-window, near silence, through rooms, telephone bands and
codecs, at many levels. Nothing here carries a label: the teacher says what it hears.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, fftconvolve, lfilter, resample_poly, sosfilt

from vggish.frontend import SAMPLE_RATE, WINDOW_SAMPLES
from vggish.mini.bank import ROLES, Sources

# what a window is made of, and how often
KINDS = {
    "speech": 0.17,
    "music": 0.16,
    "effects": 0.09,
    "sung": 0.14,
    "speech+music": 0.24,
    "speech+noise": 0.08,
    "synthetic": 0.05,
    "change": 0.07,
}


class Mixer:
    """Draws windows from a bank.

    Parameters
    ----------
    cache : Path
        What :func:`vggish.mini.bank.collect` wrote.
    split : {"train", "files", "packages"}
    """

    def __init__(self, cache: Path, split: str):
        self.sources = {role: Sources.load(cache, role, split) for role in ROLES}

    def window(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """Draw one window.

        Returns
        -------
        samples : np.ndarray [shape=(15600,), dtype=float32]
            In [-1, 1].
        kind : str
            What it was made of: a key of :data:`KINDS`.
        """
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        samples = self._content(kind, rng)
        samples = _channel(samples, rng)
        level = rng.uniform(-42, -10) if rng.random() < 0.9 else rng.uniform(-65, -42)
        samples = samples * decibels(level)
        if rng.random() < 0.1:  # sounds that begin or end inside the window
            edge = rng.integers(1500, WINDOW_SAMPLES - 1500)
            samples[slice(edge) if rng.random() < 0.5 else slice(edge, None)] *= decibels(-60)
        samples = samples + _floor(rng)
        return np.clip(_band(samples, rng), -1, 1).astype(np.float32), kind

    def _content(self, kind: str, rng: np.random.Generator) -> np.ndarray:
        if kind in ROLES:
            return normalize(self._fill(kind, rng))
        if kind == "speech+music":
            # high ratios are the hard ones: music that is barely there
            ratio = rng.uniform(-5, 20)
            voice = self._fill("speech", rng)
            return normalize(voice) + decibels(-ratio) * self._content("music", rng)
        if kind == "speech+noise":
            noise = self._content("effects" if rng.random() < 0.6 else "synthetic", rng)
            return self._content("speech", rng) + decibels(-rng.uniform(0, 25)) * noise
        if kind == "sung":
            singers = 1 if rng.random() < 0.7 else int(rng.integers(2, 6))
            tonic = rng.uniform(90, 330)
            voices = [sing(self._fill("speech", rng), tonic, rng) for _ in range(singers)]
            choir = normalize(sum(voices))
            if rng.random() < 0.7:  # singers are heard in rooms
                choir = _room(choir, rng.uniform(0.3, 2), rng.uniform(0.3, 1), rng)
            if rng.random() < 0.6:
                choir = choir + decibels(-rng.uniform(-6, 15)) * self._content("music", rng)
            return choir
        if kind == "change":
            first, second = (
                self._content(str(k), rng)
                for k in rng.choice(["speech", "music", "effects", "speech+music", "synthetic"], 2)
            )
            edge = int(rng.integers(1500, WINDOW_SAMPLES - 1500))
            fade = int(10 ** rng.uniform(1.5, 3.5))
            ramp = np.clip((np.arange(WINDOW_SAMPLES) - edge) / fade + 0.5, 0, 1)
            return first * (1 - ramp) + second * ramp * decibels(rng.uniform(-12, 12))
        return normalize(_synthetic(rng, lambda: self._fill("speech", rng)))

    def _fill(self, role: str, rng: np.random.Generator) -> np.ndarray:
        """Fill a window with a file from a random place on, or several with gaps between."""
        window = np.zeros(WINDOW_SAMPLES, np.float32)
        # tape speed makes other voices and other keys
        speed = rng.uniform(0.84, 1.19) if rng.random() < 0.35 else 1.0
        needed, position = int(WINDOW_SAMPLES * speed) + 2, 0
        while position < WINDOW_SAMPLES:
            samples = self.sources[role].draw(rng)
            if len(samples) > needed:
                start = rng.integers(len(samples) - needed)
                samples = samples[start : start + needed]
            elif position == 0:
                samples = samples[rng.integers(max(1, len(samples) // 2)) :]
            if speed != 1:
                places = np.arange(0, len(samples) - 1, speed)
                samples = np.interp(places, np.arange(len(samples)), samples)
            taken = samples[: WINDOW_SAMPLES - position]
            window[position : position + len(taken)] = taken
            position += len(taken) + int(rng.uniform(0, 0.25) * SAMPLE_RATE)
        return window


def sing(speech: np.ndarray, tonic: float, rng: np.random.Generator) -> np.ndarray:
    """Turn spoken sound into sung sound: its syllables, held, on the notes of a melody.

    Each note takes a voiced stretch of the speech, with the consonant before it now and then,
    and stretches it. The spectral envelopes (cepstrum below 1.9 ms, smoothed in time) are played
    by the harmonics of a melody with glides, vibrato and drift, and by noise where the speech is
    unvoiced.

    Parameters
    ----------
    speech : np.ndarray [shape=(15600,)]
        16 kHz.
    tonic : float
        The melody's lowest note in Hz.

    Returns
    -------
    np.ndarray [shape=(15600,)]
        An RMS of one; silence where nothing is voiced.
    """
    hop, size = 80, 512
    count = len(speech)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(speech, size // 2), size)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(size))) + 1e-5
    cepstrum = np.fft.irfft(np.log(spectrum))
    cepstrum[:, 30:-29] = 0  # 30 / 16 kHz = 1.9 ms: pitches below 530 Hz are taken out
    envelope = np.exp(np.fft.rfft(cepstrum).real)
    low, high = (envelope[:, 4:40] ** 2).mean(1), (envelope[:, 100:] ** 2).mean(1)
    voiced = (low > 3 * high) & (low > 0.05 * low.max())
    if not voiced.any():
        return np.zeros(count)

    # which frame of the speech sounds when, and on which note
    source, steps = [], []
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    note = int(rng.integers(len(scale)))
    while len(source) < len(frames):
        length = max(2, int(rng.uniform(0.3, 1.3) * SAMPLE_RATE / hop))
        first = last = int(rng.choice(np.flatnonzero(voiced)))
        while first > 0 and voiced[first - 1]:
            first -= 1
        while last + 1 < len(voiced) and voiced[last + 1]:
            last += 1
        consonant = int(rng.integers(12)) if rng.random() < 0.6 else 0
        syllable = [*range(max(0, first - consonant), first)]
        syllable += np.linspace(first, last, length).round().astype(int).tolist()
        note = int(np.clip(note + rng.integers(-3, 4), 0, len(scale) - 1))
        source += syllable
        steps += [scale[note]] * len(syllable)
    source, steps = np.array(source[: len(frames)]), np.array(steps[: len(frames)], float)
    envelope, voiced = envelope[source], voiced[source].astype(float)
    # singers sustain: the levels of the syllables are evened out
    level = np.sqrt((envelope**2).mean(1))
    even = (np.median(level[voiced > 0]) / level) ** 0.7 if voiced.any() else np.ones(len(level))
    envelope *= np.where(voiced > 0, even, 1)[:, None]
    envelope = np.exp(uniform_filter1d(np.log(envelope), int(rng.integers(5, 13)), axis=0))

    time = np.arange(count) / SAMPLE_RATE
    melody = uniform_filter1d(
        np.repeat(steps, hop)[:count], int(rng.uniform(0.03, 0.12) * SAMPLE_RATE)
    )
    vibrato = rng.uniform(0.1, 0.8) * np.sin(
        2 * np.pi * (rng.uniform(4.8, 6.6) * time + rng.random())
    )
    drift = np.cumsum(rng.normal(0, 0.0015, count))
    pitch = tonic * 2 ** ((melody + vibrato + drift) / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    starts = np.arange(len(source)) * hop
    frame_pitch = pitch[np.minimum(starts, count - 1)]
    rows, rise = np.arange(len(source)), np.arange(hop) / hop
    voice, before, now, twice_cos = (
        np.zeros(count),
        np.zeros(count),
        np.sin(phase),
        2 * np.cos(phase),
    )
    for harmonic in range(1, int(7200 / pitch.mean()) + 1):
        bins = np.minimum(np.rint(harmonic * frame_pitch * size / SAMPLE_RATE), size // 2)
        amplitude = envelope[rows, bins.astype(int)] * voiced
        slopes = np.diff(amplitude, append=0)[:, None] * rise
        voice += (amplitude[:, None] + slopes).ravel()[:count] * now
        # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x): a fifth of the time of sines
        before, now = now, twice_cos * now - before
    breath = envelope * (1.03 - voiced[:, None]) * np.exp(2j * np.pi * rng.random(envelope.shape))
    breath = 2 * np.fft.irfft(breath) * np.hanning(size)
    for part, start in zip(breath, starts, strict=True):
        stop = min(count, start + size)
        voice[start:stop] += part[: stop - start]
    return normalize(voice)


def _synthetic(rng: np.random.Generator, speech: Callable[[], np.ndarray]) -> np.ndarray:
    """Sounds no package is needed for: coloured noise, hum, line tones, babble."""
    count = WINDOW_SAMPLES
    time = np.arange(count) / SAMPLE_RATE
    choice = rng.integers(5)
    if choice <= 1:
        spectrum = np.fft.rfft(rng.standard_normal(count))
        spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** rng.uniform(0, 1.3)
        noise = np.fft.irfft(spectrum, count)
        return noise * (1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * rng.uniform(0.3, 9) * time))
    if choice == 2:
        base = rng.choice([50, 60, 100, 120]) * rng.uniform(0.98, 1.02)
        partials = rng.exponential(1, 20) / np.arange(1, 21)
        return sum(
            a * np.sin(2 * np.pi * base * (k + 1) * time + k) for k, a in enumerate(partials)
        )
    if choice == 3:  # dialling, ringing and busy tones
        tones = rng.choice([350, 425, 440, 480, 620, 697, 770, 852, 941, 1209, 1336, 1477, 1004], 2)
        period, duty = rng.uniform(0.1, 2), rng.uniform(0.3, 1)
        gate = ((time + rng.uniform(0, period)) % period) < duty * period
        return sum(np.sin(2 * np.pi * f * time) for f in tones) * gate
    return sum(normalize(speech()) for _ in range(int(rng.integers(4, 9))))


def _room(
    samples: np.ndarray, seconds: float, amount: float, rng: np.random.Generator
) -> np.ndarray:
    """Add reverberation: noise that decays by 60 dB within the seconds given."""
    count = int(seconds * SAMPLE_RATE)
    response = rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    response *= amount / np.sqrt((response**2).sum())
    response[0] = 1
    return normalize(fftconvolve(samples, response)[: len(samples)])


def _channel(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put sound into a room or behind a tone control, now and then."""
    if rng.random() < 0.18:
        samples = _room(samples, 10 ** rng.uniform(-1.3, 0), rng.uniform(0.1, 1.2), rng)
    if rng.random() < 0.25:  # tilt: more bass or more treble
        slope = rng.uniform(-0.8, 0.8)
        samples = normalize(lfilter([1, -slope], [1], samples))
    return samples


def _floor(rng: np.random.Generator) -> np.ndarray:
    """Noise of the line, -85 to -48 dB below full scale."""
    noise = rng.standard_normal(WINDOW_SAMPLES)
    if rng.random() < 0.5:
        noise = normalize(lfilter([1], [1, -rng.uniform(0.5, 0.98)], noise))
    return noise * decibels(rng.uniform(-85, -48))


def _band(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Send a third of the windows through something narrower than a studio."""
    choice = rng.random()
    if choice < 0.14:
        edge = rng.choice([3300, 3400, 3600, 3900, 5500])
        samples = sosfilt(butter(8, edge, fs=SAMPLE_RATE, output="sos"), samples)
        if rng.random() < 0.4:
            samples = sosfilt(butter(3, 300, "high", fs=SAMPLE_RATE, output="sos"), samples)
    elif choice < 0.24:
        samples = codec_round_trip(samples, "g722", 16_000)
    elif choice < 0.30:
        samples = codec_round_trip(samples, "pcm_mulaw", 8_000)
    elif choice < 0.34:
        samples = codec_round_trip(samples, "libopencore_amrnb", 8_000, 12_200)
    elif choice < 0.37:
        samples = codec_round_trip(samples, "libmp3lame", 16_000, 32_000)
    return samples


def codec_round_trip(samples: np.ndarray, name: str, rate: int, bit_rate: int = 0) -> np.ndarray:
    """Encode and decode 16 kHz samples at another rate; the length is kept, delays stay."""
    ratio = Fraction(rate, SAMPLE_RATE)
    narrow = resample_poly(samples, ratio.numerator, ratio.denominator)
    encoder = av.CodecContext.create(name, "w")
    encoder.sample_rate, encoder.layout = rate, "mono"
    encoder.format = encoder.codec.audio_formats[0]
    encoder.time_base = Fraction(1, rate)
    if bit_rate:
        encoder.bit_rate = bit_rate
    encoder.open()
    decoder = av.CodecContext.create(encoder.codec.canonical_name, "r")
    decoder.sample_rate, decoder.layout = rate, "mono"
    resampler = av.AudioResampler(encoder.format, "mono", rate, encoder.frame_size or None)
    frame = av.AudioFrame.from_ndarray(
        np.clip(narrow * 32767, -32768, 32767).astype(np.int16)[None], "s16", "mono"
    )
    frame.sample_rate = rate
    packets = []
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        packets += encoder.encode(part)
    packets += encoder.encode(None)
    back = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    blocks = [np.empty(0, np.int16)]
    for packet in packets:
        for decoded in decoder.decode(packet):
            decoded.pts = None
            blocks += [b.to_ndarray()[0] for b in back.resample(decoded)]
    blocks += [b.to_ndarray()[0] for b in back.resample(None)]
    result = np.concatenate(blocks).astype(np.float32) / 32768
    return np.resize(result, len(samples)) if len(result) else samples


def normalize(samples: np.ndarray) -> np.ndarray:
    """Scale to an RMS of one; silence stays silent."""
    return samples / (np.sqrt(np.mean(samples**2)) + 1e-4)


def decibels(value: float) -> float:
    """Convert decibels to a factor on amplitudes."""
    return 10 ** (value / 20)
