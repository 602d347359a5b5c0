"""Whole files or none, and downloads from a loopback server that misbehaves."""

import errno
import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from audioseg import files
from audioseg.files import BusyError, DownloadError, download, only_run, replacing, sha256_of

BODY = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    """Serve BODY on loopback; ``behaviour`` says how badly, ``asked`` what was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Range"))
            behaviour = plan.pop(0) if plan else "whole"
            if behaviour == "missing":
                self.send_error(404)
                return
            if behaviour == "overloaded":
                self.send_error(503)
                return
            start = 0
            if behaviour != "no ranges" and self.headers.get("Range"):
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(BODY):
                self.send_error(416)
                return
            body = BODY[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if behaviour == "cut":
                self.wfile.write(body[: len(body) // 2])
                return  # the connection closes early
            self.wfile.write(b"?" + body[1:] if behaviour == "garbled" else body)

        def log_message(self, *_):
            pass

    plan, asked = [], []
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    httpd.url = f"http://127.0.0.1:{httpd.server_port}/file.bin"
    httpd.plan, httpd.asked = plan, asked
    yield httpd
    httpd.shutdown()
    httpd.server_close()


def test_replacing_puts_whole_files_in_place(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as aside:
        aside.write_text("one")
        assert not path.exists()
        assert aside.suffix == ".txt"
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_download_fetches_and_verifies(server, tmp_path):
    path = download(server.url, tmp_path / "f.bin", sha256=SHA256, size=len(BODY))
    assert path.read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["f.bin"]
    download(server.url, path, sha256=SHA256)
    assert len(server.asked) == 1, "a verified file was fetched again"


def test_download_resumes_a_cut_connection(server, tmp_path, monkeypatch):
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    server.plan += ["cut", "cut"]
    path = download(server.url, tmp_path / "f.bin", sha256=SHA256, size=len(BODY))
    assert path.read_bytes() == BODY
    assert server.asked == [None, f"bytes={len(BODY) // 2}-", f"bytes={len(BODY) * 3 // 4}-"]


def test_download_resumes_what_an_earlier_run_left(server, tmp_path):
    (tmp_path / "f.bin.part").write_bytes(BODY[:1000])
    path = download(server.url, tmp_path / "f.bin", sha256=SHA256)
    assert path.read_bytes() == BODY
    assert server.asked == ["bytes=1000-"]


def test_download_starts_over_where_the_server_has_no_ranges(server, tmp_path):
    (tmp_path / "f.bin.part").write_bytes(BODY[:1000])
    server.plan += ["no ranges"]
    assert download(server.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == BODY


def test_download_takes_a_complete_part_file_without_asking(server, tmp_path):
    (tmp_path / "f.bin.part").write_bytes(BODY)
    download(server.url, tmp_path / "f.bin", sha256=SHA256, size=len(BODY))
    assert server.asked == []


def test_download_tries_again_when_the_server_is_overloaded(server, tmp_path, monkeypatch):
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    server.plan += ["overloaded", "overloaded"]
    assert download(server.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == BODY


@pytest.mark.parametrize(
    ("behaviour", "says"), [("garbled", "was expected"), ("missing", "answered 404")]
)
def test_a_wrong_file_never_stands_under_the_final_name(server, tmp_path, behaviour, says):
    server.plan += [behaviour]
    with pytest.raises(DownloadError, match=says) as error:
        download(server.url, tmp_path / "f.bin", sha256=SHA256, size=len(BODY))
    assert SHA256 in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_announced_are_not_written(server, tmp_path):
    with pytest.raises(DownloadError):
        download(server.url, tmp_path / "f.bin", sha256=SHA256, size=300_000)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_blamed_on_the_network(server, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "tqdm", full)  # made just before the file is opened
    with pytest.raises(OSError, match="No space left"):
        download(server.url, tmp_path / "f.bin", sha256=SHA256)
    assert len(server.asked) == 1


@pytest.mark.skipif(os.name == "nt", reason="has no umask")
def test_threads_that_write_leave_the_umask_alone(tmp_path, monkeypatch):
    umask = os.umask

    def slow(mask):
        before = umask(mask)
        time.sleep(0.002)  # time enough for another thread
        return before

    def write(number):
        with replacing(tmp_path / str(number)) as aside:
            aside.write_text("x")

    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", slow)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(32)))
        assert umask(0o027) == 0o027
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
    finally:
        umask(before)


def test_no_server_is_one_sentence(tmp_path):
    with pytest.raises(DownloadError, match="could not be fetched") as error:
        download("http://127.0.0.1:9/x", tmp_path / "f.bin", sha256=SHA256)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_sha256_of(tmp_path):
    (tmp_path / "a").write_bytes(BODY)
    assert sha256_of(tmp_path / "a") == SHA256


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path):
    with only_run(tmp_path / "new"):
        with pytest.raises(BusyError, match=r"another run is at work on .*new: wait"):
            with only_run(tmp_path / "new"):
                pass
    with only_run(tmp_path / "new"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="has other locks")
def test_a_file_system_without_locks_is_no_other_run(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with only_run(tmp_path):
        pass
