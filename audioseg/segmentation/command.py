"""Segment recordings with a trained run: label tracks, tables, RTTM.

Takes audio files of any length and common format, and folders of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

from audioseg import SMOOTHINGS
from audioseg.errors import ArgumentError

EPILOG = "If interrupted, the files that it has written are complete."
OUTPUT_FOLDER = Path("segmented")
FORMATS = ("txt", "csv", "rttm", "textgrid", "eaf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audioseg segment``."""
    parser.set_defaults(goes_on="the files written so far are complete")
    parser.add_argument("paths", nargs="+", metavar="FILE", help="an audio file, or a folder")
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
        type=_format,
        default=(),
        metavar="FORMAT",
        help="write textgrid (Praat) or eaf (ELAN) too; txt (Audacity), csv and rttm are always "
        "written",
    )
    parser.add_argument(
        "--review",
        type=float,
        metavar="MINUTES",
        help="mark the stretches to correct first: this many minutes, where the network "
        "is least sure (<name>.review.txt)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace label tracks in the output folder that somebody has corrected, too",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="write a page for each recording too, to view and to send on; for a folder, an index",
    )


def _format(text: str) -> str:
    if text not in FORMATS:
        known = ", ".join(FORMATS)
        raise argparse.ArgumentTypeError(f"{text!r} is none of {known} (files go first)")
    return text


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a run; see :func:`audioseg.segmentation.segmenter.load`."""
    parser.add_argument(
        "--run", metavar="NAME", help="which of runs/ to use (default: the one that VAL chooses)"
    )
    parser.add_argument(
        "--smooth",
        choices=SMOOTHINGS,
        metavar="|".join(SMOOTHINGS),
        help="how to smooth the network's answers (default: as 04 chose, else viterbi)",
    )
    parser.add_argument(
        "--weights",
        metavar="auto|audioset|mini|PATH",
        help="the embedding (default: that of the run)",
    )


def run(options: argparse.Namespace) -> int:
    """Segment one recording after the other, with a line on each; return the exit status."""
    if options.review is not None and not 0 < options.review < float("inf"):
        raise ArgumentError(f"--review is {options.review:g}: give a number of minutes above 0.")
    recordings = find_recordings(options.paths, options.out)
    _make_folder(options.out)
    from tqdm import tqdm  # after the arguments, as TensorFlow takes seconds to import

    from audioseg import audio
    from audioseg.segmentation import label_files, pages, review, segmenter, segments

    ready = segmenter.load(options.run, weights=options.weights, smoothing=options.smooth)
    print(", ".join(f"{what}: {value}" for what, value in ready.about.items()))
    if ready.guesses:
        print(
            "  note: on VAL, this run is no better than always answering the most frequent class: "
            "train a better one, or name it (--run)."
        )
    failed = broken = 0
    doubts = []
    for path, target in recordings:
        try:
            if not options.overwrite:  # said before hours of work; `export` looks once more
                label_files.check_unchanged(target)
            with _quiet_libraries() as terminal:
                bar = partial(tqdm, unit="s", unit_scale=True, leave=False, file=terminal)
                with bar(desc=path.name, total=audio.stated_seconds(path)) as told:
                    result = ready.segment(path, told.update)
                written = label_files.export(
                    result,
                    target,
                    more=options.format,
                    recording=path.name,
                    overwrite=options.overwrite,
                )
                if options.html or pages.is_there(target):
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
        for sentence in label_files.lost(result, (*label_files.ALWAYS, *options.format)):
            print(f"  note: {sentence}.")
        if result.cancelled:
            print(f"  note: {segments.CANCELLED}.")
        if result.padded:
            print(f"  note: {segments.TOO_SHORT}.")
        if result.broken:
            broken += 1
            print(f"error: {result.broken}", file=sys.stderr)
    if options.html and len(recordings) > 1 and (index := pages.write_index(options.out)):
        print(f"all pages: {index}")
    if options.review and doubts:
        for line in _write_reviews(doubts, options.review):
            print(line)
    if (failed or broken) and len(recordings) > 1:
        said = [f"{failed} of {len(recordings)} recordings failed"] if failed else []
        said += [f"{broken} of {len(recordings)} are there in part"] if broken else []
        print(f"error: {', '.join(said)}.", file=sys.stderr)
    return 1 if failed or broken else 0


def _write_reviews(doubts: Sequence, minutes: float) -> Iterator[str]:
    """Write the stretches to correct, remove those of an earlier call; yield a line on each."""
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
    """Create the output folder, before any long work starts."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"--out {out} cannot be used as a folder ({error.strerror}): name another."
        ) from None
    if not os.access(out, os.W_OK):
        raise ArgumentError(f"--out {out}: you may not write to this folder: name another.")


@contextmanager
def _quiet_libraries() -> Iterator[TextIO]:
    """Silence the C libraries on the terminal, and yield the terminal for our own lines.

    libmpg123 reports each attempt to go on in a damaged file; we report the damage once.
    """
    from audioseg.decoding import diverted

    with Path(os.devnull).open("w") as nowhere, diverted(nowhere) as descriptor:
        if descriptor is None:
            yield nowhere
            return
        # names may be no valid text
        with os.fdopen(os.dup(descriptor), "w", errors="backslashreplace") as terminal:
            yield terminal


def find_recordings(paths: Sequence[str | os.PathLike], out: Path) -> list[tuple[Path, Path]]:
    """Find the recordings that the command line names, and where their labels go.

    Parameters
    ----------
    paths : sequence of str or PathLike
        Audio files, and folders, which are searched with all folders in them, but not for what
        earlier calls have left there.
    out : Path
        Where the labels go. A file in a folder keeps its place within it.

    Returns
    -------
    list of (Path, Path)
        Each recording, and the path of its labels without a suffix. If two recordings differ only
        in their suffix, it stays part of the name.

    Raises
    ------
    ArgumentError
        If a path holds nothing, if two recordings would get the same label files, or if a label
        track beside a recording would be replaced, in whatever format.
    """
    from audioseg.label_formats import tracks_at

    found: list[tuple[Path, Path]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = list(_recordings_in(path, out))
            if not inside:
                raise ArgumentError(f"{path} holds no audio: name a file or another folder.")
            found += [(file, out / file.relative_to(path)) for file in inside]
        elif path.exists():
            found.append((path, out / path.name))
        else:
            raise ArgumentError(f"{path} does not exist: name an audio file or a folder.")
    stems = [target.with_suffix("") for _, target in found]
    shared = _shared(stems)
    targets = [
        target if _folded(stem) in shared else stem
        for (_, target), stem in zip(found, stems, strict=True)
    ]
    shared = _shared(targets)
    for (path, _), target in zip(found, targets, strict=True):
        if _folded(target) in shared:
            raise ArgumentError(
                f"{path} and another recording of that name would both write {target}.txt: "
                "segment them one after the other, each with its own --out."
            )
        for track in tracks_at(target):
            if track.resolve().parent == path.resolve().parent:
                raise ArgumentError(
                    f"{track}, a label track beside its recording, would be replaced: name another "
                    "folder with --out."
                )
    return [(path, target) for (path, _), target in zip(found, targets, strict=True)]


def _recordings_in(folder: Path, out: Path) -> Iterator[Path]:
    """Yield the recordings in a folder, without what earlier calls have left there.

    Left out are the sounds of pages, and all of ``out`` if that is inside ``folder``.
    """
    from audioseg import audio
    from audioseg.show.report import SOUND

    inside = folder.resolve() in out.resolve().parents
    ours = folder / out.resolve().relative_to(folder.resolve()) if inside else None
    for path in audio.files_in(folder):
        page = path.with_name(f"{path.name.removesuffix(SOUND)}.html")
        of_page = path.name.endswith(SOUND) and page.exists()
        if ours not in path.parents and not of_page:
            yield path


def _shared(paths: Sequence[Path]) -> set[str]:
    """Return the paths that occur more than once; some file systems take A and a for the same."""
    return {path for path, count in Counter(map(_folded, paths)).items() if count > 1}


def _folded(path: Path) -> str:
    return path.as_posix().casefold()
