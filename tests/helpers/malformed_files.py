"""Malformed files other than recordings: records, archives, weights."""

from __future__ import annotations

import json
import os
import tarfile

import numpy as np
from archives import make_deb, make_gresource, make_package, make_zip
from malformed_recordings import FINE, NOISE, Case

# -- records: make(folder of good records) damages it; the split TRN is read


def edited(**changes):
    def make(path):
        dataset = json.loads((path / "dataset.json").read_text())
        dataset.update(changes)
        (path / "dataset.json").write_text(json.dumps(dataset))

    return make


def split_bytes(change):
    """Change the bytes of TRN, and its size in dataset.json with them."""

    def make(path):
        file = path / "TRN.tfrecord"
        file.write_bytes(change(file.read_bytes()))
        dataset = json.loads((path / "dataset.json").read_text())
        dataset["splits"]["TRN"]["bytes"] = file.stat().st_size
        (path / "dataset.json").write_text(json.dumps(dataset))

    return make


def flip(data, place):
    """Change a bit."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def anothers(path):
    """Put another's TFRecord file in the place of ours."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path / "TRN.tfrecord")) as writer:
        for _ in range(3):
            writer.write(b"\x0a\x02hi")
    split_bytes(lambda data: data)(path)


RECORD_FILES = [
    Case(
        "records: cut",
        split_bytes(lambda d: d[:-50]),
        "TRN.tfrecord, record 3: it is damaged or cut",
    ),
    Case("records: a byte changed", split_bytes(lambda d: flip(d, 999)), "record 1: it is damaged"),
    Case("records: a length changed", split_bytes(lambda d: flip(d, 2)), "record 1: it is damaged"),
    Case(
        "records: a text file", split_bytes(lambda d: b"hello, world!"), "record 1: it is damaged"
    ),
    Case("records: one is missing", split_bytes(lambda d: b""), "holds no recording"),
    Case("records: another's", anothers, "record 1: it is not one"),
    Case("records: of other size", lambda p: (p / "TRN.tfrecord").write_bytes(b"x"), "1 bytes"),
    Case("records: other hop", edited(hop_seconds=0.96), "hop_seconds is 0.12, not 0.96"),
    Case("records: other classes", edited(classes=["a", "b"]), "classes"),
    Case("records: dataset.json cut", lambda p: (p / "dataset.json").write_text("{"), "damaged"),
    Case("records: no dataset.json", lambda p: (p / "dataset.json").unlink(), "does not exist"),
    Case("records: a split is missing", lambda p: (p / "TRN.tfrecord").unlink(), "does not exist"),
]

# -- archives: make(path) writes a package, which is unpacked with a limit of a megabyte


def deb(*entries, suffix=".xz"):
    return lambda path: make_deb(path, list(entries), suffix)


def content(data):
    return lambda path: path.write_bytes(data)


def cut_deb(path):
    whole = make_deb(path, [("./a.ogg", NOISE)]).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


OUTSIDE = "does not stay inside"
ARCHIVES = [
    Case("tar: ../ path", deb(("../../up.ogg", b"x")), OUTSIDE),
    Case("tar: absolute path", deb(("/tmp/up.ogg", b"x")), OUTSIDE),
    Case("tar: ../ in the middle", deb(("a/../../up.ogg", b"x")), OUTSIDE),
    Case("tar: drive letter", deb(("C:up.ogg", b"x")), OUTSIDE),
    Case("tar: link out of the folder", deb(("out", tarfile.SYMTYPE, "/etc/passwd")), FINE),
    Case("zip in a package: ../ path", deb(("a.pk3", make_zip([("../up.ogg", b"x")]))), OUTSIDE),
    Case(
        "bundle in a package: ../ path",
        deb(("a.gresource", make_gresource([("/../up.ogg", b"x")]))),
        OUTSIDE,
    ),
    Case(
        "bundle bomb",
        deb(("a.gresource", make_gresource([("/a.ogg", bytes(2 << 20))], ["/a.ogg"]))),
        "more than|limit",
    ),
    Case("bundle: cut", deb(("a.gresource", make_gresource([("/a.ogg", NOISE)])[:99])), "damaged"),
    Case("gzip bomb", deb(("a.ogg", bytes(2 << 20)), suffix=".gz"), "more than|limit"),
    Case("xz bomb", deb(("a.ogg", bytes(2 << 20))), "more than|limit"),
    Case("zip bomb", deb(("a.pk3", make_zip([("a.ogg", bytes(2 << 20))]))), "more than|limit"),
    Case("package: cut", cut_deb, "before byte|damaged|ends"),
    Case("package: noise", content(NOISE), "not a Debian package"),
    Case("package: web page", content(b"<html>404</html>"), "not a Debian package"),
    Case("package: zst", content(make_package(("data.tar.zst", b"x"))), "data.tar.xz should be"),
    Case("package: no data", content(make_package()), "missing required part"),
    Case("package: damaged xz", content(make_package(("data.tar.xz", NOISE))), "damaged"),
]

# -- weights: make(path) writes what --weights or load_mini is given


def npz(**arrays):
    def make(path):
        with path.open("wb") as file:
            np.savez(file, **arrays)

    return make


def pickled(path):
    """A file that would run a program if it were unpickled."""

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(path) + ".run",)

    with path.open("wb") as file:
        np.savez(file, allow_pickle=True, **{"conv1/kernel": np.array([Bomb()], dtype=object)})


MINI = [
    Case("mini: empty file", content(b""), "mini"),
    Case("mini: noise", content(NOISE), "mini"),
    Case("mini: zip of something else", content(make_zip([("a.txt", b"x")])), "mini"),
    Case("mini: weights of another shape", npz(**{"conv1/kernel": np.zeros(3)}), "mini"),
    Case("mini: pickled objects", pickled, "mini"),
]
CHECKPOINTS = [
    Case("checkpoint: empty file", content(b""), "checkpoint"),
    Case("checkpoint: noise", content(NOISE), "checkpoint"),
    Case("checkpoint: text", content(b"weights\n"), "checkpoint"),
    Case("checkpoint: missing", lambda path: None, "does not exist"),
    Case("checkpoint: a folder", lambda path: path.mkdir(), "checkpoint"),
]
