"""Recordings of one's own, made up: tones of a pitch a class, with label tracks of any form."""

import matplotlib
import nbformat
import numpy as np
import soundfile

from audioseg.label_formats import FORMS
from audioseg.labels import Segment

RATE = 16_000
SECONDS = 18.0


def recording(folder, name, labels, kinds, seed, suffix=".TextGrid"):
    """Write tones and hiss, three seconds each, with a label track."""
    rng = np.random.default_rng(seed)
    track, sound = [], []
    length = SECONDS / len(labels)
    for number, label in enumerate(labels):
        times = np.arange(round(length * RATE)) / RATE
        kind = kinds.index(label) if label in kinds else -1
        tone = np.sin(2 * np.pi * (200 + 260 * kind) * times) * np.sin(2 * np.pi * 3 * times) ** 2
        sound.append(0.2 * tone * (kind >= 0) + 0.01 * rng.standard_normal(len(times)))
        if label:
            track.append(Segment(number * length, (number + 1) * length, label))
    samples = np.concatenate(sound)
    seconds = len(samples) / RATE
    track = [s._replace(end=min(s.end, seconds)) for s in track]
    soundfile.write(folder / f"{name}.wav", samples, RATE)
    text = FORMS[suffix.lower()].write(track, name, seconds)
    (folder / f"{name}{suffix}").write_text(text, encoding="utf-8")


def run_notebook(name, monkeypatch, **parameters):
    """Run a notebook's code in this process."""
    monkeypatch.setenv("JPY_SESSION_NAME", f"{name}.ipynb")
    matplotlib.use("Agg")
    names = {}
    for cell in nbformat.read(f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{name}, cell {cell.id}", "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= parameters
    matplotlib.pyplot.close("all")
    return names
