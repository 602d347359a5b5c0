"""The worth of corrections: accuracy on TST after 2, 5 and 10 minutes, chosen or at random.

    python benchmarks/correcting.py [--corpus on-hold|who-speaks] [--seeds 0 1 2]

Train a network on a few recordings of TRN. The labels of the other recordings play the person who
corrects: choose minutes of them as `audioseg segment --review` does, in stretches of 10 s, or draw
such stretches at random. Train again with them, and score on TST, frame by frame without smoothing.

`on-hold` is the course's corpus, as 02 left it; each seed starts with three other recordings.
`who-speaks` is that of 05: its first cells make it, with 20 new conversations instead of 5, so that
10 minutes are less than half of them; each seed draws other conversations.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

import feat_ext
from audioseg.corpus import own
from audioseg.corpus.finding import GROUPS_FILE
from audioseg.features import extraction
from audioseg.features.dataset import Frames, load_split, read_dataset
from audioseg.labels import write_label_track
from audioseg.segmentation import review
from audioseg.training.context import probabilities_of
from audioseg.training.scores import frame_scores

MINUTES = (0, 2, 5, 10)
EPOCHS, UNITS, BATCH = 15, 64, 128
ON_HOLD, START = Path("data/on-hold"), 3  # recordings labelled to begin with
NOTEBOOK = Path(__file__).parents[1] / "05-your-own-problem.ipynb"
NEW_CONVERSATIONS = 20


def trained(frames: Frames, taken: np.ndarray, classes: int, seed: int) -> keras.Model:
    """Train the perceptron of 03-90 on some of the windows."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((128,))
    x = keras.layers.Dense(UNITS, activation="relu")(inputs / 127.5 - 1)
    network = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))
    network.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    x, y = frames.audio_embedding[taken], frames.label[taken]
    network.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return network


def corrected(frames: Frames, doubt: np.ndarray, pool: list[int], minutes: float) -> np.ndarray:
    """Return which windows lie in the stretches that come first by their doubt."""
    doubts = []
    for number in pool:
        values = doubt[frames.recording == number]
        seconds = len(values) * frames.hop_seconds + 0.975
        doubts.append(review.Doubt(Path(), seconds, frames.hop_seconds, values))
    taken = np.zeros(len(frames.label), dtype=bool)
    for number, track in zip(pool, review.stretches(doubts, minutes=minutes), strict=True):
        inside = np.flatnonzero(frames.recording == number)
        times = feat_ext.window_times(len(inside), frames.hop_seconds)
        for start, end, _ in track:
            taken[inside[(times >= start) & (times < end)]] = True
    return taken


@contextmanager
def on_hold(seed: int, rng: np.random.Generator) -> Iterator[tuple[Path, list[str]]]:
    """Yield a corpus, and the recordings of its TRN that are labelled at first."""
    names = load_split(ON_HOLD / "embeddings", "TRN").names
    yield ON_HOLD, [names[number] for number in rng.permutation(len(names))[:START]]


@contextmanager
def who_speaks(seed: int, rng: np.random.Generator) -> Iterator[tuple[Path, list[str]]]:
    """Yield the same of the conversations of 05, which it draws by the seed."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        shutil.copy("data/sources.csv", data)
        names: dict = {}
        exec(cells["check"], names)
        names |= {"DATA": data, "SEED": seed, "NEW_CONVERSATIONS": NEW_CONVERSATIONS}
        exec(cells["own-05"], names)
        labelled, new, truth = (names[name] for name in ("LABELLED", "NEW", "truth"))
        for name, track in truth.items():
            shutil.move(new / f"{name}.flac", labelled)
            write_label_track(labelled / f"{name}.txt", track)
        rows = pd.read_csv(labelled / GROUPS_FILE)
        more = pd.DataFrame({"recording": [*truth], "group": [*truth], "split": "TRN"})
        pd.concat([rows, more]).to_csv(labelled / GROUPS_FILE, index=False)
        own.adopt(labelled, "who-speaks", background="pause", data_folder=data, workers=1)
        extraction.run(data / "who-speaks", show_progress=False)
        yield data / "who-speaks", list(rows.recording[rows.split == "TRN"])


CORPORA = {"on-hold": on_hold, "who-speaks": who_speaks}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpus", choices=CORPORA, default="on-hold")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    table: dict[str, list[list[tuple[float, float]]]] = {"chosen": [], "random": []}
    for seed in options.seeds:
        rng = np.random.default_rng(seed)
        with CORPORA[options.corpus](seed, rng) as (corpus, labelled):
            classes = len(read_dataset(corpus / "embeddings")["classes"])
            trn, tst = (load_split(corpus / "embeddings", split) for split in ("TRN", "TST"))
        at_first = [trn.names.index(name) for name in labelled]
        start = np.isin(trn.recording, at_first)
        pool = [number for number in range(len(trn.names)) if number not in at_first]
        first = trained(trn, start, classes, seed)
        sure = probabilities_of(first, trn.audio_embedding, trn.recording)
        doubt = {"chosen": review.doubt(sure), "random": rng.random(len(trn.label))}
        for how, values in doubt.items():
            if how == "random":  # one number a stretch, not the mean of many
                steps = np.arange(len(values)) * trn.hop_seconds // review.STRETCH_SECONDS
                values = values[np.searchsorted(steps, steps)]
            row = []
            for minutes in MINUTES:
                taken = start | corrected(trn, values, pool, minutes) if minutes else start
                network = trained(trn, taken, classes, seed)
                answer = probabilities_of(network, tst.audio_embedding, tst.recording)
                scores = frame_scores(tst.label, answer.argmax(axis=1), classes=classes)
                row.append((scores.accuracy, scores.macro_f1))
            table[how].append(row)
            spent, held = (np.sum(part) * trn.hop_seconds / 60 for part in (start, ~start))
            said = "  ".join(f"{accuracy:.3f}/{f1:.3f}" for accuracy, f1 in row)
            print(
                f"seed {seed}, {spent:.1f} min at first, {held:.1f} held back, {how}: {said}",
                flush=True,
            )
    print(f"\nTST accuracy / macro F1, mean of {len(options.seeds)} seeds (spread), after minutes:")
    print("        ", "  ".join(f"{minutes:>19}" for minutes in MINUTES))
    for how, rows in table.items():
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        cells = (
            f"{a:.3f} / {f:.3f} ({s:.3f})" for (a, f), (s, _) in zip(mean, spread, strict=True)
        )
        print(f"{how:8}", "  ".join(cells))


if __name__ == "__main__":
    main()
