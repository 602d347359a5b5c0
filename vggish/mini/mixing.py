"""Random windows mixed from a bank of sounds, for `mini` to learn from.

:class:`Mixer` draws windows of 15,600 samples: one role alone, speech over music or noise at many
ratios, singing alone and over music, lively speech, changes in mid-window, near silence, through
rooms, telephone bands and codecs, at many levels. Nothing here has a label: the teacher gives its
own answers.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from vggish.frontend import SAMPLE_RATE, WINDOW_SAMPLES
from vggish.mini.bank import MADE, ROLES, Sources
from vggish.mini.voice import room

# what a window is made of, and how often
KINDS = {
    "speech": 0.12,
    "lively": 0.05,
    "music": 0.15,
    "effects": 0.08,
    "sung": 0.12,
    "sung+music": 0.10,
    "speech+music": 0.17,
    "speech+sung": 0.06,  # over music with a singer
    "speech+noise": 0.05,
    "synthetic": 0.04,
    "change": 0.06,
}
NOISY = ("effects", "synthetic")  # as often faint as loud: level tells nothing about the class


class Mixer:
    """Draws windows from a bank.

    Parameters
    ----------
    cache : Path
        As :func:`vggish.mini.bank.collect` and :func:`vggish.mini.bank.make_pools` write it.
    split : {"train", "files", "packages"}
    """

    def __init__(self, cache: Path, split: str):
        self.sources = {role: Sources.load(cache, role, split) for role in (*ROLES, *MADE)}

    def window(self, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        """Draw one window.

        Returns
        -------
        samples : np.ndarray [shape=(15600,), dtype=float32]
            In [-1, 1].
        kind : str
            A key of :data:`KINDS`.
        """
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        samples = self._content(kind, rng)
        samples = _channel(samples, rng)
        level = rng.uniform(-42, -10) if rng.random() < 0.9 else rng.uniform(-65, -42)
        if kind in NOISY:
            level = rng.uniform(-60, -10)
        samples = samples * decibels(level)
        if rng.random() < 0.1:  # sounds that begin or end inside the window
            edge = rng.integers(1500, WINDOW_SAMPLES - 1500)
            samples[slice(edge) if rng.random() < 0.5 else slice(edge, None)] *= decibels(-60)
        samples = samples + _floor(rng)
        return np.clip(_band(samples, rng), -1, 1).astype(np.float32), kind

    def _content(self, kind: str, rng: np.random.Generator) -> np.ndarray:
        if kind in self.sources:
            return normalize(self._fill(kind, rng))
        if kind == "speech+music":
            # high ratios are the hard ones: music that is barely there
            ratio = rng.uniform(-5, 20)
            voice = self._fill("speech", rng)
            return normalize(voice) + decibels(-ratio) * self._content("music", rng)
        if kind == "speech+noise":
            noise = self._content("effects" if rng.random() < 0.6 else "synthetic", rng)
            return self._content("speech", rng) + decibels(-rng.uniform(0, 25)) * noise
        if kind == "sung+music":
            ratio = rng.uniform(-6, 15)
            return self._content("sung", rng) + decibels(-ratio) * self._content("music", rng)
        if kind == "speech+sung":
            ratio = rng.uniform(-3, 15)
            song = self._content("sung+music" if rng.random() < 0.8 else "sung", rng)
            voice = self._fill("speech" if rng.random() < 0.8 else "lively", rng)
            return normalize(voice) + decibels(-ratio) * normalize(song)
        if kind == "change":
            first, second = (
                self._content(str(k), rng)
                for k in rng.choice(
                    ["speech", "music", "effects", "speech+music", "synthetic", "sung"], 2
                )
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


def _synthetic(rng: np.random.Generator, speech: Callable[[], np.ndarray]) -> np.ndarray:
    """Sounds no package is needed for: coloured noise, hum, tones, clicks, babble."""
    count = WINDOW_SAMPLES
    time = np.arange(count) / SAMPLE_RATE
    choice = rng.integers(7)
    if choice <= 1:
        spectrum = np.fft.rfft(rng.standard_normal(count))
        # amplitudes by 1 / f^0 (white), 1 / f^0.5 (pink) to 1 / f (brown)
        spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** rng.choice(
            [0, 0.5, 1, rng.random()]
        )
        noise = np.fft.irfft(spectrum, count)
        if rng.random() < 0.4:
            return noise
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
    if choice == 4:  # a machine's or a test tone's, steady
        partials = rng.exponential(1, int(rng.integers(1, 6)))
        base = 10 ** rng.uniform(1.8, 3.6)
        tone = sum(a * np.sin(2 * np.pi * base * (k + 1) * time) for k, a in enumerate(partials))
        return tone + decibels(-rng.uniform(0, 60)) * rng.standard_normal(count)
    if choice == 5:  # clicks, now and then or many
        clicks = (rng.random(count) < 10 ** rng.uniform(0, 2.5) / SAMPLE_RATE) * rng.normal(
            0, 1, count
        )
        return lfilter([1], [1, -rng.uniform(0, 0.95)], clicks)
    return sum(normalize(speech()) for _ in range(int(rng.integers(4, 9))))


def _channel(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put sound into a room or behind a tone control, now and then."""
    if rng.random() < 0.18:
        samples = normalize(room(samples, 10 ** rng.uniform(-1.3, 0), rng.uniform(0.1, 1.2), rng))
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
