"""Debian packages without Debian: find a mirror, fetch a pinned package, unpack it anywhere.

A ``.deb`` is an ``ar`` archive that holds a compressed ``tar``. Both are read here in pure Python,
so that macOS and Windows need nothing more. What is unpacked stays inside its folder, links are
never made, and an archive that swells beyond a limit is refused.
"""

from __future__ import annotations

import io
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

from audioseg.errors import CourseError
from audioseg.files import DownloadError, download

MIRROR_VARIABLE = "DEBIAN_MIRROR"
APT_FOLDER = Path("/etc/apt")
# the archives that hold the pool; "-security" ones have another one
SUITE = re.compile(
    r"(old)*stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke", re.ASCII
)
AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60
UNPACKED_LIMIT_BYTES = 2 << 30
LZMA_MEMORY_BYTES = 256 << 20
CHUNK_BYTES = 1 << 18


class ArchiveError(CourseError):
    """An archive that cannot be unpacked safely; one sentence that says what to do."""


class ArMember(NamedTuple):
    """A file in an ``ar`` archive: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


# -- where packages are


def find_mirrors(
    environ: Mapping[str, str] | None = None, apt_folder: str | os.PathLike = APT_FOLDER
) -> list[str]:
    """Return the Debian mirrors that this machine knows.

    Parameters
    ----------
    environ : mapping, optional
        Environment variables, ``os.environ`` by default. ``DEBIAN_MIRROR`` comes before all else.
    apt_folder : str or PathLike
        Where apt keeps its sources, in either of its two formats.

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
                f"{MIRROR_VARIABLE} is {named!r}, which is no http or https address: set it to "
                "the address of a Debian mirror, the part before /pool."
            )
        return [named.rstrip("/")]
    apt_folder = Path(apt_folder)
    sources = [apt_folder / "sources.list", *sorted((apt_folder / "sources.list.d").glob("*"))]
    found: dict[str, None] = {}
    for source in sources:
        try:
            text = source.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        parse = {".list": _one_line_sources, ".sources": _deb822_sources}.get(source.suffix)
        if parse:
            for addresses, suites, components in parse(text):
                if "main" in components and any(_is_archive(suite) for suite in suites):
                    found.update(
                        (address.rstrip("/"), None)
                        for address in addresses
                        if re.match(r"https?://[^/]", address)
                    )
    if not found:
        raise DownloadError(
            f"no Debian mirror is known here: set the environment variable {MIRROR_VARIABLE} to "
            "the address of one, the part before /pool, or use the workshop image, which holds "
            "the recordings."
        )
    return list(found)


def _is_archive(suite: str) -> bool:
    return SUITE.fullmatch(re.sub(r"-(updates|backports|proposed-updates)$", "", suite)) is not None


def _one_line_sources(text: str) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Read ``deb [options] address suite component...`` lines."""
    for line in text.splitlines():
        fields = re.sub(r"\[[^]]*\]", " ", line.split("#")[0]).split()
        if len(fields) >= 4 and fields[0] == "deb":
            yield [fields[1]], [fields[2]], fields[3:]


def _deb822_sources(text: str) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Read stanzas of ``Field: value`` lines with continuations."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        joined = re.sub(r"\n[ \t]+", " ", stanza)
        pairs = (line.partition(":") for line in joined.splitlines() if ":" in line)
        fields = {name.strip().lower(): value.split() for name, _, value in pairs}
        enabled = fields.get("enabled", ["yes"])[:1] != ["no"]
        if enabled and "deb" in fields.get("types", []):
            yield fields.get("uris", []), fields.get("suites", []), fields.get("components", [])


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


# -- what is inside them


def ar_members(file: BinaryIO) -> Iterator[ArMember]:
    """List an ``ar`` archive.

    Parameters
    ----------
    file : binary file
        Seekable, at any position.

    Yields
    ------
    ArMember
        In the archive's order.

    Raises
    ------
    ArchiveError
        If this is no ``ar`` archive, or one that ends too early.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise ArchiveError("it does not start as an ar archive does")
    offset = len(AR_MAGIC)
    while offset < end:
        file.seek(offset)
        header = file.read(AR_HEADER_BYTES)
        digits = header[48:58].strip()
        if len(header) < AR_HEADER_BYTES or header[58:] != b"`\n" or not digits.isdigit():
            raise ArchiveError(f"its member at byte {offset} has no valid header")
        size = int(digits)
        offset += AR_HEADER_BYTES
        if offset + size > end:
            raise ArchiveError(f"it ends at byte {end}, before byte {offset + size}")
        name = header[:16].decode("ascii", "replace").rstrip(" ").rstrip("/")
        yield ArMember(name, offset, size)
        offset += size + size % 2


class _Inflated(io.RawIOBase):
    """The bytes of a compressed ``ar`` member, as a stream that stops at a limit."""

    def __init__(self, file: BinaryIO, member: ArMember, limit: int):
        suffix = PurePosixPath(member.name).suffix
        if suffix == ".xz":
            self._inflate = lzma.LZMADecompressor(memlimit=LZMA_MEMORY_BYTES).decompress
        elif suffix == ".gz":
            # zlib's own object hands back what it did not consume: keep it for the next call
            inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
            self._inflate = lambda data, most: inflate.decompress(
                inflate.unconsumed_tail + data, most
            )
        elif suffix == ".tar":
            self._rest = b""
            self._inflate = self._copied
        else:
            raise ArchiveError(f"its {member.name} is not compressed by xz or gzip")
        self._file, self._at, self._left = file, member.offset, member.size
        self._given, self._limit = 0, limit

    def _copied(self, data: bytes, most: int) -> bytes:
        data = self._rest + data
        data, self._rest = data[:most], data[most:]
        return data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        most = min(len(buffer), CHUNK_BYTES)
        data = b""
        while not data:
            chunk = b""
            try:
                data = self._inflate(b"", most)
                if not data:
                    self._file.seek(self._at)
                    chunk = self._file.read(min(self._left, CHUNK_BYTES))
                    self._at += len(chunk)
                    self._left -= len(chunk)
                    data = self._inflate(chunk, most)
            except EOFError:  # what follows the compressed stream is not ours to read
                break
            if not data and not chunk:
                break
        self._given += len(data)
        if self._given > self._limit:
            raise ArchiveError(f"it unpacks to more than {self._limit} bytes")
        buffer[: len(data)] = data
        return len(data)


def safe_parts(name: str) -> tuple[str, ...]:
    """Split a path from an archive into parts that stay below the folder they are joined to.

    Raises
    ------
    ArchiveError
        If the path is absolute, climbs, or holds what some system reads as a drive or separator.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or not parts or ".." in parts or re.search(r"[\\:\0-\x1f]", name):
        raise ArchiveError(f"it holds the path {name!r}, which does not stay inside a folder")
    return parts


def unpack_deb(
    deb: str | os.PathLike,
    folder: str | os.PathLike,
    wanted: Callable[[str], bool] = lambda name: True,
    *,
    limit: int = UNPACKED_LIMIT_BYTES,
) -> Path:
    """Unpack the wanted files of a package, and those of zip archives (``.pk3`` too) inside it.

    Parameters
    ----------
    deb : str or PathLike
        The package.
    folder : str or PathLike
        Where the files go, with their paths. It appears when it is complete, and an existing one
        is taken to be complete.
    wanted : callable
        Given the path of a file, whether it is to be unpacked; zip archives are asked about too,
        and then each file inside them.
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
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        raise ArchiveError(
            f"{deb} is damaged ({error}): remove it and run the same command again."
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _unpack(deb: Path, folder: Path, wanted: Callable[[str], bool], limit: int) -> None:
    with deb.open("rb") as file:
        data = [member for member in ar_members(file) if member.name.startswith("data.tar")]
        if len(data) != 1:
            raise ArchiveError(f"it has {len(data)} members data.tar where a package has 1")
        inflated = io.BufferedReader(_Inflated(file, data[0], limit), CHUNK_BYTES)
        with tarfile.open(fileobj=inflated, mode="r|") as archive:
            for entry in archive:
                # no links, no devices: nothing that is unpacked points elsewhere
                if entry.isfile() and wanted(entry.name):
                    path = folder.joinpath(*safe_parts(entry.name))
                    _write(archive.extractfile(entry), path, entry.size)
                    if path.suffix in (".zip", ".pk3"):
                        limit = _unpack_zip(path, wanted, limit)


def _unpack_zip(path: Path, wanted: Callable[[str], bool], limit: int) -> int:
    """Replace a zip archive by a folder of its name; return what is left of the limit."""
    archive_path = path.rename(path.with_name(path.name + ".part"))
    with zipfile.ZipFile(archive_path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir() and wanted(entry.filename):
                parts = safe_parts(entry.filename)
                limit -= entry.file_size
                if limit < 0 or entry.flag_bits & 1:
                    raise ArchiveError(f"its {path.name} is encrypted or unpacks beyond the limit")
                with archive.open(entry) as inside:
                    _write(inside, path.joinpath(*parts), entry.file_size)
    archive_path.unlink()
    return limit


def _write(source: BinaryIO, path: Path, size: int) -> None:
    """Copy exactly ``size`` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise ArchiveError(f"it holds {path.name} twice")
    with path.open("xb") as file:
        left = size
        while left and (chunk := source.read(min(left, CHUNK_BYTES))):
            file.write(chunk)
            left -= len(chunk)
        if left or source.read(1):
            raise ArchiveError(f"its {path.name} has not the {size} bytes that it announces")
