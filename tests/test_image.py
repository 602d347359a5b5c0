"""The image and the lists of files kept by hand, in the Dockerfile and the Makefile.

Docker is not needed.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def program(folder, name, text):
    """Write a shell script that stands in for a program."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


UNFIT = """case "$1" in --version) echo Python 3.14.1;; *) exit 1;; esac"""


@pytest.fixture
def setup(tmp_path):
    """Return what calls ``make setup`` where nothing but stand-ins is on the path."""
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()

    def call():
        path = {"PATH": str(tmp_path / "bin")}
        command = [shutil.which("make"), "setup"]
        done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True)
        assert done.returncode
        return done.stderr

    return call


@pytest.mark.skipif(os.name == "nt", reason="stand-ins are shell scripts")
def test_a_python_that_the_lock_is_not_for_is_told(setup, tmp_path):
    program(tmp_path / "bin", "python3", UNFIT)
    assert setup().startswith(
        "error: python3 is Python 3.14.1, but the locked libraries are for Python 3.11 to 3.13: "
    )


@pytest.mark.skipif(os.name == "nt", reason="stand-ins are shell scripts")
@pytest.mark.parametrize("name", ["python3.13", "python3.12", "python3.11", "uv"])
def test_another_python_is_taken_before_that(setup, tmp_path, name):
    program(tmp_path / "bin", "python3", UNFIT)
    program(
        tmp_path / "bin", name, f"""case "$*" in *venv*.venv) echo "$*" > {tmp_path}/asked; esac"""
    )
    setup()
    asked = (tmp_path / "asked").read_text().split()
    assert asked[-1] == ".venv"
    assert asked[:1] == (["venv"] if name == "uv" else ["-m"])


@pytest.fixture
def container(tmp_path):
    """Lay out what the image holds, and return what starts it there."""
    course = tmp_path / "course"
    for file in ("03.ipynb", "vggish/mini.py", "data/sources.csv", "data/on-hold/plan.json"):
        (course / file).parent.mkdir(parents=True, exist_ok=True)
        (course / file).write_text("as it comes")
    (tmp_path / "work").mkdir()
    script = tmp_path / "start.sh"
    text = (ROOT / "docker-entrypoint.sh").read_text(encoding="utf-8")
    script.write_text(text.replace("/home/learner", str(tmp_path)))

    def start(*command):
        return subprocess.run(["sh", script, *command], capture_output=True, text=True)

    return start, tmp_path / "work"


@pytest.mark.skipif(os.name == "nt", reason="a script of the container's")
def test_work_survives_the_container(container):
    start, work = container
    assert start("pwd").stdout.strip() == str(work)
    for file in ("03.ipynb", "vggish/mini.py", "data/sources.csv", "data/on-hold/plan.json"):
        assert (work / file).read_text() == "as it comes"
    assert (work / "data" / "on-hold").is_symlink()
    # in the mounted folder itself, not in the container
    assert (work / "data").resolve() == (work / "data").absolute()
    (work / "data" / "tapes").mkdir()
    (work / "03.ipynb").write_text("mine")
    done = start("true")
    assert (done.returncode, done.stderr) == (0, "")
    assert (work / "03.ipynb").read_text() == "mine"
    assert (work / "data" / "tapes").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="who is root may write anywhere")
def test_a_folder_that_is_not_writable_is_named(container):
    start, work = container
    work.chmod(0o555)
    done = start("true")
    work.chmod(0o755)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {work} is not writable for user")


def test_what_the_image_does_not_need_stays_out_of_it():
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    made = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    kinds = {name.removeprefix("**/") for name in left_out}  # wherever they are
    assert {name.strip("/") for name in made} <= {name.strip("/") for name in left_out} | kinds


def test_scripts_of_the_image_keep_their_line_ends_on_windows():
    assert "*.sh text eol=lf" in (ROOT / ".gitattributes").read_text(encoding="utf-8")
