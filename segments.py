"""Segment recordings with a trained run: what is heard when, as label tracks.

    python segments.py FILE... [--run NAME] [--smooth METHOD] [--out DIR]

takes audio files of any length and format, and folders of them, and writes for each an Audacity
label track (``.txt``), a table (``.csv``) and an RTTM file (``.rttm``). It ends with 0 when all is
done, with 1 when some recordings failed (all others are written), with 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from errors import CourseError
from files import replacing
from labels import CLASSES, Segment, segments_from_frames, write_label_track
from pictures import COLORS
from smoothing import METHODS, smooth

if TYPE_CHECKING:  # importing these takes seconds
    from runs import Run
    from vggish.embedding import Embedding

__all__ = ["COLORS", "Segmentation", "SegmentationError", "export", "segment"]

OUTPUT_FOLDER = Path("segmented")
OUTPUT_SUFFIXES = (".txt", ".csv", ".rttm")
DONE, FAILED, WRONG_ARGUMENTS, INTERRUPTED = 0, 1, 2, 130


class SegmentationError(CourseError):
    """A recording that cannot be segmented; one sentence that says what to do."""


class Segmentation(NamedTuple):
    """What is heard when in a recording.

    Attributes
    ----------
    name : str
        The recording.
    seconds : float
        Its length.
    hop_seconds : float
        From one frame to the next.
    probabilities : np.ndarray [shape=(n, classes)]
        Of each frame, as the network gave them.
    labels : np.ndarray [shape=(n,)]
        The class of each frame, smoothed.
    track : list of Segment
        They cover the recording without gaps.
    """

    name: str
    seconds: float
    hop_seconds: float
    probabilities: np.ndarray
    labels: np.ndarray
    track: list[Segment]


def embedding_for(run: Run, weights: str | os.PathLike | None = None) -> Embedding:
    """Load the embedding that a run was trained on.

    Parameters
    ----------
    run : Run
        As :func:`runs.load` returns it.
    weights : str or PathLike, optional
        Where it is; by default what the run says. A run on a checkpoint of your own needs it.

    Returns
    -------
    Embedding

    Raises
    ------
    SegmentationError
        If it is another one: the run's network would see numbers that mean nothing to it.
    """
    from vggish.embedding import load_embedding

    embedding = load_embedding(weights or run.config["weights"])
    expected = run.config["weights_sha256"]
    if embedding.sha256 != expected:
        raise SegmentationError(
            f"the run {run.name} was trained on the embedding {run.config['weights']} "
            f"({expected[:12]}), but {weights or embedding.name} is {embedding.sha256[:12]}: name "
            "the right one with --weights, or train on what 02 makes now."
        )
    return embedding


def segment(
    path: str | os.PathLike,
    run: Run,
    embedding: Embedding,
    *,
    method: str = "viterbi",
    progress: Callable[[float], None] = lambda seconds: None,
    **options: float,
) -> Segmentation:
    """Segment a recording.

    The audio is read, embedded and forgotten block by block; what stays is 128 bytes a window,
    4 MB an hour.

    Parameters
    ----------
    path : str or PathLike
        Audio of any common format.
    run : Run
        As :func:`runs.load` returns it.
    embedding : Embedding
        As :func:`embedding_for` returns it.
    method : str
        How to smooth; see :func:`smoothing.smooth`.
    progress : callable
        Told the seconds of audio that have been added, now and then.
    **options
        ``seconds`` or ``evidence``, for :func:`smoothing.smooth`.

    Returns
    -------
    Segmentation

    Raises
    ------
    audio.AudioError
        If the recording cannot be read.
    """
    import audio
    import feat_ext
    from context import probabilities

    hop_seconds = run.config["hop_seconds"]
    stream = embedding.stream(audio.read_16k_blocks(path), feat_ext.hop_frames_of(hop_seconds))
    parts, samples = [], 0
    for chunk in stream:
        floats = run.config["input"] == "embedding"
        parts.append(chunk if floats else embedding.quantize(chunk))
        progress((stream.samples - samples) / audio.SAMPLE_RATE)
        samples = stream.samples
    seconds = stream.samples / audio.SAMPLE_RATE
    answer = probabilities(run.network, np.concatenate(parts))
    labels = smooth(
        answer,
        method,
        hop_seconds=hop_seconds,
        transition=run.config["transitions"],
        priors=run.config["priors"],
        **options,
    )
    track = segments_from_frames(
        labels,
        hop_seconds=hop_seconds,
        first_center=feat_ext.FIRST_CENTER_SECONDS,
        duration=seconds,
    )
    return Segmentation(Path(path).stem, seconds, hop_seconds, answer, labels, track)


def export(result: Segmentation, stem: str | os.PathLike) -> list[Path]:
    """Write an Audacity label track, a table, and an RTTM file.

    Parameters
    ----------
    result : Segmentation
        As :func:`segment` returns it.
    stem : str or PathLike
        The files' place and name, without a suffix.

    Returns
    -------
    list of Path
        The three files.
    """
    files = [Path(f"{stem}{suffix}") for suffix in OUTPUT_SUFFIXES]
    write_label_track(files[0], result.track)
    write_table(files[1], result)
    write_rttm(files[2], result.track, name=result.name)
    return files


def write_table(path: str | os.PathLike, result: Segmentation) -> None:
    """Write segments as CSV: start, end, label, and the mean probability of that label."""
    changes = np.flatnonzero(np.diff(result.labels)) + 1
    runs_of = np.split(np.arange(len(result.labels)), changes)
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["start", "end", "label", "probability"])
        for (start, end, label), frames in zip(result.track, runs_of, strict=True):
            sure = result.probabilities[frames, CLASSES.index(label)].mean()
            writer.writerow([f"{start:.3f}", f"{end:.3f}", label, f"{sure:.3f}"])


def write_rttm(path: str | os.PathLike, track: Sequence[Segment], *, name: str) -> None:
    """Write segments in NIST's Rich Transcription Time Marked form.

    One line a segment: type, file, channel, onset, duration, and the label where diarization has
    the speaker's name. Fields are separated by blanks, so the name may not contain any.
    """
    file_id = re.sub(r"\s+", "_", name)
    lines = [
        f"SPEAKER {file_id} 1 {start:.3f} {end - start:.3f} <NA> <NA> {label} <NA> <NA>\n"
        for start, end, label in track
    ]
    with replacing(path) as aside:
        aside.write_text("".join(lines), encoding="utf-8", newline="\n")


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
    SegmentationError
        If there is nothing at a path, two recordings would get the same labels, or a label track
        that lies beside a recording would be replaced.
    """
    found: list[tuple[Path, Path]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = list(_audio_in(path))
            if not inside:
                raise SegmentationError(f"{path} holds no audio: name a file or another folder.")
            found += [(file, out / file.relative_to(path)) for file in inside]
        elif path.exists():
            found.append((path, out / path.name))
        else:
            raise SegmentationError(f"{path} does not exist: name an audio file or a folder.")
    stems = [target.with_suffix("") for _, target in found]
    targets = [
        target if stems.count(stem) > 1 else stem
        for (_, target), stem in zip(found, stems, strict=True)
    ]
    for (path, _), target in zip(found, targets, strict=True):
        if targets.count(target) > 1:
            raise SegmentationError(
                f"{path} and another recording of that name would both be written to "
                f"{target}.txt: do them one after the other, each with an --out of its own."
            )
        track = Path(f"{target}.txt")
        if track.exists() and track.resolve().parent == path.resolve().parent:
            raise SegmentationError(
                f"{track} is a label track beside its recording and would be replaced: name "
                "another folder with --out."
            )
    return [(path, target) for (path, _), target in zip(found, targets, strict=True)]


def _audio_in(folder: Path) -> Iterator[Path]:
    """Find audio in a folder and its folders, but for hidden ones."""
    import audio

    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in audio.SUFFIXES and path.is_file() and not hidden:
            yield path


def shares(track: Sequence[Segment]) -> dict[str, float]:
    """Return what part of the time each class has."""
    whole = sum(s.end - s.start for s in track)
    return {
        name: sum(s.end - s.start for s in track if s.label == name) / whole for name in CLASSES
    }


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; it says what is wrong and ends with 2 where it cannot."""
    parser = argparse.ArgumentParser(
        prog="segments.py",
        description="Tell speech, music, speech over music and noise apart in recordings.",
    )
    parser.error = lambda message: parser.exit(WRONG_ARGUMENTS, f"error: {message}\n")
    parser.add_argument("paths", nargs="+", metavar="FILE", help="audio, or a folder of it")
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
        "--out",
        type=Path,
        default=OUTPUT_FOLDER,
        metavar="DIR",
        help="where the label tracks go (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        metavar="auto|audioset|mini|PATH",
        help="the embedding (default: the one that the run was trained on)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = arguments(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
    try:
        recordings = find_recordings(options.paths, options.out)
    except SegmentationError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_ARGUMENTS
    try:
        return _segment_all(recordings, options)
    except ValueError as error:  # every module's own errors are ValueErrors of one sentence
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("error: interrupted: what has been written is complete.", file=sys.stderr)
        return INTERRUPTED


def _segment_all(recordings: list[tuple[Path, Path]], options: argparse.Namespace) -> int:
    """Segment one recording after the other, and say so."""
    from tqdm import tqdm

    import runs
    from evaluation import CANDIDATES

    # of runs/NAME/, as a shell completes it, the name
    run = runs.load(runs.FOLDER / Path(options.run or runs.best()).name)
    embedding = embedding_for(run, options.weights)
    tested = next((row for row in runs.table() if row["name"] == run.name), {})
    smoothing = options.smooth or tested.get("smoothing", "viterbi")
    how = CANDIDATES.get(smoothing, {"method": smoothing})
    print(f"run: {run.name}, embedding: {embedding.name}, smoothing: {smoothing}")
    failed = 0
    for path, target in recordings:
        try:
            with tqdm(desc=path.name, unit="s", unit_scale=True, leave=False) as bar:
                result = segment(path, run, embedding, progress=bar.update, **how)
            written = export(result, target)
        except (ValueError, OSError) as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        parts = ", ".join(
            f"{name} {100 * part:.0f} %" for name, part in shares(result.track).items()
        )
        count = f"{len(result.track)} segment{'s' * (len(result.track) != 1)}"
        print(f"{path}: {result.seconds:.1f} s, {count} ({parts})")
        print("  -> " + ", ".join(map(str, written)))
    if failed and len(recordings) > 1:
        print(f"error: {failed} of {len(recordings)} recordings failed.", file=sys.stderr)
    return FAILED if failed else DONE


if __name__ == "__main__":
    sys.exit(main())
