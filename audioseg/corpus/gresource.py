"""Files in a GResource bundle, as programs of GNOME carry them.

A bundle is a hash table in GLib's format GVDB, whose values are GVariants of type ``(uuay)``: the
size, flags (1: compressed by zlib) and the content of a file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

HEADER = struct.Struct("<8sIIII")  # signature, version, options, start and end of the table
ITEM = struct.Struct("<IIIHcxII")  # hash, parent, key, its length, kind, start and end of the value
SIGNATURE, FILE, TYPE = b"GVariant", b"v", b"\0(uuay)"
BLOOM_WORDS = 0x07FF_FFFF  # the lower bits of a number; the upper ones are a shift
COMPRESSED = 1


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
        If the bundle is damaged or not one.
    """
    try:
        signature, _, _, start, end = HEADER.unpack_from(bundle)
        if signature != SIGNATURE:
            raise ValueError("no GResource bundle")
        bloom, buckets = struct.unpack_from("<II", bundle, start)
        first = start + 8 + 4 * ((bloom & BLOOM_WORDS) + buckets)
        items = list(ITEM.iter_unpack(bundle[first:end]))
        for number, (_, _, _, _, kind, at, to) in enumerate(items):
            if kind == FILE:
                value = bundle[at:to].removesuffix(TYPE)
                size, flags = struct.unpack_from("<II", value)
                yield _path_of(items, number, bundle), size, _reader(value[8:], size, flags)
    except struct.error as error:
        raise ValueError(f"a damaged GResource bundle: {error}") from None


def _path_of(items: list[tuple], number: int, bundle: bytes) -> str:
    """Join an item's key to those of its parents; what has no parent names one that is not."""
    keys = []
    while number < len(items) and len(keys) <= len(items):
        _, number, at, length, *_ = items[number]
        keys.append(bundle[at : at + length])
    return b"".join(reversed(keys)).decode()


def _reader(content: bytes, size: int, flags: int) -> Callable[[], bytes]:
    def read() -> bytes:
        whole = content
        if flags & COMPRESSED and size:  # 0 would be no limit
            whole = zlib.decompressobj().decompress(content, size)
        if len(whole) < size:
            raise ValueError("a GResource bundle holds less of a file than it says")
        return whole[:size]

    return read
