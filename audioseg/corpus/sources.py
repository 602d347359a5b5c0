"""The sources of the corpus: their table, their packages, their files.

A row of ``data/sources.csv`` is a group of a package: a voice, an artist, or (``*``) the sounds,
whose families become groups.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from audioseg.corpus import sound
from audioseg.corpus.folder import DATA_FOLDER, SPLITS, writing
from audioseg.corpus.packages import ArchiveError, deb_name, fetch_deb, find_mirrors, unpack_deb
from audioseg.corpus.sound import CorpusError
from vggish.download import sha256_of

MEDLEY_KINDS = ("singing", "sounds", "ambience")
SOUND_KINDS = ("noise", "sounds", "ambience")  # whose groups are families of files
KINDS = ("speech", "music", "noise", *MEDLEY_KINDS)
AUDIO_SUFFIXES = (".flac", ".g722", ".gsm", ".mp3", ".ogg", ".wav")
COLUMNS = (
    "package", "version", "source", "sha256", "bytes", "kind", "group", "split", "files",
    "leave_out", "licence", "attribution",
)  # fmt: skip
PIN = ["package", "version", "source", "sha256", "bytes"]


def read_sources(path: str | os.PathLike = DATA_FOLDER / "sources.csv") -> pd.DataFrame:
    """Read the table of sources: one row per group of a package.

    Parameters
    ----------
    path : str or PathLike
        Its columns are explained in ``data/README.md``.

    Returns
    -------
    pd.DataFrame
        One row per group, in the file's order.

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
                raise CorpusError(
                    f"{path}, line {line}: {value!r} is not a valid {column}: correct it."
                )
    elsewhere = table.kind.isin(MEDLEY_KINDS) & (table.split != "TRN")
    if elsewhere.any():
        row = table[elsewhere].iloc[0]
        raise CorpusError(
            f"{path}: {row.kind} of {row.package} would be in {row.split}, but medleys are made "
            "for TRN alone: write TRN."
        )
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
    """Fetch, verify and unpack the packages of the sources, except those that are there.

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
        If a package cannot be fetched.
    """
    raw_folder = Path(raw_folder)
    packages = sources.drop_duplicates(PIN)[PIN].to_dict("records")
    lacking = [row for row in packages if not (raw_folder / _unpacked_name(row)).is_dir()]
    if not lacking:
        return
    with writing(raw_folder), ThreadPoolExecutor(os.cpu_count()) as pool:
        unpacking = []
        for row in lacking:
            deb = raw_folder / deb_name(row["package"], row["version"])
            # a mirror is needed only for what is not there yet
            if not (deb.exists() and sha256_of(deb) == row["sha256"]):
                fetch_deb(
                    row["package"], row["version"], row["source"], raw_folder,
                    sha256=row["sha256"], size=row["bytes"], mirrors=find_mirrors(),
                )  # fmt: skip
            # decompression lets other threads go on
            unpacking.append(
                pool.submit(unpack_deb, deb, raw_folder / _unpacked_name(row), _is_wanted)
            )
        progress = tqdm(as_completed(unpacking), "unpacked", len(unpacking), unit="package")
        try:
            for done in progress:
                done.result()
        except ArchiveError as error:
            raise CorpusError(str(error)) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _is_wanted(name: str) -> bool:
    """Tell whether to unpack a file: sounds, archives of sounds, and licences."""
    wanted = (*AUDIO_SUFFIXES, ".pk3", ".zip", ".gresource")
    return Path(name).suffix in wanted or name.endswith("/copyright")


def list_sources(
    sources: pd.DataFrame, raw_folder: str | os.PathLike = DATA_FOLDER / "raw"
) -> pd.DataFrame:
    """List the unpacked files that the sources name.

    Returns
    -------
    pd.DataFrame
        One row per file: ``path`` (relative to ``raw_folder``), ``package``, ``kind``, ``group``,
        ``split`` (``*``: decided by :func:`audioseg.corpus.splitting.plan_split`), ``seconds``,
        ``rate``, ``licence``.

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
                f"{folder} is missing: run `audioseg corpus`, which fetches and unpacks it."
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
            seconds, rate = sound.source_seconds(raw_folder / path)
            group = row["group"] if row["group"] != "*" else _family(row["package"], path)
            kept = {key: row[key] for key in ("package", "kind", "split", "licence")}
            rows.append({"path": path, "group": group, "seconds": seconds, "rate": rate, **kept})
    return pd.DataFrame(rows).drop_duplicates("path", ignore_index=True)


def _family(package: str, path: str) -> str:
    """Name the group of a sound: its file's name without the numbers that tell takes apart."""
    stem = re.split(r"[\d_-]", Path(path).stem)[0].lower()
    return f"{package}:{Path(path).parent.name}/{stem or Path(path).stem}"


def inspect(files: pd.DataFrame) -> pd.DataFrame:
    """Summarize the sources.

    Returns
    -------
    pd.DataFrame
        One row per group of voices and artists, and one per split of each package of sounds:
        ``kind``, ``split``, ``group``, ``package``, ``files``, ``minutes``, ``median_seconds``,
        ``rate_hz``, ``licence``.
    """
    families = files.kind.isin(SOUND_KINDS)
    shown = files.assign(group=files.group.where(~families, "(families)"))
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
