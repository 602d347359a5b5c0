"""Tell what is heard when in recordings, with a trained run: label tracks, tables, RTTM.

Takes audio files of any length and format, and folders of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

from audioseg.errors import ArgumentError
from audioseg.segmentation import METHODS

EPILOG = "Interrupted at any point, what has been written is complete."
OUTPUT_FOLDER = Path("segmented")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audioseg segment``."""
    parser.set_defaults(goes_on="what has been written is complete")
    parser.add_argument("paths", nargs="+", metavar="FILE", help="audio, or a folder of it")
    add_run_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=OUTPUT_FOLDER,
        metavar="DIR",
        help="where the label tracks go (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        nargs="+",
        choices=("txt", "csv", "rttm", "textgrid", "eaf"),
        default=(),
        metavar="FORMAT",
        help="besides txt (Audacity), csv and rttm, which are always written: textgrid (Praat), "
        "eaf (ELAN)",
    )
    parser.add_argument(
        "--review",
        type=float,
        metavar="MINUTES",
        help="write beside the labels which stretches to correct first, so many minutes of them: "
        "where the network is least sure (<name>.review.txt)",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="write a page to look at and to send too; of a folder, an index as well",
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which run segments, and how; :func:`audioseg.segmentation.segmenter.load`."""
    parser.add_argument(
        "--run", metavar="NAME", help="which of runs/ to use (default: the best one on VAL)"
    )
    parser.add_argument(
        "--smooth",
        choices=METHODS,
        metavar="|".join(METHODS),
        help="how to make labels of probabilities (default: as chosen in 04, else viterbi)",
    )
    parser.add_argument(
        "--weights",
        metavar="auto|audioset|mini|PATH",
        help="the embedding (default: the one that the run was trained on)",
    )


def run(options: argparse.Namespace) -> int:
    """Segment one recording after the other, and say so; return the exit status."""
    if options.review is not None and not 0 < options.review < float("inf"):
        raise ArgumentError(f"--review is {options.review:g}: give minutes, more than 0.")
    recordings = find_recordings(options.paths, options.out)
    _make_folder(options.out)
    from tqdm import tqdm  # only now, with TensorFlow: a wrong argument shows at once

    from audioseg import audio
    from audioseg.segmentation import formats, pages, review, segmenter, segments

    ready = segmenter.load(options.run, weights=options.weights, smoothing=options.smooth)
    print(", ".join(f"{what}: {value}" for what, value in ready.about.items()))
    failed, doubts = 0, []
    for path, target in recordings:
        try:
            with _quiet_libraries() as terminal:
                bar = partial(tqdm, unit="s", unit_scale=True, leave=False, file=terminal)
                with bar(desc=path.name, total=audio.stated_seconds(path)) as told:
                    result = ready.segment(path, told.update)
                written = formats.export(result, target, more=options.format, recording=path.name)
                if options.html:
                    with bar(desc=f"{path.name}, page", total=result.seconds) as told:
                        written += pages.write(
                            path,
                            result,
                            target,
                            files=written,
                            about=ready.about,
                            progress=told.update,
                        )
        except (ValueError, OSError) as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        values = review.doubt(result.probabilities)
        doubts.append(review.Doubt(target, result.seconds, result.hop_seconds, values))
        shares = segments.shares(result.track, result.classes.names)
        parts = ", ".join(f"{name} {100 * part:.0f} %" for name, part in shares.items())
        count = f"{len(result.track)} segment{'s' * (len(result.track) != 1)}"
        print(f"{path}: {result.seconds:.1f} s, {count} ({parts})")
        print("  -> " + ", ".join(map(str, written)))
        for sentence in formats.lost(result, (*formats.ALWAYS, *options.format)):
            print(f"  note: {sentence}.")
        if result.cancelled:
            print("  its channels cancel each other (opposite phase): the louder one was taken.")
        if result.broken:
            failed += 1
            print(f"error: {result.broken}", file=sys.stderr)
    if options.html and len(recordings) > 1 and (index := pages.write_index(options.out)):
        print(f"all pages: {index}")
    if options.review and doubts:
        for line in _write_reviews(doubts, options.review):
            print(line)
    if failed and len(recordings) > 1:
        print(f"error: {failed} of {len(recordings)} recordings failed.", file=sys.stderr)
    return 1 if failed else 0


def _write_reviews(doubts: Sequence, minutes: float) -> Iterator[str]:
    """Write which stretches to correct, remove what an earlier call chose; yield lines on it."""
    from audioseg.labels import write_label_track
    from audioseg.segmentation import review

    for one, track in zip(doubts, review.stretches(doubts, minutes=minutes), strict=True):
        path = Path(f"{one.place}{review.SUFFIX}")
        if not track:
            path.unlink(missing_ok=True)
            continue
        write_label_track(path, track)
        seconds = sum(s.end - s.start for s in track)
        yield f"correct first: {len(track)} stretches, {seconds / 60:.1f} min -> {path}"


def _make_folder(out: Path) -> None:
    """Make a folder to write into, before anything takes time."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"--out {out} is no folder and cannot be made one ({error.strerror}): name another."
        ) from None
    if not os.access(out, os.W_OK):
        raise ArgumentError(f"--out {out} is a folder that you may not write to: name another.")


@contextmanager
def _quiet_libraries() -> Iterator[TextIO]:
    """Keep off the terminal what C libraries write to it, and yield it for what we write.

    libmpg123 tells how it tries to go on in a damaged file, where we say that it is damaged.
    """
    terminal = os.fdopen(os.dup(2), "w", errors="backslashreplace")  # names may be no text
    with terminal, Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield terminal
        finally:
            os.dup2(terminal.fileno(), 2)


def find_recordings(paths: Sequence[str | os.PathLike], out: Path) -> list[tuple[Path, Path]]:
    """Find the recordings that the command line names, and where their labels shall go.

    Parameters
    ----------
    paths : sequence of str or PathLike
        Audio files, and folders in which audio is looked for, in folders of folders too.
    out : Path
        Where the labels go. What lies in a folder keeps its place within it.

    Returns
    -------
    list of (Path, Path)
        Each recording, and its labels' place and name without a suffix. Where two recordings
        differ in their suffix only, it stays part of the name.

    Raises
    ------
    ArgumentError
        If there is nothing at a path, two recordings would get the same labels, or a label track
        that lies beside a recording would be replaced.
    """
    found: list[tuple[Path, Path]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = list(_audio_in(path))
            if not inside:
                raise ArgumentError(f"{path} holds no audio: name a file or another folder.")
            found += [(file, out / file.relative_to(path)) for file in inside]
        elif path.exists():
            found.append((path, out / path.name))
        else:
            raise ArgumentError(f"{path} does not exist: name an audio file or a folder.")
    stems = [target.with_suffix("") for _, target in found]
    targets = [
        target if stems.count(stem) > 1 else stem
        for (_, target), stem in zip(found, stems, strict=True)
    ]
    for (path, _), target in zip(found, targets, strict=True):
        if targets.count(target) > 1:
            raise ArgumentError(
                f"{path} and another recording of that name would both be written to "
                f"{target}.txt: do them one after the other, each with an --out of its own."
            )
        track = Path(f"{target}.txt")
        if track.exists() and track.resolve().parent == path.resolve().parent:
            raise ArgumentError(
                f"{track} is a label track beside its recording and would be replaced: name "
                "another folder with --out."
            )
    return [(path, target) for (path, _), target in zip(found, targets, strict=True)]


def _audio_in(folder: Path) -> Iterator[Path]:
    """Find audio in a folder and its folders, but for hidden ones."""
    from audioseg import audio

    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in audio.SUFFIXES and path.is_file() and not hidden:
            yield path
