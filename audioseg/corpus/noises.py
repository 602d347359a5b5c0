"""Synthetic noise: machines, lines and animals, at any level.

Recorded ambiences are mostly quiet, and few of them are steady. Without loud and steady noise
beside them, a network learns that loud sounds cannot be noise.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from vggish.frontend import SAMPLE_RATE

# drawn alike; what is easily taken for music is there twice
KINDS = (
    "white", "white", "pink", "brown", "hum", "tones", "tones", "clicks", "constant", "calls",
    "calls", "hum in noise",
)  # fmt: skip
EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # of power spectra that fall as 1 / f^b
LOWEST_HERTZ = 30.0  # below it falling spectra are flat: nearly all power would be there otherwise


def steady_noise(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Make steady noise.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`: coloured noise, the hum of the mains or of a motor, steady tones,
        clicks, a constant (what a microphone's offset is), calls as of birds, whales and dogs, or
        hum and coloured noise together.
    count : int
        How many samples, at 16 kHz.
    rng : np.random.Generator
        Decides on colour, pitch and rate.

    Returns
    -------
    np.ndarray [shape=(count,), dtype=float64]
        Of RMS 1.
    """
    if kind in EXPONENTS:
        noise = coloured(count, EXPONENTS[kind] + rng.uniform(-0.3, 0.3), rng)
    elif kind == "hum":
        noise = _hum(count, rng)
    elif kind == "tones":
        noise = _tones(count, rng)
    elif kind == "clicks":
        noise = _clicks(count, rng)
    elif kind == "calls":
        noise = _calls(count, rng)
    elif kind == "constant":
        noise = np.ones(count)
    else:
        noise = coloured(count, rng.uniform(0, 2), rng) + rng.uniform(0.3, 3) * _hum(count, rng)
    return noise / max(np.sqrt(np.mean(noise**2)), 1e-12)


def coloured(count: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise of RMS 1 whose power falls as 1 / f^exponent [shape=(count,)]."""
    size = scipy.fft.next_fast_len(count, real=True)
    # float32 takes half the time, and what rounding adds is 120 dB below
    spectrum = scipy.fft.rfft(rng.standard_normal(size, np.float32))
    hertz = np.maximum(scipy.fft.rfftfreq(size, 1 / SAMPLE_RATE), LOWEST_HERTZ)
    gains = (hertz / LOWEST_HERTZ).astype(np.float32) ** np.float32(-exponent / 2)
    noise = scipy.fft.irfft(spectrum * gains, size)[:count].astype(float)
    return noise / max(np.sqrt(np.mean(noise**2)), 1e-12)


def _hum(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a low tone with harmonics, steady but for a slow swell."""
    pitch = rng.choice([50.0, 60.0, 100.0, 120.0, rng.uniform(35, 180)])
    harmonics = np.arange(1, 2 + rng.integers(24))
    amplitudes = rng.random(len(harmonics)) ** 2 * harmonics ** -rng.uniform(0, 1.5)
    amplitudes[0] += 0.5
    seconds = np.arange(count) / SAMPLE_RATE
    phases = rng.uniform(0, 2 * np.pi, len(harmonics))
    hum = sum(
        amplitude * np.sin(2 * np.pi * pitch * harmonic * seconds + phase)
        for harmonic, amplitude, phase in zip(harmonics, amplitudes, phases, strict=True)
        if pitch * harmonic < SAMPLE_RATE / 2
    )
    swell = 1 + 0.3 * rng.random() * np.sin(2 * np.pi * rng.uniform(0.05, 8) * seconds)
    return hum * swell


def _tones(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return one to three steady tones, as of machines: no two in a musical interval."""
    seconds = np.arange(count) / SAMPLE_RATE
    tones = np.zeros(count)
    for _ in range(rng.choice([1, 1, 2, 3])):
        hertz = np.exp(rng.uniform(np.log(150), np.log(6_000)))
        tones += rng.uniform(0.2, 1) * np.sin(
            2 * np.pi * hertz * seconds + rng.uniform(0, 2 * np.pi)
        )
    return tones


def _clicks(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return clicks, regular or not, each of them the same short decay."""
    rate = np.exp(rng.uniform(np.log(1), np.log(60)))
    gaps = rng.exponential(1 / rate, round(3 * rate * count / SAMPLE_RATE) + 8)
    if rng.random() < 0.5:
        gaps[:] = 1 / rate
    at = (np.cumsum(gaps) - gaps[0] * rng.random()) * SAMPLE_RATE
    impulses = np.zeros(count)
    impulses[at[at < count].astype(int)] = 1.0
    if not impulses.any():
        impulses[rng.integers(count)] = 1.0
    length = int(10 ** rng.uniform(0, 1.7))
    decay = np.exp(-5 * np.arange(length) / length)
    if rng.random() < 0.5:
        decay = decay * rng.standard_normal(length)
    if not decay.any():
        decay[0] = 1.0
    return np.convolve(impulses, decay)[:count]


def _calls(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return gliding whistles or moans with pauses, like animal calls: no scale, no beat."""
    small = rng.random() < 0.5
    lowest, highest = (1_200, 6_500) if small else (120, 1_500)
    longest = rng.uniform(0.08, 0.5) if small else rng.uniform(0.4, 3.0)
    overtones = int(rng.integers(1, 3 if small else 8))
    calls, at = np.zeros(count), int(rng.uniform(0, 0.3) * SAMPLE_RATE)
    while at < count:
        length = int(rng.uniform(0.3, 1) * longest * SAMPLE_RATE)
        ends = np.exp(rng.uniform(np.log(lowest), np.log(highest)) + rng.uniform(-0.6, 0.6, 3))
        hertz = np.interp(np.arange(length), np.linspace(0, length, 3), ends)
        phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
        call = sum(
            rng.random() / n * np.sin(n * phase) * (n * hertz < SAMPLE_RATE / 2)
            for n in range(1, overtones + 1)
        )
        call = call * np.sin(np.pi * np.arange(length) / length) ** rng.uniform(0.3, 2)
        kept = call[: count - at]
        calls[at : at + len(kept)] += kept
        at += length + int(rng.uniform(0.02, 1.5) * longest * SAMPLE_RATE)
    return calls + 10 ** -rng.uniform(1, 2.5) * coloured(count, 1.0, rng)
