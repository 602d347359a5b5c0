"""Feed damaged files to the readers for a while: anything but their own errors is a bug.

    python benchmarks/fuzz.py [audio|labels|archive|records ...] [--seconds 60] [--seed 0]

Good files are changed at random places, cut, and put together again. If `atheris` is installed
(``python -m pip install atheris``), it steers the changes by the code that they reach; without it
they are random. A file that breaks a reader is written to the folder ``fuzz`` and named.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

import feat_ext

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "helpers"))

Reader = Callable[[Path], None]


def audio_target(folder: Path) -> tuple[Reader, list[Path]]:
    import soundfile
    from recordings import encode, tone

    from audioseg import audio

    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.au", "a.caf", "a.w64"):
        soundfile.write(folder / name, tone(0.3), 16_000)
    encode(folder / "a.m4a", tone(0.3), "aac")
    encode(folder / "a.webm", tone(0.3, 48_000), "libopus", rate=48_000)
    encode(folder / "a.g722", tone(0.3), "g722")

    def read(path: Path) -> None:
        try:
            with audio.open_audio(path) as stream:
                for block in stream.blocks():
                    assert np.isfinite(block).all()
        except audio.AudioError as error:
            assert path.name in str(error)

    return read, sorted(folder.iterdir())


def labels_target(folder: Path) -> tuple[Reader, list[Path]]:
    from audioseg import labels

    (folder / "a.txt").write_text("0\t1.5\tspeech\n1.5\t3\tspeech+music\n\\\t100\t200\n")
    (folder / "b.txt").write_bytes("\ufeff0,0\t1,5\tMusic\r\n2\t3\tnoise\r\n".encode())

    def read(path: Path) -> None:
        try:
            segments = labels.read_label_track(path, classes=labels.CLASSES, duration=10.0)
        except labels.LabelError as error:
            assert path.name in str(error)
            return
        assert all(0 <= s.start < s.end <= 10.0 and s.label in labels.CLASSES for s in segments)
        feat_ext.frame_labels(segments, np.arange(100) / 10, classes=labels.CLASSES)

    return read, sorted(folder.iterdir())


def archive_target(folder: Path) -> tuple[Reader, list[Path]]:
    import shutil

    from test_debian import make_deb, make_zip

    from audioseg.corpus import packages

    entries = [("./a/x.ogg", b"abc" * 99), ("./b.pk3", make_zip([("c/y.ogg", b"xyz" * 99)]))]
    for suffix in (".xz", ".gz"):
        make_deb(folder / f"a{suffix[1:]}.deb", entries, suffix)

    def read(path: Path) -> None:
        place = path.parent / "place"
        place.mkdir()
        try:
            packages.unpack_deb(path, place / "out", limit=1 << 20)
        except packages.ArchiveError as error:
            assert path.name in str(error)
        finally:
            left = {entry.name for entry in place.iterdir()}
            shutil.rmtree(place)
        assert left <= {"out"}

    return read, sorted(folder.iterdir())


def records_target(folder: Path) -> tuple[Reader, list[Path]]:
    from audioseg.features import records

    with (folder / "a.tfrecord").open("wb") as file:
        for _ in range(3):
            rows = np.arange(256, dtype=np.uint8).reshape(2, 128)
            steps = {
                "x": records.Steps(2, [rows], 128),
                "label": records.Steps(2, [np.ones(2, int)], None),
            }
            records.write_sequence_example(file, {"recording": "a", "hop_seconds": 0.12}, steps)

    def read(path: Path) -> None:
        try:
            places = records.record_offsets(path)
        except records.RecordError:
            places = []
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        # the checksums keep the damage out, so the parser also gets it without them
        for data in [whole, *(whole[start : start + length] for start, length in places)]:
            try:
                records.parse_sequence_example(data)
            except ValueError:
                pass

    return read, sorted(folder.iterdir())


TARGETS = {
    "audio": audio_target,
    "labels": labels_target,
    "archive": archive_target,
    "records": records_target,
}


def damaged(good: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, or cut, repeat or exchange a stretch."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 6)):
        # headers are short and matter most
        limit = len(data) if rng.random() < 0.3 else min(len(data), 128)
        at = rng.randrange(limit) if limit else 0
        size = rng.choice((1, 2, 4, 8, 64))
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                data[at : at + size] = rng.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * size
            case 2:
                del data[at : at + size]
            case 3:
                start = rng.randrange(max(1, len(other)))
                data[at:at] = other[start : start + size]
            case 4:
                del data[rng.randrange(len(data) + 1) :]
    return bytes(data)


def fuzz(name: str, seconds: float, seed: int) -> bool:
    """Run a target; return whether it held."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        good = Path(place) / "good"
        good.mkdir()
        read, files = TARGETS[name](good)
        contents = [(file.suffix, file.read_bytes()) for file in files]
        (Path(place) / "bad").mkdir()
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            suffix, content = rng.choice(contents)
            data = damaged(content, rng.choice(contents)[1], rng)
            if not holds(read, Path(place) / "bad" / f"bad{suffix}", data, name):
                return False
            count += 1
    print(f"{name}: {count} damaged files, each read or refused")
    return True


def holds(read: Reader, path: Path, data: bytes, name: str) -> bool:
    """Read a damaged file; keep it if that breaks the reader."""
    path.write_bytes(data)
    try:
        read(path)
    except Exception:
        kept = Path("fuzz") / f"{name}-{len(data)}{path.suffix}"
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(data)
        print(f"{name}: {kept} breaks the reader:\n{traceback.format_exc()}", file=sys.stderr)
        return False
    return True


def fuzz_with_atheris(atheris, name: str, seconds: float, seed: int) -> None:
    """Let atheris choose the bytes; it ends the process."""
    place = Path(tempfile.mkdtemp())
    (place / "good").mkdir()
    with atheris.instrument_imports(include=["audio", "labels", "debian", "records"]):
        read, files = TARGETS[name](place / "good")
    suffixes = sorted({file.suffix for file in files})
    (place / "bad").mkdir()

    def one(data: bytes) -> None:
        suffix = suffixes[data[0] % len(suffixes)] if data else suffixes[0]
        path = place / "bad" / f"bad{suffix}"
        path.write_bytes(data[1:])
        read(path)

    (place / "corpus").mkdir()
    for file in files:
        first = bytes([suffixes.index(file.suffix)])
        (place / "corpus" / file.name).write_bytes(first + file.read_bytes())
    options = [f"-max_total_time={seconds:.0f}", f"-seed={seed + 1}", str(place / "corpus")]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"{sorted(unknown)[0]} is none of {', '.join(TARGETS)}")
    names = options.targets or list(TARGETS)
    try:
        import atheris
    except ImportError:
        return int(not all([fuzz(name, options.seconds, options.seed) for name in names]))
    if len(names) > 1:
        parser.error("with atheris, one target at a time")
    fuzz_with_atheris(atheris, names[0], options.seconds, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
