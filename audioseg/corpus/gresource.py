"""Files in a GResource bundle, as programs of GNOME carry them.

A bundle is a hash table in GLib's format GVDB, whose values are GVariants of type ``(uuay)``: the
size, flags (1: compressed by zlib) and the content of a file.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable, Iterator

HEADER = struct.Struct("<8sIIII")  # signature, version, options, start and end of the table
ITEM = struct.Struct("<IIIHcxII")  # hash, parent, key, its length, kind, start and end of the value
SIGNATURE, FILE, TYPE = b"GVariant", b"v", b"\0(uuay)"
BLOOM_WORDS = 0x07FF_FFFF  # the lower bits of a number; the upper ones are a shift
COMPRESSED = 1
LONGEST_PATH = 4_096
DAMAGED = "a damaged GResource bundle, or none"


def files_in(bundle: bytes) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """List the files of a bundle.

    Parameters
    ----------
    bundle : bytes
        The content of a ``.gresource``, little-endian.

    Yields
    ------
    path : str
        It begins with a slash.
    size : int
        In bytes.
    read : callable
        Returns the content.

    Raises
    ------
    ValueError
        If the bundle is damaged or not one: when listing, or when reading.
    """
    try:
        signature, _, _, start, end = HEADER.unpack_from(bundle)
        bloom, buckets = struct.unpack_from("<II", bundle, start)
    except struct.error:
        raise ValueError(DAMAGED) from None
    first = start + 8 + 4 * ((bloom & BLOOM_WORDS) + buckets)
    if signature != SIGNATURE or not first <= end <= len(bundle) or (end - first) % ITEM.size:
        raise ValueError(DAMAGED)
    items = list(ITEM.iter_unpack(bundle[first:end]))
    for number, (_, _, _, _, kind, at, to) in enumerate(items):
        if kind == FILE:
            stored = slice(at + 8, to - len(TYPE))
            if stored.start > stored.stop or bundle[stored.stop : to] != TYPE:
                raise ValueError(DAMAGED)
            size, flags = struct.unpack_from("<II", bundle, at)
            read = functools.partial(_read, bundle, stored, size, flags & COMPRESSED)
            yield _path_of(items, number, bundle), size, read


def _path_of(items: list[tuple], number: int, bundle: bytes) -> str:
    """Join an item's key to those of its parents; what has no parent names one that is not."""
    path = b""
    while number < len(items):
        _, number, at, length, *_ = items[number]
        path = bundle[at : at + length] + path
        if not length or len(path) > LONGEST_PATH:  # perhaps it is its own parent
            raise ValueError(DAMAGED)
    return path.decode()


def _read(bundle: bytes, stored: slice, size: int, compressed: int) -> bytes:
    content = bundle[stored]
    if compressed:
        inflator = zlib.decompressobj()
        try:
            content = inflator.decompress(content, size + 1)
        except zlib.error:
            raise ValueError(DAMAGED) from None
        if not inflator.eof or len(content) != size:
            raise ValueError(DAMAGED)
    if len(content) < size:
        raise ValueError(DAMAGED)
    return content[:size]  # a zero follows what is not compressed
