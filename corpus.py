"""The corpus: fetch its sources, show what they hold, split them, compose recordings of them.

``python corpus.py`` makes ``data/on-hold`` from nothing; ``python corpus.py --own FOLDER`` makes a
corpus of recordings of one's own. Steps that are done are skipped, and a run that was killed goes
on where it stopped and ends in the same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import soundfile
from tqdm.auto import tqdm

import corpus_plan
import corpus_sound
from corpus_sound import SAMPLE_RATE, CorpusError
from debian import ArchiveError, deb_name, fetch_deb, find_mirrors, unpack_deb
from files import DownloadError, replacing, sha256_of
from labels import write_label_track

SPLITS = ("TRN", "VAL", "TST")
KINDS = ("speech", "music", "noise")
DATA_FOLDER = Path("data")
CORPUS = "on-hold"
SEED = 2024
NOISE_SHARES = {"TRN": 0.6, "VAL": 0.2, "TST": 0.2}
SHORTEST_NOISE_SECONDS = 0.3
AUDIO_SUFFIXES = (".flac", ".g722", ".gsm", ".mp3", ".ogg", ".wav")
COLUMNS = (
    "package", "version", "source", "sha256", "bytes", "kind", "group", "split", "files",
    "leave_out", "licence", "attribution",
)  # fmt: skip
PIN = ["package", "version", "source", "sha256", "bytes"]


# -- sources


def read_sources(path: str | os.PathLike = DATA_FOLDER / "sources.csv") -> pd.DataFrame:
    """Read the table of sources: one row a group of a package.

    Parameters
    ----------
    path : str or PathLike
        Its columns are explained in ``data/README.md``.

    Returns
    -------
    pd.DataFrame
        One row a group, in the file's order.

    Raises
    ------
    CorpusError
        If a column is missing, a value is not what it has to be, or a group is in two splits.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path} cannot be read ({error}): restore it from the project."
        ) from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise CorpusError(f"{path} lacks the column {missing[0]!r}: restore it from the project.")
    rules = {
        "package": r"[a-z0-9][a-z0-9+.-]+",
        "version": r"[A-Za-z0-9.+:~-]+",
        "source": r"[a-z0-9][a-z0-9+.-]+",
        "sha256": r"[0-9a-f]{64}",
        "bytes": r"[0-9]+",
        "kind": "|".join(KINDS),
        "group": r"\*|[a-z0-9-]+",
        "split": r"\*|" + "|".join(SPLITS),
        "files": r".+",
    }
    for column, rule in rules.items():
        for line, value in enumerate(table[column], start=2):
            if not re.fullmatch(rule, value):
                raise CorpusError(f"{path}, line {line}: {value!r} is no valid {column}.")
    for column, of, what in (("split", "group", "group"), ("sha256", "package", "package")):
        several = table[table[of] != "*"].groupby(of)[column].nunique()
        if (several > 1).any():
            raise CorpusError(
                f"{path}: the {what} {several.idxmax()} has more than one {column}: give it one."
            )
    table["bytes"] = table["bytes"].astype(int)
    return table


def _unpacked_name(row: Mapping) -> str:
    return deb_name(row["package"], row["version"]).removesuffix("_all.deb")


def acquire(sources: pd.DataFrame, raw_folder: str | os.PathLike = DATA_FOLDER / "raw") -> None:
    """Fetch, verify and unpack the packages of the sources; what is there is left alone.

    Parameters
    ----------
    sources : pd.DataFrame
        As :func:`read_sources` returns it.
    raw_folder : str or PathLike
        The download cache; each package is unpacked into a folder there.

    Raises
    ------
    CorpusError
        If a package cannot be unpacked or written.
    DownloadError
        If a package has to be fetched and cannot be.
    """
    raw_folder = Path(raw_folder)
    packages = sources.drop_duplicates(PIN)[PIN].to_dict("records")
    lacking = [row for row in packages if not (raw_folder / _unpacked_name(row)).is_dir()]
    if not lacking:
        return
    with _writing(raw_folder):
        for row in tqdm(lacking, desc="packages", unit="package"):
            deb = raw_folder / deb_name(row["package"], row["version"])
            # a mirror is needed only for what is not there yet
            if not (deb.exists() and sha256_of(deb) == row["sha256"]):
                fetch_deb(
                    row["package"], row["version"], row["source"], raw_folder,
                    sha256=row["sha256"], size=row["bytes"], mirrors=find_mirrors(),
                )  # fmt: skip
            try:
                unpack_deb(deb, raw_folder / _unpacked_name(row), _is_wanted)
            except ArchiveError as error:
                raise CorpusError(str(error)) from None


def _is_wanted(name: str) -> bool:
    """Tell what of a package is unpacked: sounds, archives of sounds, and its licences."""
    return Path(name).suffix in (*AUDIO_SUFFIXES, ".pk3", ".zip") or name.endswith("/copyright")


def list_sources(
    sources: pd.DataFrame, raw_folder: str | os.PathLike = DATA_FOLDER / "raw"
) -> pd.DataFrame:
    """List the unpacked files that the sources name.

    Returns
    -------
    pd.DataFrame
        One row a file: ``path`` (relative to ``raw_folder``), ``package``, ``kind``, ``group``,
        ``split`` (``*`` where :func:`plan_split` decides), ``seconds``, ``rate``, ``licence``.

    Raises
    ------
    CorpusError
        If a package is not unpacked, or a row names no file.
    """
    raw_folder = Path(raw_folder)
    rows = []
    for row in sources.to_dict("records"):
        folder = raw_folder / _unpacked_name(row)
        if not folder.is_dir():
            raise CorpusError(
                f"{folder} is missing: run `python corpus.py`, which fetches and unpacks it."
            )
        paths = sorted(p.relative_to(raw_folder).as_posix() for p in folder.rglob("*.*"))
        chosen = []
        for pattern in row["files"].split(";"):
            pattern, sign, beside = pattern.partition("&")
            chosen += [path + sign + beside for path in fnmatch.filter(paths, f"*{pattern}")]
        for path in row["leave_out"].split(";") if row["leave_out"] else ():
            left_out = set(fnmatch.filter(chosen, f"*{path}"))
            chosen = [path for path in chosen if path not in left_out]
        if not chosen:
            raise CorpusError(
                f"the sources name {row['files']} of {row['package']}, where no such file is: "
                f"remove {folder} and run the same command again."
            )
        for path in sorted(set(chosen)):
            seconds, rate = corpus_sound.source_seconds(raw_folder / path)
            group = row["group"] if row["group"] != "*" else _family(row["package"], path)
            kept = {key: row[key] for key in ("package", "kind", "split", "licence")}
            rows.append({"path": path, "group": group, "seconds": seconds, "rate": rate, **kept})
    return pd.DataFrame(rows).drop_duplicates("path", ignore_index=True)


def _family(package: str, path: str) -> str:
    """Name the group of a sound: its file's name without numbers, as takes share a recording."""
    stem = re.split(r"[\d_-]", Path(path).stem)[0].lower()
    return f"{package}:{Path(path).parent.name}/{stem or Path(path).stem}"


def plan_split(files: pd.DataFrame) -> pd.DataFrame:
    """Decide the split of each source: by voice, artist and family of sounds, never by file alone.

    Voices and artists have theirs in the table of sources. The families of sounds are dealt out,
    longest first, each to the split that is furthest below its share.

    Parameters
    ----------
    files : pd.DataFrame
        As :func:`list_sources` returns it.

    Returns
    -------
    pd.DataFrame
        The same with ``split`` decided, without sounds too short to be used.

    Raises
    ------
    CorpusError
        If a group would be in two splits.
    """
    files = files[(files.kind != "noise") | (files.seconds >= SHORTEST_NOISE_SECONDS)].copy()
    open_families = files[files.split == "*"].groupby("group").seconds.sum()
    dealt = dict.fromkeys(SPLITS, 0.0)
    home = {}
    # rounded, and by name where equal: the same order everywhere
    for group in sorted(open_families.index, key=lambda g: (-round(open_families[g], 3), g)):
        split = min(SPLITS, key=lambda s: dealt[s] / NOISE_SHARES[s])
        home[group] = split
        dealt[split] += open_families[group]
    files["split"] = files.split.where(files.split != "*", files.group.map(home))
    splits_of = files.groupby("group").split.nunique()
    if (splits_of > 1).any():
        raise CorpusError(f"the group {splits_of.idxmax()} is in two splits: give it one.")
    return files.reset_index(drop=True)


def inspect(files: pd.DataFrame) -> pd.DataFrame:
    """Sum up what the sources hold.

    Returns
    -------
    pd.DataFrame
        One row a group of speech and music, and one a split of each package of noise: ``kind``,
        ``split``, ``group``, ``package``, ``files``, ``minutes``, ``median_seconds``,
        ``rate_hz``, ``licence``.
    """
    noise = files.kind == "noise"
    shown = files.assign(group=files.group.where(~noise, "(families)"))
    keys = ["kind", "split", "group", "package", "licence"]
    table = shown.groupby(keys, sort=False).agg(
        files=("path", "size"),
        minutes=("seconds", lambda seconds: round(seconds.sum() / 60, 1)),
        median_seconds=("seconds", lambda seconds: round(seconds.median(), 1)),
        rate_hz=("rate", lambda rates: " ".join(str(rate) for rate in sorted(set(rates)))),
    )
    table = table.reset_index()
    order = table.assign(
        kind=table.kind.map(KINDS.index), split=table.split.map([*SPLITS, "*"].index)
    )
    columns = ["kind", "split", "group", "package", "files", "minutes", "median_seconds", "rate_hz"]
    return table.loc[order.sort_values(["kind", "split", "group"]).index, [*columns, "licence"]]


# -- composition


def compose_corpus(
    data_folder: str | os.PathLike = DATA_FOLDER,
    *,
    corpus: str = CORPUS,
    sources: pd.DataFrame | None = None,
    raw_folder: str | os.PathLike | None = None,
    minutes: Mapping[str, float] = corpus_plan.MINUTES,
    seed: int = SEED,
    workers: int | None = None,
) -> pd.DataFrame:
    """Compose the recordings and their label tracks; those that are there are kept.

    Parameters
    ----------
    data_folder : str or PathLike
        Where ``sources.csv`` and ``raw`` are, and the corpus goes.
    corpus : str
        The name of the corpus's folder.
    sources : pd.DataFrame, optional
        Those of ``data_folder / "sources.csv"`` by default; they must have been acquired.
    raw_folder : str or PathLike, optional
        Where they are unpacked; ``data_folder / "raw"`` by default.
    minutes : mapping
        How much to compose of each split.
    seed : int
        Same seed, same bytes.
    workers : int, optional
        Processes; as many as processors by default. The result does not depend on it.

    Returns
    -------
    pd.DataFrame
        ``recordings.csv``: ``recording``, ``split``, ``seconds``, ``groups``, ``sha256`` of the
        FLAC file. Beside it, ``segments.csv`` says of each segment what is in it.

    Raises
    ------
    CorpusError
        If sources are missing or cannot be used, or a file cannot be written.
    """
    data_folder = Path(data_folder)
    raw_folder = Path(raw_folder) if raw_folder else data_folder / "raw"
    sources = read_sources(data_folder / "sources.csv") if sources is None else sources
    folder = data_folder / corpus
    workers = workers or os.cpu_count() or 1
    made_of = _fingerprint(sources, minutes, seed)
    with _writing(folder):
        plan = _read_json(folder / "plan.json")
        if plan.get("made_of") != made_of:
            recordings = _plan(sources, raw_folder, minutes, seed, workers)
            # from here on, what stands in the folder is of the new plan
            _remove_recordings(folder, plan.get("recordings", []))
            with replacing(folder / "plan.json") as aside:
                text = json.dumps({"made_of": made_of, "recordings": recordings})
                aside.write_text(text, encoding="utf-8")
        else:
            recordings = plan["recordings"]
        done = _read_done(folder)
        lacking = [r for r in recordings if not _is_done(folder, r, done.get(r["recording"]))]
        for recording in lacking:
            _audio_path(folder, recording).unlink(missing_ok=True)
        work = partial(_compose_recording, folder=folder, raw_folder=raw_folder)
        _map(work, lacking, workers, "recordings", [1] * len(lacking))
        if lacking or not (folder / "segments.csv").exists():
            _write_csv(folder / "segments.csv", _segment_rows(recordings))
        table = pd.DataFrame([_recording_row(folder, r, done) for r in recordings])
        if lacking or not (folder / "recordings.csv").exists():
            _write_csv(folder / "recordings.csv", table)
    return table


def _fingerprint(sources: pd.DataFrame, minutes: Mapping[str, float], seed: int) -> str:
    """Identify everything that decides on the samples."""
    code = [sha256_of(module.__file__) for module in (corpus_plan, corpus_sound)]
    libraries = [version(name) for name in ("av", "numpy", "scipy", "soundfile")]
    made_of = [sources.to_csv(index=False), dict(sorted(minutes.items())), seed, code, libraries]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def _plan(
    sources: pd.DataFrame,
    raw_folder: Path,
    minutes: Mapping[str, float],
    seed: int,
    workers: int,
) -> list[dict]:
    """Find the phrases in the speech, and plan each split."""
    files = plan_split(list_sources(sources, raw_folder))
    speech = files[files.kind == "speech"]
    paths = list(speech.path)
    chunks = [paths[i : i + 25] for i in range(0, len(paths), 25)]
    work = partial(_phrases_of, raw_folder=raw_folder)
    phrases = {}
    for found in _map(work, chunks, workers, "prompts", [len(chunk) for chunk in chunks]):
        phrases.update(found)
    return [
        recording
        for split in SPLITS
        for recording in corpus_plan.plan_recordings(
            split,
            files[files.split == split].to_dict("records"),
            phrases,
            minutes=minutes[split],
            shares=corpus_plan.SHARES[split],
            seed=seed,
        )
    ]


def _phrases_of(paths: Iterable[str], raw_folder: Path) -> dict[str, list]:
    return {p: corpus_sound.find_phrases(corpus_sound.read_source(raw_folder / p)) for p in paths}


def _audio_path(folder: Path, recording: Mapping) -> Path:
    return folder / recording["split"] / f"{recording['recording']}.flac"


def _compose_recording(recording: Mapping, folder: Path, raw_folder: Path) -> None:
    """Write one recording: the label track first, as the audio says that both are there."""
    samples = corpus_sound.render(recording, raw_folder)
    path = _audio_path(folder, recording)
    write_label_track(path.with_suffix(".txt"), corpus_plan.segments_of(recording))
    try:
        with replacing(path) as aside:
            # level 0 has fixed predictors: what the processor can do has no say in the bytes
            soundfile.write(aside, samples, SAMPLE_RATE, subtype="PCM_16", compression_level=0.0)
    except soundfile.LibsndfileError as error:
        raise CorpusError(f"{path} cannot be written ({error}): make room on the disk.") from None


def _is_done(folder: Path, recording: Mapping, row: Mapping | None) -> bool:
    path = _audio_path(folder, recording)
    if not (path.exists() and path.with_suffix(".txt").exists()):
        return False
    return row is None or sha256_of(path) == row["sha256"]


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _read_done(folder: Path) -> dict[str, dict]:
    """Return the rows of ``recordings.csv``, none if there is no such file."""
    try:
        table = pd.read_csv(folder / "recordings.csv", dtype=str)
        return {row["recording"]: row for row in table.to_dict("records")}
    except (OSError, ValueError, KeyError):
        return {}


def _remove_recordings(folder: Path, recordings: Sequence[Mapping]) -> None:
    for name in ("recordings.csv", "segments.csv", "plan.json"):
        (folder / name).unlink(missing_ok=True)
    for recording in recordings:
        for suffix in (".flac", ".txt"):
            _audio_path(folder, recording).with_suffix(suffix).unlink(missing_ok=True)


def _recording_row(folder: Path, recording: Mapping, done: Mapping) -> dict:
    segments = recording["segments"]
    groups = {s[key] for s in segments for key in ("voice", "artist") if s[key]}
    groups.update(group for s in segments for group in s["noise_groups"])
    name = recording["recording"]
    return {
        "recording": name,
        "split": recording["split"],
        "seconds": recording["samples"] / SAMPLE_RATE,
        "groups": ";".join(sorted(groups)),
        "sha256": sha256_of(_audio_path(folder, recording)),
    }


def _segment_rows(recordings: Sequence[Mapping]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recording": recording["recording"],
            "split": recording["split"],
            "start": round(segment["start"] / SAMPLE_RATE, 6),
            "end": round((segment["start"] + segment["samples"]) / SAMPLE_RATE, 6),
            "label": segment["label"],
            "voice": segment["voice"],
            "artist": segment["artist"],
            "sounds": ";".join(segment["noise_groups"]),
            "speech_db": segment["speech_db"],
            "music_db": segment["music_db"],
            "speech_to_music_db": (
                round(segment["speech_db"] - segment["music_db"], 2)
                if segment["label"] == "speech+music"
                else None
            ),
            "narrow_band": bool(segment["narrow_hertz"] or recording["narrow_hertz"]),
        }
        for recording in recordings
        for segment in recording["segments"]
    )


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with replacing(path) as aside:
        table.to_csv(aside, index=False, lineterminator="\n")


# -- running


def _map(work: Callable, items: Sequence, workers: int, label: str, amounts: Sequence[int]) -> list:
    """Do the work on each item, in the items' order, with a progress bar."""
    results = []
    with tqdm(total=sum(amounts), desc=label, unit="", disable=not items) as bar:
        if workers == 1 or len(items) < 2:
            for item, amount in zip(items, amounts, strict=True):
                results.append(work(item))
                bar.update(amount)
            return results
        # spawned, as a fork of a process with threads may hang
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(items)), mp_context=context) as pool:
            try:
                for result, amount in zip(pool.map(work, items), amounts, strict=True):
                    results.append(result)
                    bar.update(amount)
            except BrokenProcessPool:
                raise CorpusError(
                    "a worker process ended early, most likely for want of memory: run the same "
                    "command again with --workers 1, it goes on where it stopped."
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return results


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Keep a folder for this process, clear what a killed run left, and name what goes wrong."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            _take(lock, folder)
            for left in folder.rglob(".*.part*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
            yield
    except OSError as error:
        where = error.filename or folder
        raise CorpusError(
            f"{where} cannot be written ({error.strerror or error}): make room or give the right "
            "to write, and run the same command again; it goes on where it stopped."
        ) from None


def _take(lock, folder: Path) -> None:
    """Lock a file for this process; the system frees it when the process ends, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CorpusError(
            f"{folder} is being written by another run: wait until that has ended."
        ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the corpus from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="corpus.py", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA_FOLDER, help="where everything goes")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    given = parser.parse_args(arguments)
    try:
        sources = read_sources(given.data / "sources.csv")
        acquire(sources, given.data / "raw")
        table = compose_corpus(given.data, sources=sources, workers=given.workers)
    except (CorpusError, DownloadError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    minutes = table.groupby("split").seconds.sum() / 60
    parts = ", ".join(f"{split} {minutes[split]:.0f} min" for split in SPLITS)
    print(f"{given.data / CORPUS}: {len(table)} recordings, {parts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
