"""Compose the course's corpus, or make one from your own recordings."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

EPILOG = "Interrupted at any point, the same command goes on where it stopped."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audioseg corpus``."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data"),
        metavar="DIR",
        help="where corpora are (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), metavar="N", help="processes"
    )
    parser.add_argument(
        "--own", type=Path, metavar="FOLDER", help="recordings of your own, with label tracks"
    )
    parser.add_argument("--name", help="with --own: the name of their corpus")
    parser.add_argument(
        "--groups", type=Path, metavar="FILE", help="with --own: a table of recording and group"
    )

    parser.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="with --own: the classes, in their order (default: the labels of the tracks)",
    )
    parser.add_argument(
        "--background",
        metavar="NAME",
        help="with --own: the class of time without a label (default: noise)",
    )
    parser.add_argument(
        "--ignore",
        nargs="+",
        metavar="NAME",
        help="with --own: labels that are not classes; their time, and that of the label ?, is "
        "left out of training and scores",
    )
    parser.add_argument(
        "--tier",
        metavar="NAME",
        help="with --own: the tier to use in Praat's or ELAN's tracks (default: the only one)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="with --own: make the corpus anew, even if `audioseg adopt` has corrected it",
    )


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; return the exit status."""
    from audioseg.errors import ArgumentError

    if (options.own is None) != (options.name is None):
        raise ArgumentError("--own and --name go together: give both.")
    for option in ("groups", "classes", "background", "ignore", "tier", "overwrite"):
        if getattr(options, option) not in (None, False) and options.own is None:
            raise ArgumentError(f"--{option} is for recordings of your own: give --own and --name.")
    if options.workers is not None and options.workers < 1:
        raise ArgumentError(f"--workers is {options.workers}: at least 1 is needed.")
    return _adopt(options) if options.own else _compose(options)


def _compose(options: argparse.Namespace) -> int:
    from audioseg.corpus import compose, folder, sources

    table = sources.read_sources(options.data / "sources.csv")
    sources.acquire(table, options.data / "raw")
    recordings = compose.compose_corpus(options.data, sources=table, workers=options.workers)
    minutes = recordings.groupby("split").seconds.sum() / 60
    parts = ", ".join(f"{split} {minutes[split]:.0f} min" for split in folder.SPLITS)
    print(f"{options.data / folder.CORPUS}: {len(recordings)} recordings, {parts}")
    return 0


def _adopt(options: argparse.Namespace) -> int:
    from audioseg.corpus import own
    from audioseg.labels import BACKGROUND

    adopted = own.adopt(
        options.own,
        options.name,
        groups=options.groups,
        classes=options.classes,
        background=options.background or BACKGROUND,
        ignore=options.ignore or (),
        tier=options.tier,
        data_folder=options.data,
        workers=options.workers,
        overwrite=options.overwrite,
    )
    for line in own.report(adopted, options.data / options.name):
        print(line, file=sys.stderr if line.startswith("failed: ") else sys.stdout)
    return 1 if adopted.failed else 0
