"""Feature extraction for a whole corpus: make what is missing, join and describe everything.

:func:`run` finds the recordings, embeds those without a valid part (``parts``), joins the parts of
a split, in the order of their names, into its TFRecord file, and writes ``dataset.json``. Parts may
be removed at any time; they are made again when needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from audioseg.errors import ArgumentError
from audioseg.features.dataset import DATASET_FORMAT, HOP_DECIMALS, DatasetError, read_dataset
from audioseg.features.parts import (
    Done,
    Settings,
    Source,
    cannot_write,
    find_tasks,
    finished,
    fix_threads,
    loaded,
    work_on,
)
from audioseg.files import only_run, replacing
from audioseg.labels import LabelError, read_classes
from audioseg.workers import Died, run_each
from feat_ext import FRONT_END, HOP_SECONDS, FeatureError, hop_frames_of
from vggish.download import sha256_of
from vggish.errors import SentenceError

SPLITS = ("TRN", "VAL", "TST")
VERSIONED = ("tensorflow", "keras", "numpy", "scipy", "soundfile", "av", "resampy")


@dataclass
class Summary:
    """The result of a run.

    Attributes
    ----------
    dataset : dict
        The contents of dataset.json.
    new : int
        Recordings that this run embedded.
    seconds : float
        How long that took.
    windows, hours : float
        Windows and hours of audio in these recordings.
    ignored : list of str
        Files that are neither audio nor a label track.
    """

    dataset: dict = field(default_factory=dict)
    new: int = 0
    seconds: float = 0.0
    windows: int = 0
    hours: float = 0.0
    ignored: list[str] = field(default_factory=list)

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
        Make everything anew, also where other settings were used before.
    show_progress : bool
        Whether to draw a progress bar.

    Returns
    -------
    Summary
        What was done and what failed.

    Raises
    ------
    ArgumentError
        If an argument names what is not there.
    DatasetError
        If the records that are there were made with other settings, or cannot be written.
    BusyError
        If another run is at work on them. In no case is anything damaged that was there.
    """
    corpus = Path(corpus)
    if scheduler is not None:  # its workers run in folders of their own
        corpus = corpus.absolute()
    folder = corpus / "embeddings"
    try:
        hop_frames_of(hop_seconds)
    except FeatureError as error:
        raise ArgumentError(str(error)) from None
    hop_seconds = round(hop_seconds, HOP_DECIMALS)  # 3 * 0.1 is a little more than 0.3
    splits = _splits(corpus, splits)
    source = source or Source()
    if source.weights not in ("auto", "audioset", "mini"):
        source = replace(source, weights=str(Path(source.weights).absolute()))
    try:
        classes = read_classes(corpus)
    except LabelError as error:
        raise ArgumentError(str(error)) from None
    tasks, failed, summary = [], [], Summary()
    for split in splits:
        try:
            found, unusable, ignored = find_tasks(corpus, split, folder)
        except OSError as error:
            raise DatasetError(
                f"{corpus / split} cannot be read ({error.strerror}): check its permissions."
            ) from None
        tasks += found
        failed += unusable
        summary.ignored += ignored
    if not tasks and not failed:
        raise ArgumentError(f"{corpus} holds no recordings in {', '.join(splits)}: add some.")
    try:
        with only_run(folder):
            _remove_leftovers(folder)
            threads = fix_threads()
            try:
                description = loaded(source).description()
            except SentenceError as error:  # what --weights or --precision ask for is not there
                raise ArgumentError(str(error)) from None
            settings = Settings(
                tuple(description.items()), hop_seconds, source.batch_size, threads, classes
            )
            made = _made(settings, description)
            before = _compare(folder, made, splits, overwrite)
            if overwrite and before is not None:
                for task in tasks:
                    Path(task.part).unlink(missing_ok=True)
            results = [finished(task, settings) for task in tasks]
            left = [task for task, done in zip(tasks, results, strict=True) if done is None]
            good = [done for done in results if done is not None]
            hours = sum(done.info["seconds"] for done in good) / 3600
            with _Bar(len(tasks), len(good), hours, show_progress) as bar:
                if len(left) < 2 and scheduler is None:
                    workers = 1
                work = partial(work_on, settings=settings, source=source)
                if workers == 1 and scheduler is None:
                    work = partial(work, progress=bar.add)
                stream = run_each(work, left, workers=workers, scheduler=scheduler)
                # an interruption ends the workers here, while the folder is still held
                with contextlib.closing(stream):
                    for task, done in stream:
                        if isinstance(done, Died):
                            done = Done(task, None, f"{task.path}: {done}.")
                        bar.finish(done)
                        (good if done.info else failed).append(done)
            summary.new = bar.good
            summary.seconds, summary.windows, summary.hours = bar.seconds, bar.windows, bar.hours
            summary.dataset = _write_dataset(
                folder, splits, good, failed, made, before, summary, overwrite=overwrite
            )
    except OSError as error:
        raise cannot_write(folder, error) from None
    return summary


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


def _made(settings: Settings, description: dict[str, str]) -> dict:
    """Return the settings that dataset.json records."""
    return {
        "format": DATASET_FORMAT,
        **settings.classes.said(),
        "hop_seconds": settings.hop_seconds,
        "front_end": FRONT_END,
        "network": description["network"],
        "weights": description["name"],
        "weights_sha256": description["sha256"],
        "precision": description["precision"],
        "postprocessing": description["postprocessing"],
        "batch_size": settings.batch_size,
    }


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
                "--overwrite to make all of it anew."
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
    made: dict,
    before: dict | None,
    summary: Summary,
    *,
    overwrite: bool,
) -> dict:
    """Join the parts of each split, and describe them in dataset.json."""
    path = folder / "dataset.json"
    listed = [
        {"split": done.task.split, "recording": done.task.name, "reason": done.reason}
        for done in failed
    ]
    if not good:  # what there is may be all that is left of a disk that is not there today
        return {**made, "splits": {}, "failed": listed}
    entries = dict(before["splits"]) if before else {}
    changed = {}
    for split in splits:
        parts = sorted((d for d in good if d.task.split == split), key=lambda d: d.task.name)
        entry = _entry(parts, made["classes"])
        old = entries.get(split, {})
        file = folder / f"{split}.tfrecord"
        same = old.get("fingerprint") == entry["fingerprint"] and file.exists()
        # a run killed between joining and dataset.json leaves other records than that one says
        if same and not overwrite and sha256_of(file) == old.get("sha256"):
            continue
        changed[split] = parts
        entries[split] = entry
    if changed and before is None:
        path.unlink(missing_ok=True)  # from here on, it does not say what is there
    for split, parts in changed.items():
        entries[split] |= _join(folder / f"{split}.tfrecord", parts)
    others = [f for f in (before or {}).get("failed", []) if f["split"] not in splits]
    dataset = {
        **made,
        "splits": {split: entries[split] for split in SPLITS if split in entries},
        "failed": sorted(others + listed, key=lambda f: (SPLITS.index(f["split"]), f["recording"])),
    }
    if before and not changed and all(before.get(key) == dataset[key] for key in dataset):
        return before
    dataset["run"] = {
        "recordings": summary.new,
        "hours": round(summary.hours, 6),
        "windows": summary.windows,
        "seconds": round(summary.seconds, 3),
        "windows_per_second": round(summary.windows / max(summary.seconds, 1e-3), 1),
    }
    dataset["versions"] = {
        "python": platform.python_version(),
        **{name: _version_of(name) for name in VERSIONED},
    }
    with replacing(path) as aside:
        aside.write_text(json.dumps(dataset, indent=1) + "\n", encoding="utf-8", newline="\n")
    return dataset


def _entry(parts: Sequence[Done], classes: Sequence[str]) -> dict:
    """Return the entry of a split in dataset.json."""
    infos = [done.info for done in parts]
    counts = np.sum([info["counts"] for info in infos], axis=0) if infos else [0] * len(classes)
    together = "".join(info["fingerprint"] for info in infos)
    return {
        "recordings": len(infos),
        "hours": round(sum(info["seconds"] for info in infos) / 3600, 6),
        "windows": sum(info["windows"] for info in infos),
        "padded": sum(info["padded"] for info in infos),
        "counts": {name: int(count) for name, count in zip(classes, counts, strict=True)},
        "fingerprint": hashlib.sha256(together.encode()).hexdigest(),
    }


def _join(path: Path, parts: Sequence[Done]) -> dict:
    """Concatenate the parts to a TFRecord file; return its size and SHA-256."""
    with replacing(path) as aside:
        with aside.open("wb") as whole:
            for done in parts:
                with Path(done.task.part).open("rb") as part:
                    shutil.copyfileobj(part, whole, 1 << 20)
        return {"bytes": aside.stat().st_size, "sha256": sha256_of(aside)}


class _Bar:
    """A progress bar over recordings, with audio-hours done and windows a second."""

    def __init__(self, total: int, initial: int, hours: float, show: bool):
        self.good = self.windows = 0
        self.hours = self.seconds = 0.0
        self._before = hours
        self._live = (0.0, 0)  # of the recording under way
        self._start = time.perf_counter()
        self._drawn = 0.0
        hidden = {} if show else {"disable": True}  # else TQDM_DISABLE decides
        self._bar = tqdm(total=total, initial=initial, unit="recording", **hidden)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_) -> None:
        self.seconds = time.perf_counter() - self._start
        self._draw()
        self._bar.close()

    def add(self, seconds: float, windows: int) -> None:
        """Count progress within a recording."""
        self._live = (self._live[0] + seconds / 3600, self._live[1] + windows)
        if time.perf_counter() - self._drawn > 0.5:
            self._draw()

    def finish(self, done: Done) -> None:
        """Count a recording."""
        self._live = (0.0, 0)
        if done.info:
            self.good += 1
            self.windows += done.info["windows"]
            self.hours += done.info["seconds"] / 3600
        self._bar.update()
        if time.perf_counter() - self._drawn > 0.5:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.perf_counter()
        hours = self._before + self.hours + self._live[0]
        rate = (self.windows + self._live[1]) / max(self._drawn - self._start, 1e-3)
        self._bar.set_postfix_str(f"{hours:.2f} h of audio, {rate:.0f} windows/s")


def _version_of(name: str) -> str:
    """Return the version of an installed package, or of its build without GPU code."""
    for build in (name, f"{name}-cpu"):
        try:
            return importlib.metadata.version(build)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
