"""Extract VGGish embeddings of a corpus into <corpus>/embeddings."""

from __future__ import annotations

import argparse
import sys

EPILOG = "Interrupted at any point, the same command goes on where it stopped."
SPLITS = ("TRN", "VAL", "TST")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audioseg extract``."""
    parser.add_argument(
        "--corpus",
        default="data/on-hold",
        metavar="DIR",
        help="folder with the folders TRN, VAL and TST (default: %(default)s)",
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        choices=SPLITS,
        metavar="SPLIT",
        help="which of TRN, VAL and TST (default: all that exist)",
    )
    parser.add_argument(
        "--weights",
        default="auto",
        metavar="auto|audioset|mini|PATH",
        help="the embedding: auto takes Google's VGGish if `make vggish` has fetched it, else "
        "mini, the course's own; PATH is a VGGish checkpoint (default: %(default)s)",
    )
    parser.add_argument(
        "--hop",
        type=float,
        default=0.12,
        metavar="SECONDS",
        help="from one window to the next, a multiple of 0.01 (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "int8"),
        default="float32",
        help="of the network's arithmetic; int8 is several times faster on processors with VNNI, "
        "bfloat16 is somewhat faster on some and refused on all others; both need OpenVINO "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        type=positive,
        default=64,
        metavar="N",
        help="windows that go through the network at once (default: %(default)s)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="processes on this machine (default: %(default)s)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask cluster to use, such as tcp://10.0.0.1:8786",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="make everything again, even if it was made with other settings",
    )


def positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; return the exit status."""
    from audioseg.features import extraction  # only now: a wrong argument shows at once

    summary = extraction.run(
        options.corpus,
        splits=options.splits,
        source=extraction.Source(options.weights, options.precision, options.batch),
        hop_seconds=options.hop,
        workers=options.workers,
        scheduler=options.scheduler,
        overwrite=options.overwrite,
    )
    report(summary)
    return 1 if summary.failed else 0


def report(summary) -> None:
    """Print the data set, what this run did, and what failed."""
    dataset = summary.dataset
    print(f"embeddings: {dataset['weights']} ({dataset['weights_sha256'][:12]})")
    for split, entry in dataset["splits"].items():
        shares = ", ".join(
            f"{name} {count / max(1, entry['windows']):.3f}"
            for name, count in entry["counts"].items()
        )
        print(
            f"{split}: {entry['recordings']} recordings, {entry['hours']:.2f} h, "
            f"{entry['windows']} windows ({shares}), {entry['padded']} padded"
        )
    run = summary.run
    print(
        f"this run: {run['recordings']} recordings, {run['hours']:.2f} h, {run['seconds']:.1f} s, "
        f"{run['windows_per_second']:.0f} windows/s"
        if run["recordings"]
        else "this run: nothing new"
    )
    if summary.ignored:
        some = ", ".join(summary.ignored[:3])
        print(f"ignored: {len(summary.ignored)} files that are not recordings, such as {some}")
    if summary.failed:
        print(f"failed: {len(summary.failed)} recordings", file=sys.stderr)
    for fault in summary.failed:
        print(f"  {fault['split']}/{fault['recording']}: {fault['reason']}", file=sys.stderr)
