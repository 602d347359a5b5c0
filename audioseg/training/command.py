"""Compare all runs: a table and a chart, against guessing and the goal."""

from __future__ import annotations

import argparse
from pathlib import Path

EPILOG = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audioseg board``."""
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="where the runs are (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; return the exit status."""
    from audioseg.training import board

    board.show(options.runs)
    return 0
