"""What the repository promises about itself: notebooks, environment, lock, imports."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
# the course's own; others are the reader's
OWN = (
    r"01-data-\S+splitting|03-training-(00-keras_2mlp_clsw0|9\d-\w+)|04-testing-and-application"
    r"|05-your-own-problem"
)
NOTEBOOKS = sorted(path for path in ROOT.glob("*.ipynb") if re.fullmatch(OWN, path.stem))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_executed_in_order_and_small(path):
    assert path.stat().st_size < 1.5e6
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [c for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip()]
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    assert not [o for c in code for o in c["outputs"] if o["output_type"] == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_name_no_place_on_a_machine(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = "".join("".join(c["source"]) for c in cells)
    outputs = json.dumps([c.get("outputs") for c in cells])
    for place in ("/home/", "/root/", "/tmp/", "/Users/", "C:\\\\", str(ROOT)):
        assert place not in sources
        assert place not in outputs


def test_environment_yml_leaves_the_versions_to_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"][0] == "conda-forge"
    python, pip, by_pip = environment["dependencies"]
    assert re.fullmatch(r"python=3\.1[1-3]", python)
    assert pip == "pip"
    assert by_pip == {"pip": ["-r requirements.txt"]}


def test_every_locked_version_has_hashes_and_no_address():
    lock = (ROOT / "requirements.txt").read_text()
    assert "://" not in lock
    assert not re.search(r"--(extra-)?index-url|--find-links", lock)
    blocks = re.split(r"\n(?=[a-z0-9])", lock)
    pinned = [block for block in blocks if re.match(r"[a-z0-9._-]+(\[.*\])?==", block)]
    assert len(pinned) > 5
    assert all("--hash=sha256:" in block for block in pinned)


def test_every_requirement_says_what_it_is_for():
    lines = (ROOT / "requirements.in").read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line.strip() and not line.startswith("#"):
            assert "#" in line or before.startswith(("#", "tensorflow")), line


def test_every_requirement_is_locked():
    wanted = re.findall(r"^[a-z][\w-]*", (ROOT / "requirements.in").read_text(), re.M)
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.M)
    assert {name.replace("_", "-") for name in wanted} <= set(locked)


# a module may import what is of its own folder, and what is listed here for that
BELOW = {
    "vggish": set(),
    "feat_ext": {"vggish"},
    "audioseg": {"vggish", "feat_ext"},
    "audioseg.corpus": {"vggish", "feat_ext", "audioseg"},
    "audioseg.features": {"vggish", "feat_ext", "audioseg"},
    "audioseg.show": {
        "audioseg.audio", "audioseg.labels", "audioseg.errors", "audioseg.files"
    },
    "audioseg.show.app": {
        "vggish", "feat_ext", "audioseg", "audioseg.show", "audioseg.segmentation"
    },
    "audioseg.training": {"vggish", "audioseg", "audioseg.show"},
    "audioseg.segmentation": {
        "vggish", "feat_ext", "audioseg", "audioseg.features", "audioseg.training",
        "audioseg.show",
    },
    "audioseg.correction": {  # goes through all of them
        "audioseg", "audioseg.corpus", "audioseg.features", "audioseg.training",
        "audioseg.segmentation",
    },
}  # fmt: skip
OURS = [ROOT / "feat_ext.py", *ROOT.glob("vggish/**/*.py"), *ROOT.glob("audioseg/**/*.py")]


def imported_by(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place_of(dotted):
    """Return which of the folders in BELOW a module is in, or None for a library."""
    while dotted not in BELOW:
        dotted, dot, _ = dotted.rpartition(".")
        if not dot:
            return None
    return dotted


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path):
    if path.name == "__main__.py":  # it puts the commands together
        return
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    here = place_of(module)
    for name in imported_by(path):
        there = place_of(name)
        modules = BELOW[here] - BELOW.keys()  # single ones, of a folder that is not listed
        allowed = there in {None, here, *BELOW[here]} or name.startswith(tuple(modules))
        assert allowed, f"{module} imports {name}"


def test_the_package_names_everything_at_its_top():
    there = {path.stem for path in ROOT.glob("audioseg/*.py") if not path.stem.startswith("__")}
    there |= {path.parent.name for path in ROOT.glob("audioseg/*/__init__.py")}
    text = (ROOT / "audioseg" / "__init__.py").read_text(encoding="utf-8")
    assert set(re.findall(r"^- ``(\w+)``", text, re.M)) == there


def test_at_the_top_stands_the_course_and_nothing_else():
    assert sorted(path.name for path in ROOT.glob("*.py")) == [
        "02-feature-extraction-vggish_embedding.py",
        "feat_ext.py",
    ]


def test_make_names_its_commands():
    done = subprocess.run(
        ["make", "help", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for command in ("tutorial", "test", "lab", "vggish", "image", "lock", "clean"):
        assert f"make {command}" in done.stdout


def python_of(path):
    """Return the code of a notebook, or of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


OTHERS = [*ROOT.glob("0*.ipynb"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py")]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.name)
def test_what_is_imported_of_the_project_is_there(path):
    for node in ast.walk(ast.parse(python_of(path))):
        if isinstance(node, ast.ImportFrom) and place_of(node.module or "") and not node.level:
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
