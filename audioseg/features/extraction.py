"""Feature extraction for a whole corpus: make what is missing, join and describe everything.

:func:`run` finds the recordings, embeds those without a valid part (``parts``), joins the parts of
a split, in the order of their names, into its TFRecord file, and writes ``dataset.json``. Parts may
be removed at any time; they are made again when needed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from audioseg.errors import ArgumentError
from audioseg.features.dataset import HOP_DECIMALS, DatasetError, read_dataset
from audioseg.features.parts import (
    Done,
    Source,
    cannot_write,
    find_tasks,
    finished,
    fix_threads,
    how_made,
    loaded,
    work_on,
)
from audioseg.files import only_run, replacing
from audioseg.labels import read_classes
from audioseg.workers import Died, run_each
from feat_ext import HOP_SECONDS, hop_frames_of
from vggish.download import sha256_of
from vggish.errors import SentenceError

SPLITS = ("TRN", "VAL", "TST")
VERSIONED = ("tensorflow", "keras", "openvino", "numpy", "scipy", "soundfile", "av", "resampy")


class Summary(NamedTuple):
    """The result of a run.

    Attributes
    ----------
    dataset : dict
        The contents of dataset.json.
    run : dict
        What this run embedded: ``recordings``, ``hours`` of audio and ``windows`` in
        them, how many ``seconds`` it took, ``windows_per_second``.
    ignored : list of str
        Files that are neither audio nor a label track.
    """

    dataset: dict[str, Any]
    run: dict[str, float]
    ignored: list[str]

    @property
    def failed(self) -> list[dict]:
        """The recordings that failed: split, recording, reason."""
        return self.dataset["failed"]


def run(
    corpus: str | os.PathLike,
    *,
    splits: Sequence[str] | None = None,
    source: Source | None = None,
    hop_seconds: float = HOP_SECONDS,
    workers: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
    show_progress: bool = True,
) -> Summary:
    """Extract the features of a corpus into ``<corpus>/embeddings``.

    Parameters
    ----------
    corpus : str or PathLike
        A folder with folders TRN, VAL and TST of recordings and label tracks.
    splits : sequence of str, optional
        Which of them; by default all that exist.
    source : Source, optional
        Where embeddings come from.
    hop_seconds : float
        From one window to the next.
    workers : int
        Processes on this machine.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers are used in place of processes.
    overwrite : bool
        Make everything again, even if it was made with other settings.
    show_progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    Summary
        What was done and what failed.

    Raises
    ------
    ArgumentError
        If an argument names something that is not there.
    DatasetError
        If the records that are there were made with other settings, or cannot be written.
    BusyError
        If another run is at work on them. What was there before stays undamaged in any case.
    """
    corpus = Path(corpus)
    if scheduler is not None:  # its workers run in folders of their own
        corpus = corpus.absolute()
    folder = corpus / "embeddings"
    try:
        hop_frames_of(hop_seconds)
        classes = read_classes(corpus)
    except SentenceError as error:
        raise ArgumentError(str(error)) from None
    hop_seconds = round(hop_seconds, HOP_DECIMALS)  # 3 * 0.1 is a little more than 0.3
    splits = _splits(corpus, splits)
    source = source or Source()
    if source.weights not in ("auto", "audioset", "mini"):
        source = replace(source, weights=str(Path(source.weights).absolute()))
    tasks, failed, ignored = [], [], []
    for split in splits:
        try:
            found = find_tasks(corpus, split, folder)
        except OSError as error:
            raise DatasetError(
                f"{corpus / split} cannot be read ({error.strerror}): check its permissions."
            ) from None
        for those, more in zip((tasks, failed, ignored), found, strict=True):
            those += more
    if not tasks and not failed:
        raise ArgumentError(f"{corpus} holds no recordings in {', '.join(splits)}: add some.")
    try:
        with only_run(folder):
            _remove_leftovers(folder)
            threads = fix_threads()
            try:
                embedding = loaded(source)
            except SentenceError as error:  # what --weights or --precision ask for is not there
                raise ArgumentError(str(error)) from None
            made = how_made(
                embedding, hop_seconds=hop_seconds, batch_size=source.batch_size, classes=classes
            )
            before = _compare(folder, made, splits, overwrite)
            if overwrite and before is not None:
                for task in tasks:
                    Path(task.part).unlink(missing_ok=True)
            good = [done for task in tasks if (done := finished(task, made))]
            finished_tasks = {done.task for done in good}
            left = [task for task in tasks if task not in finished_tasks]
            with _Bar(len(tasks), good, show_progress) as bar:
                work = partial(work_on, made=made, source=source, threads=threads)
                if scheduler is None and (workers == 1 or len(left) < 2):
                    workers, work = 1, partial(work, progress=bar.under_way)
                stream = run_each(work, left, workers=workers, scheduler=scheduler)
                # an interruption ends the workers here, while the folder is still held
                with contextlib.closing(stream):
                    for task, done in stream:
                        if isinstance(done, Died):
                            done = Done(task, None, f"{task.path}: {done}.")
                        bar.finish(done)
                        (good if done.info else failed).append(done)
            dataset = _write_dataset(folder, splits, good, failed, made, before, bar.run)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return Summary(dataset, bar.run, ignored)


def _splits(corpus: Path, splits: Sequence[str] | None) -> list[str]:
    """Return the splits to work on, in their usual order, each once."""
    if not corpus.is_dir():
        raise ArgumentError(
            f"{corpus} does not exist: run 01 first, or name a corpus with --corpus."
        )
    there = [split for split in SPLITS if (corpus / split).is_dir()]
    if not there:
        raise ArgumentError(
            f"{corpus} has none of the folders {', '.join(SPLITS)}: split the corpus first."
        )
    missing = set(splits or ()) - set(there)
    if missing:
        raise ArgumentError(
            f"{corpus} has no folder {sorted(missing)[0]}: choose among {', '.join(there)}."
        )
    return [split for split in there if not splits or split in splits]


def _remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of killed runs."""
    for pattern in (".*.part.*", "parts/*/.*.part.*"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _compare(folder: Path, made: dict, splits: Sequence[str], overwrite: bool) -> dict | None:
    """Return the old dataset.json, if it was made with the same settings.

    Raises
    ------
    DatasetError
        If the settings differ, and not everything may be overwritten.
    """
    path = folder / "dataset.json"
    if not path.exists():
        return None
    try:
        before = read_dataset(folder, classes=None)
    except DatasetError:
        if overwrite:
            return None
        raise
    for key in made:
        if before.get(key) == made[key] or key in ("batch_size", "weights"):
            continue
        if not overwrite:
            if key in ("network", "weights_sha256"):
                was, now = (f"{d['weights']} ({d['weights_sha256'][:12]})" for d in (before, made))
                key = "weights"
            else:
                was, now = before.get(key), made[key]
            raise DatasetError(
                f"{folder} was made with the {key} {was}, not {now}: ask for that, or add "
                "--overwrite to make all of it again."
            )
        kept = [split for split in before["splits"] if split not in splits]
        if kept:
            raise DatasetError(
                f"{folder} would hold {', '.join(kept)} made with another {key} than the rest: "
                "overwrite all splits together."
            )
        return None
    return before


def _write_dataset(
    folder: Path,
    splits: Sequence[str],
    good: Sequence[Done],
    failed: Sequence[Done],
    made: Mapping[str, Any],
    before: dict | None,
    run: Mapping[str, float],
) -> dict:
    """Join the parts of each split, and describe them in dataset.json."""
    path = folder / "dataset.json"
    listed = [
        {"split": done.task.split, "recording": done.task.name, "reason": done.reason}
        for done in failed
    ]
    if not good:  # keep the old records: the disk with the corpus may only be missing today
        return {**made, "splits": {}, "failed": listed}
    entries = dict(before["splits"]) if before else {}
    for split in splits:
        parts = sorted((d for d in good if d.task.split == split), key=lambda d: d.task.name)
        entries[split] = _entry(parts, made["classes"])
        file = folder / f"{split}.tfrecord"
        if file.exists() and sha256_of(file) == entries[split]["sha256"]:
            continue
        if before is None:
            path.unlink(missing_ok=True)  # it would not fit the files that change now
        _join(file, parts)
    others = [f for f in (before or {}).get("failed", []) if f["split"] not in splits]
    dataset = {
        **made,
        "splits": {split: entries[split] for split in SPLITS if split in entries},
        "failed": sorted(others + listed, key=lambda f: (SPLITS.index(f["split"]), f["recording"])),
    }
    if before and all(before.get(key) == dataset[key] for key in dataset):
        return before
    dataset["run"] = dict(run)
    dataset["versions"] = {"python": platform.python_version()} | {
        name: package.version
        for package in importlib.metadata.distributions()
        if (name := package.name.replace("_", "-").removesuffix("-cpu")) in VERSIONED
    }
    with replacing(path) as aside:
        aside.write_text(json.dumps(dataset, indent=1) + "\n", encoding="utf-8", newline="\n")
    return dataset


def _entry(parts: Sequence[Done], classes: Sequence[str]) -> dict:
    """Return the entry of a split in dataset.json."""
    infos = [done.info for done in parts]
    counts = np.sum([info["counts"] for info in infos], axis=0) if infos else [0] * len(classes)
    files = [Path(done.task.part) for done in parts]
    return {
        "recordings": len(infos),
        "hours": round(sum(info["seconds"] for info in infos) / 3600, 6),
        "windows": sum(info["windows"] for info in infos),
        "padded": sum(info["padded"] for info in infos),
        "counts": {name: int(count) for name, count in zip(classes, counts, strict=True)},
        "bytes": sum(file.stat().st_size for file in files),
        "sha256": sha256_of(*files),
    }


def _join(path: Path, parts: Sequence[Done]) -> None:
    """Concatenate the parts to a TFRecord file."""
    with replacing(path) as aside, aside.open("wb") as whole:
        for done in parts:
            with Path(done.task.part).open("rb") as part:
                shutil.copyfileobj(part, whole, 1 << 20)


class _Bar:
    """A progress bar over recordings, with hours of audio done and windows per second."""

    def __init__(self, total: int, before: Sequence[Done], show: bool):
        self.run = dict.fromkeys(("recordings", "hours", "windows", "seconds"), 0)
        self._before = sum(done.info["seconds"] for done in before) / 3600
        self._start = time.perf_counter()
        hidden = {} if show else {"disable": True}  # else TQDM_DISABLE decides
        self._bar = tqdm(
            total=total, initial=len(before), unit="recording", mininterval=0.5, miniters=0,
            **hidden,
        )  # fmt: skip

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_) -> None:
        self.under_way(0.0, 0)
        self._bar.close()
        self.run["seconds"] = round(time.perf_counter() - self._start, 3)
        rate = self.run["windows"] / max(self.run["seconds"], 1e-3)
        self.run |= {"hours": round(self.run["hours"], 6), "windows_per_second": round(rate, 1)}

    def finish(self, done: Done) -> None:
        """Count a recording."""
        if done.info:
            self.run["recordings"] += 1
            self.run["hours"] += done.info["seconds"] / 3600
            self.run["windows"] += done.info["windows"]
        self.under_way(0.0, 0, step=1)

    def under_way(self, seconds: float, windows: int, *, step: int = 0) -> None:
        """Show the progress within a recording."""
        hours = self._before + self.run["hours"] + seconds / 3600
        rate = (self.run["windows"] + windows) / max(time.perf_counter() - self._start, 1e-3)
        self._bar.set_postfix_str(f"{hours:.2f} h of audio, {rate:.0f} windows/s", refresh=False)
        self._bar.update(step)
