"""Debian packages without Debian: find a mirror, fetch a pinned package, unpack it anywhere.

python-debian and ``tarfile`` read a ``.deb`` in Python alone, so macOS and Windows need nothing
more. Unpacked files stay inside their folder, links are never made, and an archive that unpacks
beyond a limit is refused.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from debian.arfile import ArError
from debian.deb822 import Deb822
from debian.debfile import DebFile

from audioseg.corpus import gresource
from audioseg.errors import CourseError
from vggish.download import DownloadError, download

MIRROR_VARIABLE = "DEBIAN_MIRROR"
APT_FOLDER = Path("/etc/apt")
# the archives that hold the pool; "-security" ones have another one
SUITE = re.compile(
    r"((old)*stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)"
    r"(-(updates|backports|proposed-updates))?",
    re.ASCII,
)
UNPACKED_LIMIT_BYTES = 2 << 30
LONGEST_NAME_BYTES = 255
CHUNK_BYTES = 1 << 18
# what a package's two layers of archives raise when they are damaged
DAMAGE = (
    ArError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError,
    ValueError, NotImplementedError,
)  # fmt: skip


class ArchiveError(CourseError):
    """An archive cannot be unpacked safely; one sentence says what to do."""


def find_mirrors(
    environ: Mapping[str, str] | None = None, apt_folder: str | os.PathLike = APT_FOLDER
) -> list[str]:
    """Return the Debian mirrors that this machine knows.

    Parameters
    ----------
    environ : mapping, optional
        Environment variables, ``os.environ`` by default. ``DEBIAN_MIRROR`` comes before all else.
    apt_folder : str or PathLike
        Where apt lists its sources, in either of its two formats.

    Returns
    -------
    list of str
        Addresses without a trailing slash, without repetitions; ``pool/`` lies below each.

    Raises
    ------
    DownloadError
        If there is none.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(MIRROR_VARIABLE, "").strip()
    if named:
        if not re.match(r"https?://[^/\s]", named):
            raise DownloadError(
                f"{MIRROR_VARIABLE} is {named!r}, which is not an http or https address: set it "
                "to the address of a Debian mirror, the part before /pool."
            )
        return [named.rstrip("/")]
    apt_folder = Path(apt_folder)
    found = [
        address.rstrip("/")
        for file in (apt_folder / "sources.list", *sorted(apt_folder.glob("sources.list.d/*")))
        for addresses, suites, components in _apt_sources(file)
        if "main" in components and any(SUITE.fullmatch(suite) for suite in suites)
        for address in addresses
        if re.match(r"https?://[^/]", address)
    ]
    if not found:
        raise DownloadError(
            f"no Debian mirror is known here: set the environment variable {MIRROR_VARIABLE} to "
            "the address of one, the part before /pool, or use the workshop image, which holds "
            "the recordings."
        )
    return list(dict.fromkeys(found))


def _apt_sources(file: Path) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Read the addresses, suites and components of binary packages from a file of apt's."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if file.suffix == ".list":  # deb [options] address suite component...
        for line in text.splitlines():
            fields = re.sub(r"\[[^]]*\]", " ", line.split("#")[0]).split()
            if len(fields) >= 4 and fields[0] == "deb":
                yield [fields[1]], [fields[2]], fields[3:]
    elif file.suffix == ".sources":
        for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False):
            fields = {name.lower(): value.split() for name, value in stanza.items()}
            if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
                yield tuple(fields.get(name, []) for name in ("uris", "suites", "components"))


def deb_name(package: str, version: str) -> str:
    """Return the name of a package's file in the pool: the version loses its epoch there."""
    return f"{package}_{version.split(':', 1)[-1]}_all.deb"


def pool_path(package: str, version: str, source: str) -> str:
    """Return where a package lies below a mirror.

    Parameters
    ----------
    package, version : str
        As apt names them.
    source : str
        The source package it was built from, which names its folder.
    """
    letter = source[:4] if source.startswith("lib") else source[:1]
    return f"pool/main/{letter}/{source}/{deb_name(package, version)}"


def fetch_deb(
    package: str,
    version: str,
    source: str,
    folder: str | os.PathLike,
    *,
    sha256: str,
    size: int,
    mirrors: list[str],
) -> Path:
    """Fetch a pinned package from the first mirror that has it.

    Returns
    -------
    Path
        The verified ``.deb`` in ``folder``.

    Raises
    ------
    DownloadError
        If no mirror gave the expected file; the reason is the first mirror's.
    """
    path = Path(folder) / deb_name(package, version)
    reasons = []
    for mirror in mirrors:
        address = f"{mirror}/{quote(pool_path(package, version, source), safe='/~')}"
        try:
            return download(address, path, sha256=sha256, size=size, label=package)
        except DownloadError as error:
            reasons.append(error)
    other = f", or name another mirror in {MIRROR_VARIABLE}."
    raise DownloadError(str(reasons[0]).removesuffix(".") + other)


def unpack_deb(
    deb: str | os.PathLike,
    folder: str | os.PathLike,
    wanted: Callable[[str], bool] = lambda name: True,
    *,
    limit: int = UNPACKED_LIMIT_BYTES,
) -> Path:
    """Unpack the wanted files of a package, and of archives inside it: zip, .pk3, .gresource.

    Parameters
    ----------
    deb : str or PathLike
        The package; its files compressed by xz, gzip or bzip2, as all of Debian's are.
    folder : str or PathLike
        Where the files go, with their paths. It appears once it is complete; an existing folder
        counts as complete.
    wanted : callable
        Takes the path of a file and tells whether to unpack it. It is asked about archives too,
        and then about each file inside them.
    limit : int
        The largest number of bytes that the package may unpack to.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    ArchiveError
        If the package is damaged, leads outside the folder, or is larger than the limit.
    """
    deb, folder = Path(deb), Path(folder)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-", suffix=".part"))
    try:
        _unpack(deb, aside, wanted, limit)
        aside.chmod(0o755)
        aside.replace(folder)
    except ArchiveError as error:
        raise ArchiveError(
            f"{deb} cannot be unpacked, {error}: remove it and run the same command again."
        ) from None
    except (*DAMAGE, OSError) as error:
        if getattr(error, "errno", None):  # the disk's fault, not the package's
            raise
        reason = str(error).partition("\n")[0].strip("': ")
        raise ArchiveError(
            f"{deb} is damaged or not a Debian package ({reason}): remove it and run the same "
            "command again."
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _unpack(deb: Path, folder: Path, wanted: Callable[[str], bool], limit: int) -> None:
    with DebFile(deb) as package:
        data = [name for name in package.getnames() if name.startswith("data.tar")]
        if len(data) != 1 or data[0].endswith(".zst"):  # python-debian runs a program for it
            raise ArchiveError(f"it holds {', '.join(data)} where one data.tar.xz should be")
        left = limit
        archive = package.data.tgz()
        for entry in archive:
            left -= entry.size
            if left < 0:
                raise ArchiveError(f"it unpacks to more than {limit} bytes")
            # no links, no devices: nothing that is unpacked points elsewhere
            if entry.isfile() and wanted(entry.name):
                path = _place(folder, entry.name)
                # not extract(): Debian 12's own Python, 3.11.2, has no filter for it
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(archive.extractfile(entry), file)
                if path.suffix in (".zip", ".pk3"):
                    left = _unpack_zip(path, wanted, left)
                elif path.suffix == ".gresource":
                    left = _unpack_gresource(path, wanted, left)
        while archive.fileobj.read(CHUNK_BYTES):  # to the end, where the checksum is
            pass


def _unpack_zip(path: Path, wanted: Callable[[str], bool], left: int) -> int:
    """Replace a zip archive by a folder of its name; return what is left of the limit."""
    archive_path = path.rename(path.with_name(path.name + ".part"))
    with zipfile.ZipFile(archive_path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir() and wanted(entry.filename):
                _place(path, entry.filename)
                left -= entry.file_size
                if left < 0 or entry.flag_bits & 1:
                    raise ArchiveError(f"its {path.name} is encrypted or unpacks beyond the limit")
                archive.extract(entry, path)
    archive_path.unlink()
    return left


def _unpack_gresource(path: Path, wanted: Callable[[str], bool], left: int) -> int:
    """Replace a GResource bundle by a folder of its name; return what is left of the limit."""
    bundle = path.read_bytes()
    path.unlink()
    for name, size, read in gresource.files_in(bundle):
        if wanted(name):
            place = _place(path, name.removeprefix("/"))
            left -= size
            if left < 0:
                raise ArchiveError(f"its {path.name} unpacks beyond the limit")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(read())
    return left


def _place(folder: Path, name: str) -> Path:
    """Return where a file goes: inside the folder on every system, and onto no other file.

    ``tarfile`` and ``zipfile`` would change such names, each in its own way on each system.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or not parts or ".." in parts or re.search(r"[\\:\0-\x1f]", name):
        raise ArchiveError(f"it holds the path {name!r}, which does not stay inside a folder")
    path = folder.joinpath(*parts)
    if max(len(part.encode()) for part in parts) > LONGEST_NAME_BYTES:
        raise ArchiveError(f"it holds the path {name[:40]}..., which is too long")
    above = (folder.joinpath(*parts[:count]) for count in range(1, len(parts)))
    if path.exists() or any(place.is_file() for place in above):
        raise ArchiveError(f"it holds {path.name} twice")
    return path
