"""Bundles of files as GNOME's programs carry them, made on the spot."""

import contextlib
import shutil
import struct
import subprocess

import pytest
from archives import files_below, make_deb, make_gresource
from hypothesis import given
from hypothesis import strategies as st

from audioseg.corpus.gresource import files_in
from audioseg.corpus.packages import ArchiveError, unpack_deb

FILES = {
    "/org/rain.ogg": bytes(range(256)) * 9,
    "/org/deep/wind.ogg": b"w" * 5_000,
    "/org/deep/none.ogg": b"",
    "/org/notes.txt": b"text",
}


def contents(bundle):
    return {path: (size, read()) for path, size, read in files_in(bundle)}


@pytest.mark.parametrize("compressed", [(), ("/org/rain.ogg", "/org/deep/wind.ogg")])
def test_files_have_their_paths_and_contents(compressed):
    bundle = make_gresource(FILES.items(), compressed)
    assert contents(bundle) == {path: (len(data), data) for path, data in FILES.items()}


@pytest.mark.skipif(not shutil.which("glib-compile-resources"), reason="GLib is the oracle")
@pytest.mark.parametrize("option", ["", ' compressed="true"'])
def test_glib_writes_what_is_read(tmp_path, option):
    (tmp_path / "a").mkdir()
    for name in ("rain.ogg", "a/wind.ogg"):
        (tmp_path / name).write_bytes(name.encode() * 999)
    (tmp_path / "all.xml").write_text(
        f"<gresources><gresource prefix='/org/x'><file{option}>rain.ogg</file>"
        f"<file{option}>a/wind.ogg</file></gresource></gresources>"
    )
    subprocess.run(["glib-compile-resources", "all.xml", "--target=out"], cwd=tmp_path, check=True)
    read = {
        path: content for path, (_, content) in contents((tmp_path / "out").read_bytes()).items()
    }
    names = ("rain.ogg", "a/wind.ogg")
    assert read == {f"/org/x/{name}": name.encode() * 999 for name in names}


def test_the_wanted_files_of_a_package_are_unpacked_and_the_bundle_is_not_kept(tmp_path):
    deb = make_deb(tmp_path / "p.deb", [("./usr/all.gresource", make_gresource(FILES.items()))])
    out = unpack_deb(deb, tmp_path / "out", lambda name: name.endswith((".ogg", ".gresource")))
    assert files_below(out) == {
        f"usr/all.gresource{path}": data for path, data in FILES.items() if path.endswith(".ogg")
    }


@given(st.data())
def test_a_damaged_bundle_is_read_or_refused(data):
    bundle = bytearray(make_gresource(FILES.items(), ["/org/rain.ogg"]))
    for _ in range(data.draw(st.integers(1, 4))):
        bundle[data.draw(st.integers(0, len(bundle) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(bundle)))
    with contextlib.suppress(ValueError):
        assert all(len(content) == size for size, content in contents(bytes(bundle[:cut])).values())


@pytest.mark.parametrize("size", [0, 100, 4_999, 5_001, 2**32 - 1])
def test_a_file_that_is_longer_or_shorter_than_it_says_is_refused(size):
    said = struct.pack("<II", 5_000, 1)
    bundle = make_gresource([("/wind.ogg", b"w" * 5_000)], ["/wind.ogg"])
    assert bundle.count(said) == 1
    [(_, _, read)] = files_in(bundle.replace(said, struct.pack("<II", size, 1)))
    with pytest.raises(ValueError, match="damaged"):
        read()


@pytest.mark.parametrize("key", [b"/wind.ogg", b""])
def test_an_item_that_is_its_own_parent_is_refused(key):
    bundle = make_gresource([("/wind.ogg", b"w")])
    root = struct.pack("<I", 0xFFFF_FFFF)
    bundle = bundle.replace(root, bytes(4)).replace(
        struct.pack("<H", 9) + b"v", struct.pack("<H", len(key)) + b"v"
    )
    with pytest.raises(ValueError, match="damaged"):
        list(files_in(bundle))


def test_a_package_with_a_damaged_bundle_is_named(tmp_path):
    for number, bundle in enumerate([b"", b"GVariant", make_gresource(FILES.items())[:200]]):
        deb = make_deb(tmp_path / f"{number}.deb", [("./a.gresource", bundle)])
        with pytest.raises(ArchiveError, match=rf"{number}\.deb is damaged"):
            unpack_deb(deb, tmp_path / "out")
