"""Debian packages and archives, made on the spot."""

import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib

COMPRESS = {".xz": lzma.compress, ".gz": gzip.compress, "": bytes}


def make_ar(members):
    parts = [b"!<arch>\n"]
    for name, data in members:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n"
        parts += [header.encode(), data, b"\n" * (len(data) % 2)]
    return b"".join(parts)


def make_tar(entries):
    """Build a tar of (name, bytes), or (name, type, link name) for what is not a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, *what in entries:
            info = tarfile.TarInfo(name)
            if isinstance(what[0], bytes) and len(what) == 1:
                info.size = len(what[0])
                archive.addfile(info, io.BytesIO(what[0]))
            else:
                info.type, info.linkname = what
                archive.addfile(info)
    return buffer.getvalue()


def make_zip(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


def make_gresource(files, compressed=()):
    """Build a bundle as GLib's compiler of resources does: a tree of keys, the last a file's."""
    keys, values, items, index = b"", b"", [], {}
    for path, content in files:
        parent = 0xFFFF_FFFF
        for part in re.findall(r"/?[^/]+/?", path):
            name = part.encode()
            if (parent, name) not in index:
                index[parent, name] = len(items)
                items.append([parent, len(keys), len(name), b"L", 0, 0])
                keys += name
            parent = index[parent, name]
        stored = zlib.compress(content) if path in compressed else content + b"\0"
        value = struct.pack("<II", len(content), path in compressed) + stored + b"\0(uuay)"
        items[parent][3:] = b"v", len(values), len(values) + len(value)
        values += value + bytes(-len(value) % 8)
    bloom, buckets = 3, 2
    first = 24 + 8 + 4 * (bloom + buckets)
    end = first + 24 * len(items)
    packed = b"".join(
        struct.pack(
            "<IIIHcxII", 7, parent, end + at, length, kind, end + len(keys) + start,
            end + len(keys) + stop,
        )
        for parent, at, length, kind, start, stop in items
    )  # fmt: skip
    head = struct.pack("<8sIIII", b"GVariant", 0, 0, 24, end)
    table = struct.pack("<II", bloom | 5 << 27, buckets) + bytes(4 * (bloom + buckets))
    return head + table + packed + keys + values


def make_deb(path, entries, suffix=".xz"):
    tar = COMPRESS[suffix](make_tar(entries))
    path.write_bytes(make_package((f"data.tar{suffix}", tar)))
    return path


def make_package(*data):
    """Build a package around its data, which may be none."""
    return make_ar([("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), *data])


def files_below(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
