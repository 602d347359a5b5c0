"""Draw the pictures of the glossary, from the course's own corpus and runs.

    python docs/glossary_figures.py

needs what `make tutorial` makes.
"""

import matplotlib

matplotlib.use("Agg")

import io
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from PIL import Image

import feat_ext
from audioseg import labels, smoothing
from audioseg.features.dataset import load_split
from audioseg.labels import Segment
from audioseg.show import pictures
from audioseg.training import context, runs
from vggish.embedding import load_embedding

ROOT = Path(__file__).resolve().parent
OUT = ROOT / "glossary"
CORPUS = ROOT.parent / "data" / "on-hold"
RUNS = ROOT.parent / "runs"
SIZE = 7.2  # inches
RUN, OVERFITTED = "03-training-90-explaining_0687", "03-training-91-keras_2mlp_clsw1"


def save(figure: plt.Figure, name: str) -> None:
    """Write a small picture, for light and dark pages alike."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90, facecolor="white")
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(64).save(OUT / f"{name}.png", optimize=True)


def a_change(split: str) -> tuple[Path, Segment]:
    """Return a recording, and the first segment of music in it that follows speech."""
    for path in sorted((CORPUS / split).glob("*.flac")):
        for before, after in pairwise(labels.read_label_track(path.with_suffix(".txt"))):
            if (before.label, after.label) == ("speech", "music") and after.start > 3:
                return path, after
    raise SystemExit(f"error: in {CORPUS / split} no music follows speech.")


def windows() -> plt.Figure:
    """Draw a waveform, its log-mel spectrogram with windows in it, and their embeddings."""
    path, music = a_change("VAL")
    start = music.start - 2
    rate = feat_ext.SAMPLE_RATE
    samples = feat_ext.load(path)[round(start * rate) : round((start + 4) * rate)]
    spectrogram = feat_ext.log_mel(samples)
    embedding = load_embedding("mini")
    numbers = embedding.quantize(feat_ext.embed(samples, embedding))
    figure, (wave, mel, below) = plt.subplots(
        3, 1, figsize=(SIZE, 4.4), sharex=True, height_ratios=(1, 2, 2), layout="constrained"
    )
    wave.plot(np.arange(len(samples)) / rate, samples, color="#333333", linewidth=0.3)
    wave.set(yticks=[], ylabel="waveform")
    mel.imshow(spectrogram.T, origin="lower", aspect="auto", extent=(0, len(samples) / rate, 0, 64))
    mel.set(ylabel="mel band")
    for i in range(3):
        left = 0.6 + i * feat_ext.HOP_SECONDS
        box = Rectangle((left, 2 + 3 * i), 0.975, 54, fill=False, edgecolor="white", linewidth=1.5)
        mel.add_patch(box)
    mel.annotate(
        "three windows, a hop of 0.12 s apart", (1.9, 30), color="white", va="center", fontsize=9
    )
    first = feat_ext.FIRST_CENTER_SECONDS - feat_ext.HOP_SECONDS / 2
    end = first + len(numbers) * feat_ext.HOP_SECONDS
    below.imshow(
        numbers.T, origin="lower", aspect="auto", cmap="magma", extent=(first, end, 0, 128)
    )
    below.set(ylabel="embedding", xlabel="time / s", xlim=(0, len(samples) / rate), ylim=(0, 128))
    return figure


def events() -> plt.Figure:
    """Draw a reference and an estimate, and which of its segments count."""
    reference = [
        Segment(0, 4, "speech"),
        Segment(4, 8, "music"),
        Segment(8, 10, "noise"),
        Segment(10, 15, "speech"),
        Segment(15, 18, "music"),
    ]
    estimate = [
        Segment(0, 4.3, "speech"),
        Segment(4.3, 8.2, "music"),
        Segment(8.2, 11.4, "noise"),
        Segment(11.4, 12.6, "speech"),
        Segment(12.6, 13, "noise"),
        Segment(13, 15, "speech"),
        Segment(15, 18, "speech+music"),
    ]
    counts = [True, True, False, False, False, False, False]
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(SIZE, 1.9), sharex=True, layout="constrained"
    )
    for axes, name, track in ((above, "reference", reference), (below, "estimate", estimate)):
        pictures.draw_track(axes, track)
        axes.set(ylim=(0, 1), yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    for segment in reference:
        for edge in (segment.start, segment.end):
            above.axvspan(edge - 0.5, edge + 0.5, color="black", alpha=0.12, linewidth=0)
            below.axvspan(edge - 0.5, edge + 0.5, color="black", alpha=0.12, linewidth=0)
    for segment, right in zip(estimate, counts, strict=True):
        middle = (segment.start + segment.end) / 2
        below.text(middle, 0.5, "✓" if right else "✗", ha="center", va="center", fontsize=11)
    pictures.legend(above)
    below.set(xlim=(0, 18), xlabel="time / s (grey: the collar of 0.5 s around each edge)")
    return figure


def viterbi() -> plt.Figure:
    """Draw where Viterbi helps most: probabilities, the most probable class, its sequence."""
    run, val = runs.load(RUNS / RUN), load_split(CORPUS / "embeddings", "VAL")
    classes = labels.COURSE
    length = round(40 / val.hop_seconds)
    gain = -1
    for number in range(len(val.names)):
        inside = val.recording == number
        heard = context.probabilities(run.network, val.audio_embedding[inside])
        found = smoothing.smooth(
            heard,
            "viterbi",
            hop_seconds=val.hop_seconds,
            transition=run.config["transitions"],
            priors=run.config["priors"],
        )
        truth = val.label[inside]
        better = (found == truth).astype(int) - (heard.argmax(axis=1) == truth)
        gains = np.convolve(better, np.ones(length), mode="valid")
        if gains.max() > gain:
            gain, part = gains.max(), slice(gains.argmax(), gains.argmax() + length)
            said, smooth, reference = heard, found, truth
    raw = said.argmax(axis=1)
    times = np.arange(len(raw[part])) * val.hop_seconds
    figure, panels = plt.subplots(
        4, 1, figsize=(SIZE, 3.2), sharex=True, height_ratios=(4, 1, 1, 1), layout="constrained"
    )
    colors = [pictures.COLORS[name] for name in classes.names]
    panels[0].stackplot(times, said[part].T, colors=colors)
    panels[0].set(ylim=(0, 1), ylabel="probability")
    rows = {"most probable": raw, "Viterbi": smooth, "reference": reference}
    for axes, (name, row) in zip(panels[1:], rows.items(), strict=True):
        track = labels.segments_from_frames(
            row[part], hop_seconds=val.hop_seconds, first_center=0.06, classes=classes.names
        )
        pictures.draw_track(axes, track)
        axes.set(ylim=(0, 1), yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    pictures.legend(panels[0])
    panels[-1].set(xlim=(0, times[-1]), xlabel="time / s")
    return figure


def overfitting() -> plt.Figure:
    """Draw the loss of a run on TRN and VAL."""
    history = pd.read_csv(RUNS / OVERFITTED / "history.csv")
    figure, axes = plt.subplots(figsize=(4.4, 2.6), layout="constrained")
    axes.plot(history.epoch, history.loss, "o-", color=pictures.TRAINING, label="TRN")
    axes.plot(history.epoch, history.val_loss, "s-", color=pictures.VALIDATION, label="VAL")
    best = history.val_loss.argmin()
    axes.axvline(history.epoch[best], color="black", linestyle=":", linewidth=1)
    axes.annotate(
        "from here on\nit overfits", (history.epoch[best], axes.get_ylim()[1]), (5, -4),
        textcoords="offset points", va="top", fontsize=9,
    )  # fmt: skip
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend(frameon=False, loc="lower left")
    return figure


def receptive_field() -> plt.Figure:
    """Draw which windows the answer in the middle depends on."""
    gaps = (1, 2, 4, 8)
    figure, axes = plt.subplots(figsize=(SIZE, 2.6), layout="constrained")
    axes.plot(*np.mgrid[-16:17, 0 : len(gaps) + 1].reshape(2, -1), ".", color="#CCCCCC")
    asked = {0}
    for level, gap in reversed(list(enumerate(gaps))):
        below = {at + step for at in asked for step in (-gap, 0, gap)}
        for at in asked:
            for step in (-gap, 0, gap):
                axes.plot((at + step, at), (level, level + 1), color=pictures.TRAINING, lw=0.6)
        axes.plot(list(asked), [level + 1] * len(asked), "o", color=pictures.VALIDATION, ms=4)
        asked = below
    axes.plot(list(asked), [0] * len(asked), "o", color="#332288", ms=4)
    names = ["embeddings", *(f"gap {gap}" for gap in gaps)]
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="windows before and after", xlim=(-16.5, 16.5))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for draw in (windows, events, viterbi, overfitting, receptive_field):
        save(draw(), draw.__name__.replace("_", "-"))
