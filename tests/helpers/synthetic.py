"""A small corpus of the form of the course's, made up in a second."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

import feat_ext
from audioseg.features.dataset import DATASET_FORMAT, HEARD_TWICE
from audioseg.labels import CLASSES, Segment, write_label_track
from vggish import EMBEDDING_SIZE

SAMPLE_RATE = 16_000
HOP = feat_ext.HOP_SECONDS
MINUTES = {"TRN": 8, "VAL": 3, "TST": 3}
SHARES = (0.687, 0.12, 0.097, 0.096)  # of time, roughly the course's


def track(rng: np.random.Generator, seconds: float) -> list[Segment]:
    """Draw a label track with about the course's shares; neighbours differ in class."""
    lengths = {"speech": 12.0, "music": 5.0, "speech+music": 4.0, "noise": 4.0}
    segments, at, last = [], 0.0, None
    while at < seconds:
        names = [name for name in CLASSES if name != last]
        odds = np.array([SHARES[CLASSES.index(name)] for name in names])
        last = names[rng.choice(len(names), p=odds / odds.sum())]
        end = min(seconds, at + lengths[last] * rng.uniform(0.7, 1.6))
        if seconds - end < 1.5:
            end = seconds
        segments.append(Segment(round(at, 3), round(end, 3), last))
        at = end
    return segments


def sound(rng: np.random.Generator, segments: list[Segment], seconds: float) -> np.ndarray:
    """Make something to listen to: bursts of noise, chords, both, hiss."""
    n = round(seconds * SAMPLE_RATE)
    times = np.arange(n) / SAMPLE_RATE
    syllables = rng.standard_normal(n) * np.maximum(0, np.sin(2 * np.pi * 4 * times)) * 0.2
    chord = sum(np.sin(2 * np.pi * hertz * times) for hertz in (220, 277, 330)) * 0.06
    samples = rng.standard_normal(n) * 0.002
    label = feat_ext.frame_labels(segments, times, classes=CLASSES)
    samples += np.where((label == 0) | (label == 2), syllables, 0)
    samples += np.where((label == 1) | (label == 2), chord, 0)
    return np.clip(samples, -1, 1).astype(np.float32)


def features(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Draw whitened embeddings, one cloud a class."""
    clouds = np.random.default_rng(7).normal(0, 0.45, (len(CLASSES), EMBEDDING_SIZE))
    return (clouds[label] + rng.normal(0, 0.9, (len(label), len(clouds[0])))).astype(np.float32)


def write_records(
    folder: Path, splits: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]], **said
) -> None:
    """Write TFRecords of {split: {recording: (embedding, label)}}, and their dataset.json."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {}
    for split, recordings in splits.items():
        path = folder / f"{split}.tfrecord"
        counts = np.zeros(len(CLASSES), dtype=int)
        examples = []
        for name, (embedding, label) in recordings.items():
            quantized = ((np.clip(embedding, -2, 2) + 2) * (255 / 4)).astype(np.uint8)
            second = {"faster_embedding": embedding, "faster_audio_embedding": quantized}
            examples.append(
                feat_ext.to_example(
                    embedding, quantized, label, recording=name, split=split,
                    **second if split in HEARD_TWICE else {},
                )
            )  # fmt: skip
            counts += np.bincount(label, minlength=len(CLASSES))
        feat_ext.write_examples(path, examples)
        table[split] = {
            "recordings": len(recordings),
            "windows": int(counts.sum()),
            "counts": counts.tolist(),
            "bytes": path.stat().st_size,
        }
    dataset = {
        "format": DATASET_FORMAT,
        "classes": list(CLASSES),
        "hop_seconds": HOP,
        "weights": "mini",
        "weights_sha256": "0" * 64,
        "splits": table,
        "failed": {},
    } | said
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")


def make_corpus(folder: Path, *, minutes: dict[str, int] = MINUTES, seed: int = 0, **said) -> None:
    """Make all of ``data/on-hold``: recordings of a minute each, tables, records."""
    rng = np.random.default_rng(seed)
    recordings = ["recording,split,seconds,groups,sha256"]
    rows = [
        "recording,split,start,end,label,voice,artist,singer,sounds,speech_db,music_db,"
        "speech_to_music_db,narrow_band"
    ]
    splits = {}
    for split, count in minutes.items():
        splits[split] = {}
        for number in range(count):
            name, seconds = f"{split}-{number:02}", 60.0
            segments = track(rng, seconds)
            audio = folder / split / f"{name}.flac"
            audio.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(audio, sound(rng, segments, seconds), SAMPLE_RATE)
            write_label_track(audio.with_suffix(".txt"), segments)
            voice, artist = f"voice-{split}-{number % 2}", f"artist-{split}-{number % 2}"
            recordings.append(f"{name},{split},{seconds},{artist};{voice},{'0' * 64}")
            for start, end, label in segments:
                who = voice if label in ("speech", "speech+music") else ""
                plays = artist if label in ("music", "speech+music") else ""
                sings = voice if label == "music" and number % 2 else ""
                ratio = f"{rng.uniform(0, 12):.2f}" if label == "speech+music" else ""
                rows.append(
                    f"{name},{split},{start},{end},{label},{who},{plays},{sings},,-20,-26,"
                    f"{ratio},False"
                )
            windows = 1 + int((seconds * SAMPLE_RATE - 15_600) // (HOP * SAMPLE_RATE))
            label = feat_ext.frame_labels(segments, feat_ext.window_times(windows), classes=CLASSES)
            splits[split][name] = (features(rng, label), label)
    for name, lines in (("recordings.csv", recordings), ("segments.csv", rows)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_records(folder / "embeddings", splits, **said)
