"""Debian packages and archives, made on the spot."""

import gzip
import io
import lzma
import tarfile
import zipfile

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
