"""The audio that `mini` learns from: sources by role.

A *bank* is a folder of unpacked packages. :data:`SOURCES` says which files of which package hold
speech, music and effects; :func:`collect` decodes them once to 16 kHz int16 arrays, which
:class:`Sources` draws from and :mod:`vggish.mini.mixing` mixes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from tqdm.auto import tqdm

from audioseg.files import replacing
from vggish.errors import SentenceError
from vggish.frontend import SAMPLE_RATE

AUDIO = r"\.(ogg|oga|wav|flac|mp3|opus)$"
# Debian packages (bookworm, main), none of which the course's corpus uses. A pattern is searched
# in the path of a file; archives that games keep their sound in are looked into.
SOURCES = {
    "speech": {
        "0ad-data": "audio/voice/.*" + AUDIO,
        "codec2-examples": r"\.wav$",
        "fillets-ng-data-nl": AUDIO,
        "flight-of-the-amazon-queen": r"queen\.1c/.*\.mp3$",
        "freedroidrpg-data": "(voice_samples|tux_ingame_comments)/.*" + AUDIO,
        "gcin-voice": AUDIO,
        "hedgewars-data": "/voices/.*" + AUDIO,
        "klettres-data": AUDIO,
        "ktuberling-data": AUDIO,
        "pocketsphinx-testdata": r"\.wav$",
        "redeclipse-data": "sounds/(voice|announcer)/.*" + AUDIO,
        "scratch": "(Human|Vocals)/.*" + AUDIO,
        "tuxpaint-stamps-default": r"_desc.*\.ogg$",
        "unknown-horizons": "audio/voice/.*" + AUDIO,
        "warmux-data": "/voices/.*" + AUDIO,
        "warzone2100-data": "audio/(memressp|tutorial|countdown|vtoltalk|taunts|extra)/.*" + AUDIO,
    },
    "music": {
        "0ad-data": "audio/music/.*" + AUDIO,
        "asc-music": AUDIO,
        "colobot-common-sounds": "/music/.*" + AUDIO,
        "drascula-music": "/audio/.*" + AUDIO,
        "flare-game": "/music/.*" + AUDIO,
        "freedroidrpg-data": "/music/.*" + AUDIO,
        "hedgewars-data": "/Music/.*" + AUDIO,
        "lincity-ng-data": "/music/.*" + AUDIO,
        "lugaru-data": "/music.*" + AUDIO,
        "megaglest-data": "/music/.*" + AUDIO,
        "nexuiz-music": AUDIO,
        "openclonk-data": AUDIO,
        "planetblupi-music-ogg": AUDIO,
        "redeclipse-data": "/music/.*" + AUDIO,
        "scratch": "(Music Loops|Instruments|Vocals)/.*" + AUDIO,
        "searchandrescue-data": "/music/.*" + AUDIO,
        "sonic-pi-samples": "/(loop|guit|ambi|bass|piano)_.*" + AUDIO,
        "supertux-data": "/music/.*" + AUDIO,
        "supertuxkart-data": "/music/.*" + AUDIO,
        "ufoai-music": AUDIO,
        "unknown-horizons": "/music/.*" + AUDIO,
        "warmux-data": "/music/.*" + AUDIO,
        "warzone2100-music": AUDIO,
        "wesnoth-1.16-music": AUDIO,
        "widelands-data": "/music/.*" + AUDIO,
    },
    "effects": {
        "0ad-data": "audio/(?!music|voice).*" + AUDIO,
        "colobot-common-sounds": "/sounds/.*" + AUDIO,
        "endless-sky-data": AUDIO,
        "flare-game": "/soundfx/.*" + AUDIO,
        "freedroidrpg-data": "effects/(?!bot_sounds/voice|tux_ingame).*" + AUDIO,
        "frozen-bubble-data": AUDIO,
        "hedgewars-data": "/Sounds/[^/]*" + AUDIO,
        "hydrogen-drumkits": AUDIO,
        "lincity-ng-data": "/sounds/.*" + AUDIO,
        "lugaru-data": "/Sounds/(?!music).*" + AUDIO,
        "megaglest-data": "^(?!.*/music/).*" + AUDIO,
        "minetest-data": AUDIO,
        "openarena-data": "sound/(?!voices).*" + AUDIO,
        "redeclipse-data": "sounds/(?!voice|announcer|music).*" + AUDIO,
        "scratch": "(Animal|Effects|Electronic|Percussion)/.*" + AUDIO,
        "searchandrescue-data": "/sounds/.*" + AUDIO,
        "sonic-pi-samples": "/(?!loop|guit|ambi|bass|piano)[^/]*" + AUDIO,
        "sound-icons": AUDIO,
        "sound-theme-freedesktop": AUDIO,
        "supertux-data": "/sounds/.*" + AUDIO,
        "supertuxkart-data": "/(sfx|tracks)/.*" + AUDIO,
        "tuxpaint-stamps-default": r"^(?!.*_desc).*\.ogg$",
        "tuxtype-data": AUDIO,
        "unknown-horizons": "/sounds/.*" + AUDIO,
        "warmux-data": "/sound/(?!.*voices).*" + AUDIO,
        "warzone2100-data": "audio/(sfx|ambient).*" + AUDIO,
        "widelands-data": "/sound/.*" + AUDIO,
    },
}
ROLES = tuple(SOURCES)
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


class BankError(SentenceError):
    """The bank cannot be built; one sentence that says what to do."""


def audio_files(package: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Walk the sound files of an unpacked package, also those inside a game's archives.

    Parameters
    ----------
    package : Path
        The folder a package was unpacked into.

    Yields
    ------
    name : str
        Path below the package; a member of an archive is named ``archive/member``.
    opener : callable
        Returns what PyAV can open.
    """
    for path in sorted(package.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        name = str(path.relative_to(package))
        if path.suffix in (".zip", ".pk3", ".wz"):
            archive = zipfile.ZipFile(path)  # read lazily; closed with its last reference
            for member in sorted(m for m in archive.namelist() if re.search(AUDIO, m)):
                yield (
                    f"{name}/{member}",
                    lambda archive=archive, member=member: io.BytesIO(archive.read(member)),
                )
        elif path.name == "queen.1c":
            yield from _queen_speech(path, name)
        else:
            yield name, lambda path=path: str(path)


def _queen_speech(path: Path, name: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Flight of the Amazon Queen: a table of (name, bundle, offset, bytes) before MP3 streams."""
    content = path.read_bytes()
    (count,) = struct.unpack(">H", content[13:15])
    for start in range(15, 15 + 21 * count, 21):
        title = content[start : start + 12].split(b"\0")[0].decode("ascii", "replace")
        offset, size = struct.unpack(">II", content[start + 13 : start + 21])
        if title.endswith(".SB"):
            yield (
                f"{name}/{title}.mp3",
                lambda offset=offset, size=size: io.BytesIO(content[offset : offset + size]),
            )


def decode(source: object, seconds: float) -> np.ndarray:
    """Decode the start of a sound file to 16 kHz, one channel, int16."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    blocks, count = [np.empty(0, np.int16)], 0
    with av.open(source) as container:
        for frame in container.decode(audio=0):
            frame.pts = None
            for block in resampler.resample(frame):
                blocks.append(block.to_ndarray()[0])
                count += len(blocks[-1])
            if count > seconds * SAMPLE_RATE:
                break
    return np.concatenate(blocks)[: int(seconds * SAMPLE_RATE)]


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
        The folder with one folder a package, as ``dpkg -x PACKAGE.deb FOLDER/PACKAGE`` makes.
    cache : Path
        Where ``<role>-<package>.npy`` (all its files in a row) and ``.json`` (where each is) go.

    Raises
    ------
    BankError
        If no package of some role is there.
    """
    cache.mkdir(parents=True, exist_ok=True)
    jobs = [
        (role, package, pattern)
        for role, packages in SOURCES.items()
        for package, pattern in packages.items()
        if (audio / package).is_dir()
    ]
    for role in ROLES:
        if role not in {job[0] for job in jobs}:
            raise BankError(
                f"{audio} holds no package with {role}: unpack at least one of "
                f"{', '.join(SOURCES[role])} there, with `dpkg -x PACKAGE.deb {audio}/PACKAGE`."
            )
    for role, package, pattern in tqdm(jobs, desc="packages", unit="package"):
        index_path = cache / f"{role}-{package}.json"
        if index_path.exists():
            continue
        files = [f for f in audio_files(audio / package) if re.search(pattern, f[0])]
        # a spread over the whole package where it has more files than are used
        files = files[:: max(1, -(-len(files) // FILES_PER_PACKAGE[role]))]
        pieces, index, position = [np.empty(0, np.int16)], [], 0
        for name, opener in tqdm(files, desc=f"{role} {package}", unit="file", leave=False):
            try:
                samples = decode(opener(), FILE_SECONDS[role])
            except (av.FFmpegError, IndexError, ValueError):
                continue  # covers, playlists and the odd broken file
            if len(samples) < SHORTEST_SAMPLES or np.abs(samples.astype(int)).max() < 100:
                continue
            pieces.append(samples)
            index.append([name, position, position + len(samples)])
            position += len(samples)
        # the index last: it says that the samples are there
        with replacing(index_path.with_suffix(".npy")) as aside:
            np.save(aside, np.concatenate(pieces))
        with replacing(index_path) as aside:
            aside.write_text(json.dumps(index), encoding="utf-8")


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
            array = np.load(path.with_suffix(".npy"), mmap_mode="r")
            kept = [
                array[start:stop]
                for name, start, stop in json.loads(path.read_text(encoding="utf-8"))
                if split_of(package, name) == split
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
