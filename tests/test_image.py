"""The image and the lists of files kept by hand, in the Dockerfile and the Makefile.

Docker is not needed.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SCRIPT_02 = "02-feature-extraction-vggish_embedding.py"
OPTIONAL = {"cluster.py"}  # for `02 --scheduler` only
# how things are done, not what comes out
NOTHING_STALE = {"errors.py", "files.py", "processes.py", "audio.py", "corpus_own.py"}


def imported_by(start):
    """Return the files of the project that a file needs, and those need, and so on."""
    found, waiting = set(), [start]
    while waiting:
        file = waiting.pop()
        if file in found or file in OPTIONAL:
            continue
        found.add(file)
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            files = [f"{name.replace('.', '/')}.py" for name in names]
            waiting += [file for file in files if (ROOT / file).exists()]
    return found


def program(command):
    """Return the file that a command line of python runs."""
    module = re.match(r"-m ([\w.]+)", command)
    return f"{module[1].replace('.', '/')}.py" if module else command.split()[0]


def test_each_step_of_the_image_has_what_it_imports():
    there, steps = set(), 0
    for line in DOCKERFILE.replace("\\\n", " ").splitlines():
        if line.startswith("COPY "):
            *sources, _ = [word for word in line.split()[1:] if not word.startswith("--")]
            for source in sources:
                paths = [ROOT / source] if source != "." else [ROOT]
                paths = paths if "*" not in source else ROOT.glob(source)
                for path in paths:
                    files = path.glob("*.py") if path.is_dir() else [path]
                    there |= {file.relative_to(ROOT).as_posix() for file in files}
        for command in re.findall(r"\bpython (\S.*?)(?= *(?:;|&|\||$))", line):
            if line.startswith("RUN"):
                steps += 1
                assert imported_by(program(command)) <= there, line
    assert steps == 4


def test_make_knows_what_the_corpus_and_the_features_are_made_by():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, start in (("CORPUS_CODE", "corpus.py"), ("FEATURE_CODE", SCRIPT_02)):
        listed = set(re.search(rf"^{name} := (.*)", makefile, re.M)[1].split())
        needed = {file for file in imported_by(start) if "/" not in file} - {SCRIPT_02}
        assert needed - NOTHING_STALE <= listed


def test_a_python_that_the_lock_is_not_for_is_told():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    code = re.search(r'^\t@\$\(PYTHON\) -c "(import sys; .*)"', makefile, re.M)[1]
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    for version in ("(3, 10)", "(3, 14)"):
        other = code.replace("sys.version_info[:2]", version)
        done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True)
        assert done.returncode == 1
        assert re.fullmatch(r"error: .*: call make with PYTHON=python3\.13\.\n", done.stderr)


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
