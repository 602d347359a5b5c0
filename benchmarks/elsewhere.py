"""Test a run on recordings from elsewhere, long and short, and on synthetic sounds.

    python benchmarks/elsewhere.py FOLDER [--run NAME] [--smooth HOW] [--lengths 1 2 5 10]

FOLDER holds a folder for each class (``speech``, ``music``, ``speech+music``, ``noise``), and
``song`` and ``solo-singing``, which are ``music``, with audio of any common format. Each file is
segmented as ``audioseg segment`` does it, whole and cut into short files; the tables give each
class's share of the time, and the share that is right. Then come synthetic sounds, 10 s, 1 s, a
tenth of a second and one sample long: all of them are ``noise``. Nothing is trained.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from audioseg import SMOOTHINGS, audio
from audioseg.labels import CLASSES
from audioseg.segmentation import segments
from audioseg.segmentation.evaluation import CANDIDATES
from audioseg.training import runs
from vggish.frontend import SAMPLE_RATE

RIGHT = {name: name for name in CLASSES} | {"song": "music", "solo-singing": "music"}
LEVELS_DBFS = (-14, -26, -40, -55)
SYNTHETIC_SECONDS = (10.0, 1.0, 0.1, 0.0)  # none: one sample
Ask = Callable[[Path], Counter]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", help="its name; the best one on VAL by default")
    parser.add_argument("--smooth", choices=[*SMOOTHINGS, *CANDIDATES], metavar="HOW")
    parser.add_argument("--lengths", type=float, nargs="*", default=[1.0], metavar="SECONDS")
    given = parser.parse_args()
    run = runs.load(runs.FOLDER / (given.run or runs.best()))
    embedding = segments.embedding_for(run)
    chosen = run.test.get("smoothing")
    smoothing = given.smooth or (chosen if chosen in CANDIDATES else "viterbi")
    how = CANDIDATES.get(smoothing, {"method": smoothing})
    print(f"run: {run.name}, embedding: {embedding.name}, smoothing: {smoothing}")

    def ask(path: Path) -> Counter:
        """Return the seconds of each class."""
        found = Counter()
        for start, end, label in segments.segment(path, run, embedding, **how).track:
            found[label] += end - start
        return found

    paths = list(recordings(given.folder))
    if not paths:
        parser.error(f"{given.folder} holds no audio in folders named {', '.join(RIGHT)}")
    real_sounds(paths, ask, given.lengths)
    synthetic_sounds(ask)
    return 0


def recordings(folder: Path) -> Iterator[Path]:
    """Find the recordings, folder by folder."""
    for name in RIGHT:
        yield from sorted(
            path for path in (folder / name).rglob("*") if path.suffix.lower() in audio.SUFFIXES
        )


def folder_of(path: Path) -> str:
    """Return the name of the folder, at any depth, that holds the right answer for a recording."""
    return next(parent.name for parent in path.parents if parent.name in RIGHT)


def real_sounds(paths: list[Path], ask: Ask, lengths: list[float]) -> None:
    """Print the shares for recordings, whole and cut."""
    whole = {path: ask(path) for path in paths}
    print(f"\n{'share of time, file by file':52}", *(f"{name:>12}" for name in CLASSES))
    for path, found in whole.items():
        print(f"{folder_of(path) + '/' + path.stem:52}", *shares_of(found))
    columns = {"whole": whole}
    for seconds in lengths:
        columns[f"{seconds:g} s"] = {path: cut_up(path, seconds, ask) for path in paths}
    for title, found in columns.items():
        of_folder = defaultdict(Counter)
        for path, one in found.items():
            of_folder[folder_of(path)] += one
        print(f"\n{'files of ' + title if title != 'whole' else 'whole files':22}", end="")
        print(f"{'seconds':>10} {'right':>8}", *(f"{name:>12}" for name in CLASSES))
        for name, one in of_folder.items():
            right = one[RIGHT[name]] / one.total()
            print(f"{name:22}{one.total():10.1f} {right:8.3f}", *shares_of(one))


def cut_up(path: Path, seconds: float, ask: Ask) -> Counter:
    """Cut a recording into files of one length, without the rest, and ask about each."""
    samples, length = audio.load(path), round(seconds * SAMPLE_RATE)
    found = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, max(1, len(samples) - length + 1), length):
            found += ask(written(Path(folder), samples[start : start + length]))
    return found


def written(folder: Path, samples: np.ndarray) -> Path:
    """Write samples as a file, and return its path."""
    path = folder / "excerpt.wav"
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    return path


def shares_of(found: Counter) -> list[str]:
    return [f"{found[name] / found.total():{max(12, len(name))}.3f}" for name in CLASSES]


def synthetic_sounds(ask: Ask) -> None:
    """Print the class of each synthetic sound, and how many are noise."""
    rows = [("silence", None)] + [(name, level) for name in SOUNDS for level in LEVELS_DBFS]
    titles = [f"{seconds:g} s" if seconds else "one sample" for seconds in SYNTHETIC_SECONDS]
    print(f"\n{'synthetic sounds: the class with most time':44}", *(f"{t:>13}" for t in titles))
    right_of = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, level in rows:
            answers = []
            for seconds in SYNTHETIC_SECONDS:
                samples = synthetic(name, level, seconds)
                answers.append(ask(written(Path(folder), samples)).most_common(1)[0][0])
                right_of[seconds] += answers[-1] == "noise"
            title = name if level is None else f"{name}, {level} dBFS"
            print(f"{title:44}", *(f"{answer:>13}" for answer in answers))
    counts = (f"{right_of[seconds]:13}" for seconds in SYNTHETIC_SECONDS)
    print(f"{'noise, of ' + str(len(rows)):44}", *counts)


def synthetic(name: str, level: float | None, seconds: float) -> np.ndarray:
    """Make a sound whose root mean square, or the peak of clicks, has a level in dBFS.

    None is silence. No seconds is one sample of that size.
    """
    length = max(1, round(seconds * SAMPLE_RATE))
    if level is None:
        return np.zeros(length, np.float32)
    if length == 1:
        return np.array([10 ** (level / 20)], np.float32)
    samples = SOUNDS[name](length, np.random.default_rng(0))
    size = np.abs(samples).max() if name == "clicks" else np.sqrt(np.mean(samples**2))
    return (10 ** (level / 20) / size * samples).astype(np.float32)


def coloured(length: int, rng: np.random.Generator, slope: float) -> np.ndarray:
    """Make noise from 20 Hz upwards whose power falls with frequency to some power."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * np.maximum(frequency, 20) ** (-slope / 2), length)


def tone(length: int, frequency: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(length) / SAMPLE_RATE)


def clicks(length: int, rng: np.random.Generator) -> np.ndarray:
    """Make four clicks a second, each a millisecond of noise that dies away."""
    samples = np.zeros(length)
    at = (np.arange(0.05, length / SAMPLE_RATE, 0.25) * SAMPLE_RATE).astype(int)
    for start in at:
        click = rng.standard_normal(64) * np.exp(-np.arange(64) / 16)
        samples[start : start + 64] = click[: length - start]
    return samples


SOUNDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "white noise": lambda n, rng: coloured(n, rng, 0),
    "pink noise": lambda n, rng: coloured(n, rng, 1),
    "brown noise": lambda n, rng: coloured(n, rng, 2),
    "50 Hz hum": lambda n, rng: sum(tone(n, 50 * k) / k**2 for k in range(1, 8)),
    "50 Hz": lambda n, rng: tone(n, 50),
    "1 kHz tone": lambda n, rng: tone(n, 1000),
    "clicks": clicks,
    "a constant": lambda n, rng: np.ones(n),
}


if __name__ == "__main__":
    sys.exit(main())
