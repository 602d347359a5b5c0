"""The audio that `mini` learns from: sources by role.

A *bank* is a folder of unpacked packages of Debian bookworm; of the course's corpus,
only the medleys of TRN use one of them.
``bank.csv`` lists packages, and patterns for the paths of files with speech, music and effects.
:func:`collect` decodes these files once to 16 kHz int16 arrays; :class:`Sources` draws from them,
and :mod:`vggish.mini.mixing` mixes them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile as sf
from tqdm.auto import tqdm

from vggish.errors import SentenceError
from vggish.frontend import SAMPLE_RATE
from vggish.mini.singing import sing_line
from vggish.mini.voice import lively
from vggish.resample import resample

AUDIO = r"\.(ogg|oga|wav|flac|mp3|opus)$"
ROLES = ("speech", "music", "effects")
MADE = ("sung", "lively")  # of the speech, by :mod:`vggish.mini.singing`
SOURCES_PATH = Path(__file__).with_name("bank.csv")
# kept out of training as a whole: what `mini` does on packages that it never heard
HELD_OUT_PACKAGES = (
    "codec2-examples",
    "pocketsphinx-testdata",
    "unknown-horizons",
    "planetblupi-music-ogg",
    "drascula-music",
    "lugaru-data",
)
HELD_OUT_SHARE = 0.06  # of the files of every other package
FILE_SECONDS = {"speech": 30, "music": 40, "effects": 20}
FILES_PER_PACKAGE = {"speech": 3500, "music": 200, "effects": 350}
SHORTEST_SAMPLES = 2000
MADE_MINUTES = {"train": 120.0, "files": 6.0, "packages": 12.0}  # of each, over all packages
LINE_SECONDS, PHRASES_PER_LINE = 30, 8


class BankError(SentenceError):
    """The bank cannot be built; one sentence that says what to do."""


def read_sources() -> list[tuple[str, str, str]]:
    """Read role, package and pattern of the bank's sources."""
    with SOURCES_PATH.open(encoding="utf-8", newline="") as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


def unpacked(audio: Path) -> list[tuple[str, str, str]]:
    """Return the sources whose packages are in a folder.

    Parameters
    ----------
    audio : Path
        As for :func:`collect`.

    Returns
    -------
    list of (role, package, pattern)

    Raises
    ------
    BankError
        If a role has no package there.
    """
    sources = read_sources()
    there = [source for source in sources if (audio / source[1]).is_dir()]
    for role in ROLES:
        if role not in {source[0] for source in there}:
            raise BankError(
                f"{audio} holds no package with {role}: unpack at least one of "
                f"{', '.join(source[1] for source in sources if source[0] == role)} there, with "
                f"`dpkg -x PACKAGE.deb {audio}/PACKAGE`."
            )
    return there


def audio_files(package: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Walk the sound files of an unpacked package, including those inside a game's archives.

    Parameters
    ----------
    package : Path
        The folder a package was unpacked into.

    Yields
    ------
    name : str
        Path below the package; a member of an archive is named ``archive/member``.
    opener : callable
        Returns what soundfile can open.
    """
    for path in sorted(package.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        name = str(path.relative_to(package))
        if path.suffix in (".zip", ".pk3", ".wz"):
            archive = zipfile.ZipFile(path)  # read lazily; closed with its last reference
            for member in sorted(m for m in archive.namelist() if re.search(AUDIO, m)):
                yield f"{name}/{member}", partial(archive.open, member)
        elif path.name == "queen.1c":
            yield from _queen_speech(path, name)
        elif re.search(AUDIO, name):
            yield name, partial(path.open, "rb")


def _queen_speech(path: Path, name: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Flight of the Amazon Queen: a table of (name, bundle, offset, bytes) before MP3 streams."""
    content = path.read_bytes()
    (count,) = struct.unpack(">H", content[13:15])
    for start in range(15, 15 + 21 * count, 21):
        title = content[start : start + 12].split(b"\0")[0].decode("ascii", "replace")
        offset, size = struct.unpack(">II", content[start + 13 : start + 21])
        if title.endswith(".SB"):
            yield f"{name}/{title}.mp3", partial(io.BytesIO, content[offset : offset + size])


def decode(source: object, seconds: float) -> np.ndarray:
    """Decode the start of a sound file to 16 kHz, one channel, int16."""
    with sf.SoundFile(source) as file:
        samples = file.read(int(seconds * file.samplerate), np.float32, always_2d=True)
        mono = resample(samples.mean(axis=1), file.samplerate, SAMPLE_RATE)
    return (32768 * mono).clip(-32768, 32767).astype(np.int16)


def split_of(package: str, name: str) -> str:
    """Return "train", "files" (a held-out file) or "packages" (of a held-out package)."""
    if package in HELD_OUT_PACKAGES:
        return "packages"
    digest = int(hashlib.sha256(f"{package}/{name}".encode()).hexdigest()[:8], 16)
    return "files" if digest < HELD_OUT_SHARE * 2**32 else "train"


def collect(audio: Path, cache: Path) -> None:
    """Decode every package of the bank once.

    Parameters
    ----------
    audio : Path
        The folder with one folder per package, as ``dpkg -x PACKAGE.deb FOLDER/PACKAGE`` makes.
    cache : Path
        Where ``<role>-<package>.npy`` (all its files in a row) and ``.json`` (where each is) go.

    Raises
    ------
    BankError
        If a role has no package there.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for role, package, pattern in tqdm(unpacked(audio), desc="packages", unit="package"):
        index_path = cache / f"{role}-{package}.json"
        if index_path.exists():
            continue
        files = [f for f in audio_files(audio / package) if re.search(pattern, f[0])]
        # a spread over the whole package where it has more files than are used
        files = files[:: max(1, -(-len(files) // FILES_PER_PACKAGE[role]))]
        pieces, index, position = [np.empty(0, np.int16)], [], 0
        for name, opener in tqdm(files, desc=f"{role} {package}", unit="file", leave=False):
            try:
                with opener() as source:
                    samples = decode(source, FILE_SECONDS[role])
            except (sf.LibsndfileError, zipfile.BadZipFile):
                continue  # the odd broken file
            if len(samples) < SHORTEST_SAMPLES or np.abs(samples.astype(int)).max() < 100:
                continue
            pieces.append(samples)
            index.append([name, position, position + len(samples)])
            position += len(samples)
        _write(index_path, pieces, index)


def _write(index_path: Path, pieces: list[np.ndarray], index: list) -> None:
    np.save(index_path.with_suffix(".npy"), np.concatenate(pieces))
    # the index last, and whole or not at all: it says that the samples are there
    aside = index_path.with_suffix(".part")
    aside.write_text(json.dumps(index), encoding="utf-8")
    aside.replace(index_path)


def make_pools(cache: Path, workers: int) -> None:
    """Make sung and lively versions of the bank's voices, once, to draw windows from.

    Every split has its own, ``sung-<package>`` and ``lively-<package>`` in the cache.
    """
    jobs = []
    for split, minutes in MADE_MINUTES.items():
        speech = Sources.load(cache, "speech", split)
        jobs += [
            (cache, role, split, package, minutes * weight)
            for role in MADE
            for package, weight in zip(speech.files, speech.weights, strict=True)
            if not (cache / f"{role}-{split}@{package}.json").exists()
        ]
    jobs.sort(key=lambda job: -job[-1])  # the long ones first
    bar = partial(tqdm, total=len(jobs), desc="singers", unit="package")
    if workers == 1:
        list(bar(map(_make, jobs)))
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        list(bar(pool.map(_make, jobs)))


def _make(job: tuple[Path, str, str, str, float]) -> None:
    cache, role, split, package, minutes = job
    files = Sources.load(cache, "speech", split).files[package]
    seed = hashlib.sha256(f"{role}/{split}/{package}".encode()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(seed, "little"))
    pieces, index, position = [np.empty(0, np.int16)], [], 0
    for number in range(-(-int(minutes * 60) // LINE_SECONDS)):
        phrases = _phrases(files, rng)
        if role == "sung":
            made = sing_line(LINE_SECONDS * SAMPLE_RATE, phrases, rng)
        else:
            made = np.concatenate([lively(phrase, rng) for phrase in phrases])
        if not made.any():
            continue
        pieces.append((30_000 * made / np.abs(made).max()).astype(np.int16))
        index.append([f"{number}", position, position + len(made)])
        position += len(made)
    _write(cache / f"{role}-{split}@{package}.json", pieces, index)


def _phrases(files: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return a few phrases of files side by side, which are mostly one voice's."""
    at, phrases = int(rng.integers(len(files))), []
    while len(phrases) < PHRASES_PER_LINE:
        samples = np.empty(0)
        while len(samples) < 3 * SAMPLE_RATE:  # some files are a letter of the alphabet
            samples = np.concatenate([samples, files[at % len(files)] / 32768])
            at += 1
        length = int(rng.uniform(3, 7) * SAMPLE_RATE)
        start = int(rng.integers(max(1, len(samples) - length + 1)))
        phrases.append(samples[start : start + length])
    return phrases


@dataclass(frozen=True)
class Sources:
    """The decoded files of one role in one split, by package."""

    files: dict[str, list[np.ndarray]]
    weights: np.ndarray  # a package counts by the root of its duration

    @classmethod
    def load(cls, cache: Path, role: str, split: str) -> Sources:
        """Map the arrays of a role into memory and keep the files of a split."""
        files = {}
        for path in sorted(cache.glob(f"{role}-*.json")):
            package = path.stem.removeprefix(f"{role}-")
            made_for, _, package = package.rpartition("@")
            array = np.load(path.with_suffix(".npy"), mmap_mode="r")
            kept = [
                array[start:stop]
                for name, start, stop in json.loads(path.read_text(encoding="utf-8"))
                if (made_for or split_of(package, name)) == split
            ]
            if kept:
                files[package] = kept
        if not files:
            raise BankError(f"{cache} has no {role} for the split {split}: unpack more packages.")
        weights = np.array([np.sqrt(sum(map(len, kept))) for kept in files.values()])
        return cls(files, weights / weights.sum())

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return a random file as float32 in [-1, 1]."""
        kept = list(self.files.values())[rng.choice(len(self.files), p=self.weights)]
        return np.asarray(kept[rng.integers(len(kept))], np.float32) / 32768
