"""Whole files or none."""

import errno
import os

import pytest

from audioseg.files import BusyError, only_run, replacing


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


@pytest.mark.skipif(os.name == "nt", reason="has no umask")
def test_files_may_be_read_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a.txt") as aside:
            aside.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path):
    with only_run(tmp_path / "new"):
        with pytest.raises(BusyError, match=r"another run is writing to .*new: wait"):
            with only_run(tmp_path / "new"):
                pass
    with only_run(tmp_path / "new"):
        pass


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS])
@pytest.mark.skipif(os.name == "nt", reason="has other locks")
def test_a_file_system_without_locks_is_no_other_run(tmp_path, monkeypatch, error):
    def no_locks(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with only_run(tmp_path):
        pass
