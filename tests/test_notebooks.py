"""The notebooks 03 and 04, run on a made-up corpus in a folder of its own."""

import ast
import json
import os
import re
import runpy
import shutil
from pathlib import Path

import keras
import matplotlib
import nbformat
import pytest
import synthetic
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from audioseg import labels
from audioseg.errors import CourseError
from audioseg.training import runs
from audioseg.training.notebook import unchanged
from vggish.embedding import load_embedding

ROOT = Path(__file__).resolve().parent.parent
BASE = "03-training-00-keras_2mlp_clsw0"
TESTING = "04-testing-and-application"
OWN = "05-your-own-problem"
ANSWERS = sorted(path.stem for path in ROOT.glob("03-training-9?-*.ipynb"))
ANSWERS = [name for name in ANSWERS if "-Copy" not in name]  # a reader's
COURSE = [BASE, *ANSWERS, TESTING]


def read(name, folder=ROOT):
    return nbformat.read(folder / f"{name}.ipynb", as_version=4)


def execute(folder, name):
    """Run a notebook as it stands in a folder, in a kernel of its own."""
    notebook = read(name, folder)
    environment = dict(os.environ, JPY_SESSION_NAME=f"{name}.ipynb")
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment)
    return notebook


def copy(folder, name, changes, original=BASE):
    """Copy a notebook as a reader does, and change some of its text."""
    notebook = read(original, folder)
    for cell in notebook.cells:
        for old, new in changes.items():
            cell.source = cell.source.replace(old, new)
    nbformat.write(notebook, folder / f"{name}.ipynb")


def metrics_of(folder, name):
    return json.loads((folder / "runs" / name / "metrics.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    sha256 = load_embedding("mini").sha256
    synthetic.make_corpus(folder / "data" / "on-hold", weights_sha256=sha256)
    for name in COURSE:
        shutil.copy(ROOT / f"{name}.ipynb", folder)
    return folder


@pytest.fixture(scope="module")
def base_run(project):
    return execute(project, BASE), metrics_of(project, BASE)


# -- as they stand in the repository


@pytest.mark.parametrize("name", [*COURSE, OWN])
def test_committed_notebooks_are_whole_and_small(name):
    notebook = read(name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].id == "check"
    assert [c.id for c in code if "parameters" in c.metadata.get("tags", [])] == ["parameters"]
    assert (ROOT / f"{name}.ipynb").stat().st_size < 1_500_000
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    if name not in (TESTING, OWN):
        assert f'NAME = "{name}"' in code[1].source


def test_base_does_not_give_its_cause_away():
    text = "\n".join(cell.source for cell in read(BASE).cells).lower()
    hint = (
        r"127|255|uint8|8.bit|\bbits?\b|scal(e|ing)|normali|standardi|whiten|dead|dying|rang(e|ing)"
    )
    assert not re.search(hint, text)


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_differ_little_from_base(name):
    lines = runs.difference(ROOT / f"{BASE}.ipynb", ROOT / f"{name}.ipynb").splitlines()
    changed = [line for line in lines if line[:1] in "+-" and line[1:].strip()]
    assert f'+NAME = "{name}"' in changed
    assert 2 < len(changed) <= 60


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_marked_as_the_same_is_the_same(name):
    marked = runpy.run_path(str(ROOT / "docs" / "mark_unchanged.py"))["marked"]
    same = unchanged(ROOT / f"{BASE}.ipynb", ROOT / f"{name}.ipynb")
    assert len(same) > 5
    for cell in read(name).cells:
        expected = marked(cell, cell.id in same)
        assert cell.metadata.get("tags") == expected.get("tags"), "run docs/mark_unchanged.py"
        assert cell.metadata.get("jupyter") == expected.get("jupyter"), "run docs/mark_unchanged.py"


# -- run


def test_base_is_stuck_at_guessing(project, base_run):
    _, metrics = base_run
    assert metrics["val_accuracy"] == pytest.approx(metrics["val_majority_share"], abs=0.01)
    assert {"name", "weights", "seed", "val_macro_f1", "seconds"} <= metrics.keys()
    kept = {file.name for file in (project / "runs" / BASE).iterdir()}
    assert kept >= {
        "model.weights.h5",
        "config.json",
        "history.csv",
        "metrics.json",
        "confusion.png",
    }


def test_a_copy_with_one_value_changed_is_kept_beside_the_base(project, base_run):
    before = metrics_of(project, BASE)
    name = "03-training-01-more_units"
    copy(project, name, {BASE: name, "HIDDEN_UNITS = 64": "HIDDEN_UNITS = 96"})
    execute(project, name)
    assert metrics_of(project, name)["network_parameters"] > before["network_parameters"]
    assert metrics_of(project, BASE) == before


def test_a_copy_with_the_old_name_is_refused(project, base_run):
    before = (project / "runs" / BASE / "metrics.json").stat().st_mtime_ns
    name = f"{BASE}-Copy1"
    shutil.copy(project / f"{BASE}.ipynb", project / f"{name}.ipynb")
    try:
        with pytest.raises(CellExecutionError, match=f'write NAME = "{name}" into the parameters'):
            execute(project, name)
    finally:
        (project / f"{name}.ipynb").unlink()
    assert (project / "runs" / BASE / "metrics.json").stat().st_mtime_ns == before
    assert not (project / "runs" / name).exists()


def run_here(folder, name, monkeypatch, **parameters):
    """Run a notebook's code in this process: no kernel to start, no TensorFlow to load again."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("JPY_SESSION_NAME", f"{name}.ipynb")
    matplotlib.use("Agg")
    names = {}
    for cell in read(name, folder).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{name}, cell {cell.id}", "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= parameters
    matplotlib.pyplot.close("all")
    return names


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_run(project, base_run, name, monkeypatch, capsys):
    epochs = 2 if "90" in name else 1
    run_here(project, name, monkeypatch, EPOCHS=epochs)
    keras.utils.clear_session()
    if "leak" in name:  # it compares, and is no candidate
        assert not (project / "runs" / name).exists()
        return
    metrics = metrics_of(project, name)
    assert metrics["name"] == name
    assert metrics["epochs"] == epochs


def test_testing_tests_every_run_and_labels_a_recording(project, base_run, monkeypatch):
    better = "03-training-02-solved"
    fixed = 'activation="relu")(inputs / 255)'
    copy(project, better, {BASE: better, 'activation="relu")(inputs)': fixed})
    run_here(project, better, monkeypatch)
    assert metrics_of(project, better)["val_accuracy"] > 0.9
    elsewhere = project / "runs" / "03-training-03-elsewhere"
    shutil.copytree(project / "runs" / BASE, elsewhere)
    metrics = json.loads((elsewhere / "metrics.json").read_text())
    (elsewhere / "metrics.json").write_text(json.dumps(metrics | {"corpus": "another"}))
    notebook = execute(project, TESTING)
    assert not (elsewhere / "test.json").exists()
    shutil.rmtree(elsewhere)
    said = "\n".join(
        str(out.get("data", {}).get("text/markdown", ""))
        for c in notebook.cells
        if "outputs" in c
        for out in c.outputs
    )
    assert "Chosen on VAL" in said
    (singing,) = (c.outputs[0].data["text/plain"] for c in notebook.cells if c.id == "singing")
    rows = [line.rsplit(maxsplit=3) for line in singing.split("\n")[1:]]
    minutes = {part: float(found) for part, found, _, _ in rows}
    for split in ("VAL", "TST"):
        assert 0 < minutes[f"{split} without singing"] < minutes[split]
    accuracy = {part: float(found) for part, _, found, _ in rows}
    test = json.loads((project / "runs" / better / "test.json").read_text())
    assert accuracy["TST"] == pytest.approx(test["tst_accuracy"], abs=1e-3)
    for name in (BASE, better):
        test = json.loads((project / "runs" / name / "test.json").read_text())
        assert {
            "tst_accuracy",
            "tst_macro_f1",
            "tst_event_f1_0.5s",
            "tst_event_f1_1.0s",
        } <= test.keys()
    (track,) = (project / "segmented").glob("*.txt")
    assert labels.read_label_track(track)[0].start == 0.0
    assert {path.suffix for path in (project / "segmented").iterdir()} == {".txt", ".csv", ".rttm"}


@pytest.mark.parametrize("name", [BASE, TESTING, OWN])
def test_without_data_one_sentence_says_what_to_run(name, tmp_path, monkeypatch):
    shutil.copy(ROOT / f"{name}.ipynb", tmp_path)
    with pytest.raises(CourseError, match="make tutorial"):
        run_here(tmp_path, name, monkeypatch)


def test_the_solutions_measured_build_networks(monkeypatch):
    monkeypatch.chdir(ROOT)
    measured = runpy.run_path("benchmarks/exercises.py")
    count = len(labels.COURSE.names)
    for title, (name, changes) in measured["VARIANTS"].items():
        source = measured["changed"](name, changes)
        compile(source, title, "exec")
        parts = ast.parse(source, title).body
        # the parameters, and the function that builds a network; nothing that needs data
        parts = [
            part
            for part in parts
            if (isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant))
            or (isinstance(part, ast.FunctionDef) and part.name == "build_model")
        ]
        names = {"keras": keras, "classes": labels.COURSE, "count": count}
        exec(compile(ast.Module(parts, []), title, "exec"), names)
        network = names["build_model"]()
        assert network.output_shape[-1] == count, title
