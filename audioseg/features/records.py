"""TFRecord files of SequenceExamples, written and read in pieces.

TensorFlow writes a record from one string in memory and reads it back into one: ten hours of
embeddings are 200 MB of it. Here a record is streamed to disk as it is computed, read through a
memory map, and neither needs TensorFlow. The bytes are those that TensorFlow writes, too.

A TFRecord file is a row of records: length (8 bytes), masked CRC-32C of the length (4), data,
masked CRC-32C of the data (4), all little-endian. A ``tf.train.SequenceExample`` is a protocol
buffer with two maps: ``context``, one value a name, and ``feature_lists``, one value a name and
step. As all steps of ours have the same length, a feature list is an array with a fixed stride.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from audioseg.errors import CourseError

CRC_LANES = 4096  # runs of bytes whose checksums are computed side by side
CRC_MASK = 0xA282EAD8
HEADER_BYTES = 12
FOOTER_BYTES = 4
BLOCK_ROWS = 4096

# protocol buffers: field number << 3 | 2, "length-delimited"
FIRST, SECOND, THIRD = b"\x0a", b"\x12", b"\x1a"


class RecordError(CourseError):
    """A TFRecord file that is damaged; one sentence with the file and the record's number."""


class Steps(NamedTuple):
    """A feature list to be written.

    Attributes
    ----------
    count : int
        The number of steps.
    blocks : iterable of np.ndarray
        The steps, in order: uint8 [shape=(n, width)] for bytes, int64 [shape=(n,)] for integers
        from 0 to 127.
    width : int or None
        Bytes a step; None for integers.
    """

    count: int
    blocks: Iterable[np.ndarray]
    width: int | None


def crc32c(data: bytes | np.ndarray, crc: int = 0) -> int:
    """Return the CRC-32C (Castagnoli) of bytes, going on from the CRC of what came before.

    The bytes are cut into equal runs whose checksums are computed side by side; two neighbours
    are joined by pushing the first through as many zero bytes as the second has.
    """
    data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    table = _crc_tables()
    lanes = CRC_LANES
    while lanes > 1 and len(data) < 16 * lanes:
        lanes //= 2
    steps = len(data) // (8 * lanes)
    head = data[: 8 * lanes * steps]
    if len(head):
        words = np.ascontiguousarray(head.view("<u4").reshape(lanes, steps, 2).transpose(1, 2, 0))
        sums = np.zeros(lanes, np.uint32)
        sums[0] = crc ^ 0xFFFFFFFF
        for low, high in words:
            low = low ^ sums
            sums = table[7][low & 255] ^ table[6][low >> 8 & 255]
            sums ^= table[5][low >> 16 & 255] ^ table[4][low >> 24]
            sums ^= table[3][high & 255] ^ table[2][high >> 8 & 255]
            sums ^= table[1][high >> 16 & 255] ^ table[0][high >> 24]
        zeros = 8 * steps
        while len(sums) > 1:
            sums = _push_zeros(sums[0::2], zeros) ^ sums[1::2]
            zeros *= 2
        crc = int(sums[0]) ^ 0xFFFFFFFF
    crc ^= 0xFFFFFFFF
    for byte in data[len(head) :].tolist():
        crc = int(table[0][(crc ^ byte) & 255]) ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _crc_tables() -> np.ndarray:
    """Return the effect of each byte, followed by 0 to 7 zero bytes [shape=(8, 256)]."""
    effect = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        effect = np.where(effect & 1, (effect >> 1) ^ np.uint32(0x82F63B78), effect >> 1)
    tables = [effect]
    for _ in range(7):
        tables.append(effect[tables[-1] & 255] ^ (tables[-1] >> 8))
    return np.stack(tables)


@cache
def _zeros_matrix(power: int) -> np.ndarray:
    """Return what ``2 ** power`` zero bytes make of each bit of a CRC [shape=(32,)]."""
    if power == 0:
        bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
        return _crc_tables()[0][bits & 255] ^ (bits >> 8)
    half = _zeros_matrix(power - 1)
    return _apply(half, half)


def _apply(matrix: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Multiply a matrix over GF(2), one word a column, with CRCs."""
    result = np.zeros_like(sums)
    for bit in range(32):
        result ^= np.where(sums >> np.uint32(bit) & 1, matrix[bit], np.uint32(0))
    return result


def _push_zeros(sums: np.ndarray, count: int) -> np.ndarray:
    """Return CRCs after a number of zero bytes."""
    for power in range(count.bit_length()):
        if count >> power & 1:
            sums = _apply(_zeros_matrix(power), sums)
    return sums


def _masked(crc: int) -> bytes:
    """Return a CRC as TFRecord stores it: rotated and shifted, so that it is no CRC of itself."""
    return struct.pack("<I", ((crc >> 15 | crc << 17) + CRC_MASK) & 0xFFFFFFFF)


def _varint(number: int) -> bytes:
    """Encode a number as protocol buffers do: seven bits a byte, lowest first."""
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    result.append(number)
    return bytes(result)


def _field(tag: bytes, content: bytes) -> bytes:
    """Encode a length-delimited field."""
    return tag + _varint(len(content)) + content


def _value(value: str | float) -> bytes:
    """Encode a ``tf.train.Feature`` of one text or one float."""
    if isinstance(value, str):
        return _field(FIRST, _field(FIRST, value.encode()))
    return _field(SECOND, _field(FIRST, struct.pack("<f", value)))


def _step_prefix(width: int | None) -> bytes:
    """Return the bytes that stand before the content of each step of a feature list."""
    if width is None:  # an Int64List with one packed number of one byte
        return b"\x0a\x05\x1a\x03\x0a\x01"
    value = FIRST + _varint(width)
    feature = FIRST + _varint(len(value) + width) + value
    return FIRST + _varint(len(feature) + width) + feature


def write_record(file: BinaryIO, pieces: Iterable[bytes | np.ndarray], length: int) -> None:
    """Append a record that comes in pieces of ``length`` bytes together to an open file."""
    header = struct.pack("<Q", length)
    file.write(header + _masked(crc32c(header)))
    crc = 0
    for piece in pieces:
        crc = crc32c(piece, crc)
        length -= len(piece)
        file.write(piece)
    if length:
        raise ValueError(f"the record differs by {length} bytes from its announced length.")
    file.write(_masked(crc))


def write_sequence_example(
    file: BinaryIO, context: Mapping[str, str | float], lists: Mapping[str, Steps]
) -> None:
    """Append a ``tf.train.SequenceExample`` to an open TFRecord file.

    Parameters
    ----------
    file : binary file
        Open for writing.
    context : mapping
        Texts and numbers (stored as float32).
    lists : mapping
        The feature lists. They are written one after the other, block by block.
    """
    features = b"".join(
        _field(FIRST, _field(FIRST, name.encode()) + _field(SECOND, _value(value)))
        for name, value in context.items()
    )
    start = _field(FIRST, features)
    heads, sizes = [], []
    for name, steps in lists.items():
        body = steps.count * (len(_step_prefix(steps.width)) + (steps.width or 1))
        key = _field(FIRST, name.encode()) + SECOND + _varint(body)
        heads.append(FIRST + _varint(len(key) + body) + key)
        sizes.append(len(heads[-1]) + body)
    start += SECOND + _varint(sum(sizes))

    def pieces() -> Iterator[bytes | np.ndarray]:
        yield start
        for head, steps in zip(heads, lists.values(), strict=True):
            yield head
            prefix = np.frombuffer(_step_prefix(steps.width), np.uint8)
            for block in steps.blocks:
                content = block.astype(np.uint8).reshape(len(block), steps.width or 1)
                yield np.hstack([np.tile(prefix, (len(block), 1)), content]).reshape(-1)

    write_record(file, pieces(), len(start) + sum(sizes))


def record_offsets(path: str | os.PathLike) -> list[tuple[int, int]]:
    """Return where the data of each record begins, and how many bytes it has.

    Raises
    ------
    RecordError
        If the file ends within a record, or a length is damaged.
    """
    path = Path(path)
    size = path.stat().st_size
    offsets = []
    position = 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(HEADER_BYTES)
            where = f"{path}, record {len(offsets) + 1}:"
            if len(header) < HEADER_BYTES:
                raise RecordError(f"{where} the file ends within it, at byte {size}.")
            if header[8:] != _masked(crc32c(header[:8])):
                raise RecordError(f"{where} its length is damaged, or this is no TFRecord file.")
            (length,) = struct.unpack("<Q", header[:8])
            offsets.append((position + HEADER_BYTES, length))
            position += HEADER_BYTES + length + FOOTER_BYTES
            if position > size:
                raise RecordError(f"{where} the file ends within it, at byte {size} of {position}.")
    return offsets


def read_record(path: str | os.PathLike, number: int, offset: int, length: int) -> np.ndarray:
    """Map a record into memory and verify its checksum.

    Parameters
    ----------
    path : str or PathLike
        The file.
    number : int
        What to call the record in an error, counted from 1.
    offset, length : int
        As :func:`record_offsets` returns them.

    Returns
    -------
    np.ndarray [shape=(length,), dtype=uint8]
        Read-only.
    """
    # a map, so that the pages of a record that is longer than memory can be dropped again
    data = np.memmap(path, np.uint8, "r", offset, length + FOOTER_BYTES)
    crc = 0
    for start in range(0, length, 1 << 24):
        crc = crc32c(data[start : min(start + (1 << 24), length)], crc)
    if bytes(data[length:]) != _masked(crc):
        raise RecordError(f"{path}, record {number}: its checksum is wrong, the file is damaged.")
    return data[:length]


def parse_sequence_example(
    data: np.ndarray,
) -> tuple[dict[str, str | float], dict[str, np.ndarray]]:
    """Take a SequenceExample apart.

    Parameters
    ----------
    data : np.ndarray [shape=(n,), dtype=uint8]
        The record.

    Returns
    -------
    context : dict
        Texts and floats.
    lists : dict
        Views into ``data``: uint8 [shape=(steps, width)] for bytes, and [shape=(steps,)] for
        integers from 0 to 127.

    Raises
    ------
    ValueError
        If the record is no SequenceExample, or not one of this kind.
    """
    context: dict[str, str | float] = {}
    lists: dict[str, np.ndarray] = {}
    for tag, part in _fields(data):
        for _, entry in _fields(part):
            (_, key), (_, value) = _fields(entry)
            name = bytes(key).decode()
            if tag == 1:
                ((kind, content),) = _fields(value)
                ((_, content),) = _fields(content)
                context[name] = content.view("<f4").item() if kind == 2 else bytes(content).decode()
            else:
                lists[name] = _steps(value)
    return context, lists


def _steps(body: np.ndarray) -> np.ndarray:
    """Return a feature list as an array with the stride of its first step."""
    if not len(body):
        return np.empty((0, 0), np.uint8)
    (_, feature) = next(_fields(body))
    ((kind, values),) = _fields(feature)
    ((_, content),) = _fields(values)
    if kind not in (1, 3) or (kind == 3 and len(content) != 1):
        raise ValueError("a step is neither bytes nor a small integer")
    prefix = _step_prefix(len(content) if kind == 1 else None)
    rows = body.reshape(-1, len(prefix) + len(content))
    if not (rows[:, : len(prefix)] == np.frombuffer(prefix, np.uint8)).all():
        raise ValueError("the steps differ in length")
    steps = rows[:, len(prefix) :]
    return steps if kind == 1 else steps[:, 0]


def _fields(data: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the length-delimited fields of a protocol buffer: number and content."""
    position = 0
    while position < len(data):
        tag = int(data[position])
        length, position = _read_varint(data, position + 1)
        if tag & 7 != 2 or position + length > len(data):
            raise ValueError("this is no SequenceExample")
        yield tag >> 3, data[position : position + length]
        position += length


def _read_varint(data: np.ndarray, position: int) -> tuple[int, int]:
    """Decode a number; return it and the position after it."""
    number = shift = 0
    while True:
        if position >= len(data):
            raise ValueError("this is no SequenceExample")
        byte = int(data[position])
        position += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, position
