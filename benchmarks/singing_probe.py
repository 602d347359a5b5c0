"""What a run says about real singing, alone and over music.

``python benchmarks/singing_probe.py FOLDER [--run NAME]``: the folder holds ``solo`` (singers
without accompaniment), ``music`` (instrumental, to put under them) and ``songs`` (as they are),
each with audio files of any common format. Everything in it is music.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from audioseg import audio
from audioseg.labels import CLASSES
from audioseg.segmentation import segments
from audioseg.training import runs
from audioseg.training.context import probabilities
from vggish.frontend import log_mel

LEVELS_DB = (-6, 0, 6, 12)
RMS = 0.05  # -26 dBFS


def load_folder(folder: Path) -> dict[str, np.ndarray]:
    """Return the recordings of a folder at 16 kHz, of equal level, by name."""
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in audio.SUFFIXES)
    waveforms = {path.stem: audio.load(path) for path in paths}
    return {name: x * (RMS / max(np.sqrt(np.mean(x**2)), 1e-9)) for name, x in waveforms.items()}


def cases(folder: Path) -> dict[str, list[np.ndarray]]:
    """Return what is to be classified, by the name of the case."""
    solo, music = load_folder(folder / "solo"), load_folder(folder / "music")
    found = {f"alone: {name}": [voice] for name, voice in solo.items()}
    for level in LEVELS_DB:
        found[f"over music, {level:+d} dB"] = [
            np.resize(track, len(voice)) + 10 ** (level / 20) * voice
            for voice in solo.values()
            for track in music.values()
        ]
    return found | {f"song: {n}": [x] for n, x in load_folder(folder / "songs").items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", help="its name; the best one on VAL by default")
    given = parser.parse_args()
    run = runs.load(runs.FOLDER / (given.run or runs.best(runs.FOLDER)))
    embedding = segments.embedding_for(run)
    print(f"{run.name}: share of the frames called", *CLASSES)
    for name, waveforms in cases(given.folder).items():
        called = []
        for waveform in waveforms:
            found = embedding.embed(log_mel(waveform))
            if run.config["input"] == "audio_embedding":
                found = embedding.quantize(found)
            called.append(probabilities(run.network, found).argmax(axis=1))
        shares = np.bincount(np.concatenate(called), minlength=len(CLASSES)) / sum(map(len, called))
        print(
            f"{name:32}",
            *(f"{share:{len(c)}.2f}" for c, share in zip(CLASSES, shares, strict=True)),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
