"""Add corrected label tracks to a corpus, and train a run again on it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

EPILOG = "Interrupted at any point, the same command goes on where it stopped."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audioseg adopt``."""
    parser.add_argument(
        "tracks",
        type=Path,
        metavar="TRACKS",
        help="the folder of corrected label tracks, as `audioseg segment` wrote it",
    )
    parser.add_argument(
        "--recordings",
        type=Path,
        metavar="FOLDER",
        help="the folder of their recordings (default: that of the tracks)",
    )
    parser.add_argument(
        "--corpus", type=Path, required=True, metavar="DIR", help="the corpus, as data/tapes"
    )
    parser.add_argument(
        "--run", metavar="NAME", help="the run to train again: that of your notebook NAME.ipynb"
    )
    parser.add_argument(
        "--groups", type=Path, metavar="FILE", help="a table of recording and group"
    )
    parser.add_argument(
        "--weights",
        metavar="auto|audioset|mini|PATH",
        help="the embedding of the corpus (default: the one its records name; for a checkpoint of "
        "your own, give its path)",
    )
    parser.add_argument("--tier", metavar="NAME", help="which tier of Praat's or ELAN's tracks")


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; return the exit status."""
    from audioseg.corpus import corrections
    from audioseg.correction import retraining

    corrections.rows_of(options.corpus)  # if this is no corpus of one's own, say that first
    retraining.check_weights(options.corpus, options.weights)
    notebook = retraining.check(options.run, options.corpus) if options.run else None
    adopted = corrections.adopt(
        options.tracks,
        options.recordings or options.tracks,
        options.corpus,
        groups=options.groups,
        tier=options.tier,
    )
    names = ", ".join(adopted.recordings.recording)
    print(f"adopted into TRN of {options.corpus}: {names}")
    for reason in adopted.failed.values():
        print(f"failed: {reason}", file=sys.stderr)
    failed = len(adopted.failed) + len(retraining.extract(options.corpus, options.weights))
    if notebook:
        for line in retraining.train_again(notebook, options.corpus):
            print(line)
    else:
        print("now run your 03 notebook of this corpus once more, or name it here with --run.")
    return 1 if failed else 0
