import functools
import hashlib
import http.server
import lzma
import tarfile
import threading

import pytest
from archives import (
    COMPRESS,
    files_below,
    make_deb,
    make_gresource,
    make_package,
    make_tar,
    make_zip,
)
from hypothesis import given
from hypothesis import strategies as st

from audioseg.corpus.packages import (
    ArchiveError,
    fetch_deb,
    find_mirrors,
    pool_path,
    unpack_deb,
)
from vggish.download import DownloadError

# -- mirrors


def apt(folder, **files):
    (folder / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        place = folder if name == "sources_list" else folder / "sources.list.d"
        (place / name.replace("_", ".")).write_text(text)
    return folder


def test_one_line_sources(tmp_path):
    text = """
    # deb http://commented.example/debian bookworm main
    deb-src http://source.example/debian bookworm main
    deb [arch=amd64 signed-by=/a b] http://one.example/debian/ bookworm main contrib  # why
    deb cdrom:[Debian]/ bookworm main
    deb http://one.example/security bookworm-security main
    deb https://tools.example/apt tools-bookworm main
    """
    folder = apt(tmp_path / "apt", sources_list="\n".join(map(str.strip, text.splitlines())))
    assert find_mirrors({}, folder) == ["http://one.example/debian"]


def test_deb822_sources(tmp_path):
    text = (
        "Types: deb deb-src\n# http://old.example\nURIs: http://a.example/debian\n"
        " http://b.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
        "Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n"
        "Enabled: no\n\n"
        "Types: deb\nURIs: http://s.example/debian-security\nSuites: bookworm-security\n"
        "Components: main\n\n"
        "Types: deb\nURIs: file:/srv/debian\nSuites: stable\nComponents: main\n"
    )
    folder = apt(tmp_path / "apt", debian_sources=text, readme_txt="deb http://no.example sid main")
    assert find_mirrors({}, folder) == ["http://a.example/debian", "http://b.example/debian"]


def test_the_environment_comes_first(tmp_path):
    folder = apt(tmp_path / "apt", sources_list="deb http://one.example/debian bookworm main\n")
    named = {"DEBIAN_MIRROR": " https://mine.example/debian/ "}
    assert find_mirrors(named, folder) == ["https://mine.example/debian"]
    assert find_mirrors({"DEBIAN_MIRROR": ""}, folder) == ["http://one.example/debian"]


def test_no_mirror_is_one_sentence(tmp_path):
    with pytest.raises(DownloadError, match="DEBIAN_MIRROR") as caught:
        find_mirrors({}, tmp_path / "nothing")
    assert "\n" not in str(caught.value)
    with pytest.raises(DownloadError, match=r"'mine\.example'"):
        find_mirrors({"DEBIAN_MIRROR": "mine.example"}, tmp_path)


@pytest.mark.parametrize(
    ("package", "version", "source", "expected"),
    [
        ("a-b", "1:2.0+x-1", "src", "pool/main/s/src/a-b_2.0+x-1_all.deb"),
        ("b", "1-1", "libb", "pool/main/libb/libb/b_1-1_all.deb"),
    ],
)
def test_pool_path(package, version, source, expected):
    assert pool_path(package, version, source) == expected


@pytest.fixture
def mirror(tmp_path):
    """Serve a folder on loopback; yields the folder and its address."""
    root = tmp_path / "mirror"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_fetching_tries_the_next_mirror_and_verifies(mirror, tmp_path):
    root, address = mirror
    deb = root / "debian" / pool_path("p-a", "1:2+b~c-1", "p")
    deb.parent.mkdir(parents=True)
    make_deb(deb, [("./x.ogg", b"sound")])
    pins = {"sha256": hashlib.sha256(deb.read_bytes()).hexdigest(), "size": deb.stat().st_size}
    fetch = functools.partial(fetch_deb, "p-a", "1:2+b~c-1", "p", tmp_path / "raw")
    mirrors = [f"{address}/empty", f"{address}/debian"]
    path = fetch(**pins, mirrors=mirrors)
    assert path.name == "p-a_2+b~c-1_all.deb" and path.read_bytes() == deb.read_bytes()
    path.unlink()
    with pytest.raises(DownloadError, match=r"404.*, or name another mirror in DEBIAN_MIRROR\.$"):
        fetch(**pins, mirrors=mirrors[:1])
    with pytest.raises(DownloadError, match="sha256"):
        fetch(**(pins | {"sha256": "0" * 64}), mirrors=mirrors[1:])
    assert not any((tmp_path / "raw").iterdir())


# -- unpacking


@given(st.data())
def test_a_changed_byte_never_leads_elsewhere(data):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deb = make_deb(folder / "p.deb", [("./a/x.ogg", b"abc" * 50)], ".gz")
        content = bytearray(deb.read_bytes())
        index = data.draw(st.integers(0, len(content) - 1))
        content[index] ^= data.draw(st.integers(1, 255))
        deb.write_bytes(content)
        try:
            unpack_deb(deb, folder / "out")
        except ArchiveError as error:
            assert str(deb) in str(error)
        assert {path.name for path in folder.iterdir()} <= {"p.deb", "out"}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_unpacks(tmp_path, suffix):
    large = bytes(range(256)) * 5_000
    entries = [
        ("./usr/share/doc/p/copyright", b"free"),
        ("./usr/a b's/x.ogg", large),
        ("./usr/skipped.png", b"no"),
    ]
    deb = make_deb(tmp_path / "p.deb", entries, suffix)
    out = unpack_deb(deb, tmp_path / "out", lambda name: not name.endswith(".png"))
    assert files_below(out) == {"usr/share/doc/p/copyright": b"free", "usr/a b's/x.ogg": large}
    deb.unlink()
    assert unpack_deb(deb, tmp_path / "out") == out  # complete: not opened again


def test_unpacks_archives_inside(tmp_path):
    inner = make_zip([("sound/", b""), ("sound/a.ogg", b"one"), ("sound/b.txt", b"two")])
    deb = make_deb(tmp_path / "p.deb", [("./base/0snd.pk3", inner)])
    out = unpack_deb(deb, tmp_path / "out", lambda name: name.endswith((".ogg", ".pk3")))
    assert files_below(out) == {"base/0snd.pk3/sound/a.ogg": b"one"}


BAD_NAMES = ["../up.ogg", "a/../../up.ogg", "/tmp/up.ogg", "C:up.ogg", "a\\..\\up.ogg", "a\nb.ogg"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("inside", [False, True])
def test_paths_that_leave_the_folder_are_refused(tmp_path, name, inside):
    entries = [("ok.ogg", b"fine"), (name, b"evil")]
    if inside:
        entries = [("x.zip", make_zip(entries))]
    home = tmp_path / "home"
    home.mkdir()
    deb = make_deb(home / "p.deb", entries)
    with pytest.raises(ArchiveError, match="does not stay inside"):
        unpack_deb(deb, home / "out")
    assert files_below(tmp_path).keys() == {"home/p.deb"}


@pytest.mark.parametrize(
    "entries",
    [
        [("a.ogg", b"file"), ("a.ogg/b.ogg", b"in it")],
        [("x" * 300 + ".ogg", b"long")],
        [("x.gresource", make_gresource([("/a", b"file"), ("/a/b", b"in it")]))],
        [("x.gresource", make_gresource([("/" + "x" * 300, b"long")]))],
    ],
)
def test_what_no_file_system_takes_is_refused(tmp_path, entries):
    deb = make_deb(tmp_path / "p.deb", entries)
    with pytest.raises(ArchiveError, match=r"twice|too long"):
        unpack_deb(deb, tmp_path / "out")
    assert files_below(tmp_path).keys() == {"p.deb"}


def test_links_and_devices_are_not_made(tmp_path):
    entries = [
        ("./link", tarfile.SYMTYPE, "/etc"),
        ("./hard", tarfile.LNKTYPE, "../../secret"),
        ("./pipe", tarfile.FIFOTYPE, ""),
        ("./link/x.ogg", b"sound"),
    ]
    out = unpack_deb(make_deb(tmp_path / "p.deb", entries), tmp_path / "out")
    assert files_below(out) == {"link/x.ogg": b"sound"}
    assert not any(path.is_symlink() for path in out.rglob("*"))


@pytest.mark.parametrize("suffix", [".xz", ".gz"])
def test_bombs_are_refused(tmp_path, suffix):
    deb = make_deb(tmp_path / "p.deb", [("./zeros.wav", bytes(1_000_000))], suffix)
    assert deb.stat().st_size < 5_000
    with pytest.raises(ArchiveError, match="more than 500000 bytes"):
        unpack_deb(deb, tmp_path / "out", limit=500_000)
    assert files_below(tmp_path).keys() == {"p.deb"}


def test_a_zip_bomb_is_refused(tmp_path):
    inner = make_zip([(f"{i}.wav", bytes(300_000)) for i in range(4)])
    deb = make_deb(tmp_path / "p.deb", [("./b.zip", inner)])
    with pytest.raises(ArchiveError, match="beyond the limit"):
        unpack_deb(deb, tmp_path / "out", limit=1_000_000)
    assert files_below(tmp_path).keys() == {"p.deb"}


def test_archives_share_one_limit(tmp_path):
    bomb = make_zip([("a.ogg", bytes(600_000))])
    deb = make_deb(tmp_path / "a.deb", [("a.pk3", bomb), ("b.pk3", bomb)])
    unpack_deb(deb, tmp_path / "fits", limit=1_300_000)
    with pytest.raises(ArchiveError, match="beyond the limit"):
        unpack_deb(deb, tmp_path / "out", limit=1_000_000)
    assert not (tmp_path / "out").exists()


def test_damage_is_named(tmp_path):
    entries = [("./x.ogg", bytes(range(256)) * 400)]
    whole = make_deb(tmp_path / "p.deb", entries).read_bytes()
    tar = lzma.compress(make_tar(entries))
    damaged = {
        "empty": b"",
        "text": b"<html>404</html>",
        "cut in the header": whole[:100],
        "cut in the data": whole[:-200],
        "cut stream": make_package(("data.tar.xz", tar[:-300])),
        "no stream": make_package(("data.tar.xz", b"rubbish" * 9)),
        "no data": make_package(),
        "twice": make_package(*[("data.tar.xz", tar)] * 2),
        "other compression": make_package(("data.tar.zst", b"(\xb5/\xfd")),
        "the same file twice": make_package(("data.tar.xz", lzma.compress(make_tar(entries * 2)))),
        "bad zip": make_package(("data.tar", make_tar([("./x.zip", b"PK\3\4 no")]))),
    }
    for name, content in damaged.items():
        deb = tmp_path / "p.deb"
        deb.write_bytes(content)
        with pytest.raises(ArchiveError, match=r"p\.deb") as caught:
            unpack_deb(deb, tmp_path / "out")
        assert "\n" not in str(caught.value), name
        assert files_below(tmp_path).keys() == {"p.deb"}, name


def test_cut_anywhere_nothing_half_remains(tmp_path):
    whole = make_deb(tmp_path / "p.deb", [("./x.ogg", b"abcdef" * 90)], ".gz").read_bytes()
    for length in range(0, len(whole) - 3, 7):
        (tmp_path / "p.deb").write_bytes(whole[:length])
        with pytest.raises(ArchiveError):
            unpack_deb(tmp_path / "p.deb", tmp_path / "out")
        assert files_below(tmp_path).keys() == {"p.deb"}
