"""A small corpus of sounds that the tests make themselves, and what is kept of it.

``python tests/helpers/small_corpus.py`` makes it in a temporary folder, and rewrites what the tests
compare it with: where its phrases are, and how loud its segments are in four bands.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tempfile
from pathlib import Path

import av
import numpy as np
import pandas as pd
import scipy.signal
import soundfile
from archives import make_deb, make_zip

from audioseg.corpus import compose, folder, sound
from audioseg.corpus.sources import acquire, read_sources

RATE = 16_000
MINUTES = {"TRN": 3.5, "VAL": 7.0, "TST": 3.5}
STORED = Path(__file__).parents[1] / "audioseg/corpus/stored"
# hertz; away from the 4 kHz at which some sources end, as resamplers differ there
BANDS = ((60, 1_000), (1_000, 2_000), (2_000, 3_400), (4_600, 6_800))


def babble(rng, seconds, pause=0.0, rate=RATE):
    """Bursts of a buzzing tone with short gaps, silence around, and perhaps a pause within."""

    def burst(length):
        time_ = np.arange(round(length * rate)) / rate
        return 0.3 * np.sign(np.sin(2 * np.pi * rng.uniform(100, 250) * time_)) * np.sin(60 * time_)

    parts = [np.zeros(round(0.2 * rate))]
    for turn in range(max(1, round(seconds / 0.5))):
        parts += [burst(0.4), np.zeros(round(0.1 * rate))]
        if turn == 0 and pause:
            parts.append(np.zeros(round(pause * rate)))
    return np.concatenate([*parts, np.zeros(round(0.2 * rate))])


def tune(rng, seconds, rate=RATE, channels=1):
    time_ = np.arange(round(seconds * rate)) / rate
    notes = 220 * 2 ** (rng.integers(0, 24, len(time_) // rate + 1) / 12)
    wave = 0.4 * np.sin(2 * np.pi * notes[time_.astype(int)] * time_)
    return np.stack([wave] * channels, axis=1)


def encoded(samples, rate, form, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, **options)
    return buffer.getvalue()


def g722(samples):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            sound.to_int16(samples)[None], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = RATE, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


def make_packages(raw_folder):
    """Make small packages of every form that the real ones have; return their table."""
    raw_folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    held = {}
    for split in folder.SPLITS:
        voice, low = f"voice-{split.lower()}", split.lower()
        held[voice] = (
            [(f"./v/p{i}.g722", g722(babble(rng, 2 + i / 3))) for i in range(6)]
            + [(f"./v/n{i}.wav", encoded(babble(rng, 3, rate=8_000), 8_000, "WAV")) for i in (0, 1)]
            + [("./v/beep.g722", g722(tune(rng, 1)[:, 0])), ("./v/silence/1.g722", bytes(8_000))]
        )
        held[f"music-{split.lower()}"] = [
            (f"./m/{low}-one.ogg", encoded(tune(rng, 37, 8_000, 2), 8_000, "OGG")),
            (f"./m/{low}/song.ogg", encoded(tune(rng, 36, 11_025), 11_025, "OGG")),
            (f"./m/{low}/guitar.ogg", encoded(tune(rng, 37, 11_025), 11_025, "OGG")),
        ]
    sounds = [
        (f"{name}{take}.ogg", encoded(0.1 * rng.standard_normal(RATE // size), RATE, "OGG"))
        for size, name in enumerate(("wind", "rain", "door", "step", "fire", "sea"), start=1)
        for take in (1, 2)
    ]
    held["sounds"] = [("./base/0.pk3", make_zip(sounds))]
    rows = []
    for package, entries in held.items():
        deb = make_deb(raw_folder / f"{package}_1.0_all.deb", entries)
        kind = package.split("-")[0].replace("voice", "speech").replace("sounds", "noise")
        pins = {
            "package": package,
            "version": "1.0",
            "source": package,
            "sha256": hashlib.sha256(deb.read_bytes()).hexdigest(),
            "bytes": deb.stat().st_size,
            "kind": kind,
            "group": package if kind != "noise" else "*",
            "split": package[-3:].upper() if kind != "noise" else "*",
            "leave_out": "*beep*;*/silence/*" if kind == "speech" else "",
            "licence": "CC0",
            "attribution": "the tests",
        }
        if kind == "music":
            rows.append(pins | {"group": f"one-{package[-3:]}", "files": "*-one.ogg"})
            rows.append(pins | {"group": f"pair-{package[-3:]}", "files": "*/song.ogg&guitar.ogg"})
        else:
            rows.append(pins | {"files": "*.g722;*.wav" if kind == "speech" else "*.ogg"})
    return pd.DataFrame(rows)


def fabricated_sources(seed, voices=3, artists=2):
    """Sources and phrases as a real split has them, without any audio."""
    rng = np.random.default_rng(seed)
    sources, spoken = [], {}
    for voice, index in itertools.product(range(voices), range(120)):
        path = f"v{voice}/{index}"
        sources.append({"path": path, "kind": "speech", "group": f"v{voice}", "seconds": 9.0})
        starts = np.cumsum(rng.integers(100, 700, 4)) * 160
        spoken[path] = [(int(a), int(b) - 16_000, -20.0) for a, b in itertools.pairwise(starts)]
        spoken[path] = [p for p in spoken[path] if p[1] - p[0] > 6_400]
    for artist, index in itertools.product(range(artists), range(4)):
        sources.append(
            {"path": f"m{artist}/{index}", "kind": "music", "group": f"m{artist}", "seconds": 90.0}
        )
    sources += [
        {"path": f"n/{i}", "kind": "noise", "group": f"n:{i % 9}", "seconds": 3.0}
        for i in range(30)
    ]
    return sources, spoken


def make_corpus(data: Path, *, stored: bool = True) -> pd.DataFrame:
    """Compose it; its plan is everywhere the same unless its phrases are measured here."""
    make_packages(data / "raw").to_csv(data / "sources.csv", index=False)
    if stored:
        (data / "phrases.csv").write_bytes((STORED / "phrases.csv").read_bytes())
    acquire(read_sources(data / "sources.csv"), data / "raw")
    return compose.compose_corpus(data, minutes=MINUTES, workers=1)


def statistics(corpus: Path) -> pd.DataFrame:
    """Return the level of each segment in dB of full scale, all of it and by band."""
    rows = []
    for recording in json.loads((corpus / "plan.json").read_text())["recordings"]:
        path = corpus / recording["split"] / f"{recording['recording']}.flac"
        samples = soundfile.read(path)[0]
        for segment in recording["segments"]:
            part = samples[segment["start"] :][: segment["samples"]]
            hertz, power = scipy.signal.welch(part, RATE, nperseg=1_024)
            levels = [np.mean(part**2)]
            levels += [power[(hertz >= a) & (hertz < b)].sum() * hertz[1] for a, b in BANDS]
            where = (recording["recording"], segment["start"], len(part), segment["label"])
            rows.append((*where, *(10 * np.log10(np.maximum(levels, 1e-10))).round(2)))
    bands = [f"{a} to {b} Hz" for a, b in BANDS]
    return pd.DataFrame(rows, columns=["recording", "start", "samples", "label", "all", *bands])


if __name__ == "__main__":
    STORED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        make_corpus(Path(name), stored=False)
        (STORED / "phrases.csv").write_bytes((Path(name) / "phrases.csv").read_bytes())
        statistics(Path(name) / folder.CORPUS).to_csv(STORED / "levels.csv", index=False)
