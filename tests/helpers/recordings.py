"""Small recordings and corpora for the tests of audio and extraction."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile

RATE = 16_000


def tone(seconds: float, rate: int = RATE, *, hertz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz / rate * np.arange(round(seconds * rate)))).astype("f4")


def encode(path: Path, samples: np.ndarray, codec: str, *, rate: int = RATE, **options) -> Path:
    """Write one channel with FFmpeg's libraries; ``options`` go to the container."""
    fmt = {".g722": "g722", ".m4a": "mp4", ".mka": "matroska"}.get(path.suffix)
    with av.open(str(path), "w", format=fmt, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            (samples[None] * 32767).astype("i2"), format="s16", layout="mono"
        )
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for part in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def write_recording(path: Path, seconds: float, *, seed: int = 0, labels: str | None = None):
    """Write noise and a label track: speech, then music."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
    soundfile.write(path, noise.clip(-1, 1), RATE)
    half = f"{seconds / 2:.6f}"
    if labels is None:
        labels = f"0\t{half}\tspeech\n{half}\t{seconds:.6f}\tmusic\n"
    path.with_suffix(".txt").write_text(labels)
    return path


def write_corpus(corpus: Path, *, recordings: int = 6, seconds: float = 2.0) -> Path:
    """Write a corpus; a half of the recordings is TRN, the rest VAL and TST."""
    for number in range(recordings):
        split = ("TRN", "VAL", "TRN", "TST")[number % 4]
        write_recording(corpus / split / f"r{number:02}.wav", seconds + 0.3 * number, seed=number)
    return corpus
