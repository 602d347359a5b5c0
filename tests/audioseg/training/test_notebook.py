import json

import pytest

from audioseg.training import notebook
from audioseg.training.fields import RunError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def write(path, name, source="", identity="build"):
    cells = [
        {
            "cell_type": "code",
            "id": "parameters",
            "metadata": {"tags": ["parameters"]},
            "source": [f'NAME = "{name}"\n', "SEED = 0"],
        },
        {"cell_type": "code", "id": identity, "metadata": {}, "source": source},
    ]
    path.write_text(json.dumps({"cells": cells}))


def test_a_notebook_gets_its_own_folder(folder, monkeypatch):
    write(folder / "03-a.ipynb", "03-a")
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "03-a.ipynb"))
    assert notebook.claim("03-a").as_posix() == "runs/03-a"
    assert not (folder / "runs").exists()


def test_a_copy_with_the_old_name_is_told(folder, monkeypatch):
    for stem in ("03-a", "03-a-Copy1"):
        write(folder / f"{stem}.ipynb", "03-a")
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/03-a-Copy1.ipynb")
    with pytest.raises(RunError, match='write NAME = "03-a-Copy1" into'):
        notebook.claim("03-a")


def test_a_copy_is_told_without_jupyters_help(folder):
    for stem in ("03-a", "03-a-Copy1"):
        write(folder / f"{stem}.ipynb", "03-a")
    with pytest.raises(RunError, match=r"03-a-Copy1\.ipynb carries NAME = '03-a'"):
        notebook.claim("03-a")
    write(folder / "03-a-Copy1.ipynb", "03-a-Copy1")
    assert notebook.claim("03-a").name == "03-a"


def test_a_name_that_was_renamed_away_is_not_believed(folder, monkeypatch):
    write(folder / "03-b.ipynb", "03-b")
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "03-a-Copy1.ipynb"))
    assert notebook.claim("03-b").name == "03-b"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a\\b", "what?", "a:b"])
def test_names_that_are_no_folder_are_refused(folder, name):
    with pytest.raises(RunError, match="cannot be a folder's name"):
        notebook.claim(name)


def test_what_is_not_a_run_of_this_notebook_is_not_replaced(folder):
    (folder / "runs" / "03-a").mkdir(parents=True)
    (folder / "runs" / "03-a" / "config.json").write_text('{"notebook": "other.ipynb"}')
    with pytest.raises(RunError, match=r"not a run of 03-a\.ipynb"):
        notebook.claim("03-a")


def test_the_difference_is_that_of_common_cells(folder):
    write(folder / "a.ipynb", "a", "x = 1\ny = 2")
    write(folder / "b.ipynb", "b", "x = 1\ny = 3")
    text = notebook.difference("a.ipynb", "b.ipynb")
    assert '-NAME = "a"\n+NAME = "b"' in text
    assert "-y = 2\n+y = 3" in text
    write(folder / "b.ipynb", "a", "z = 1", identity="new")
    assert "1 new code cell, 1 left out" in notebook.difference("a.ipynb", "b.ipynb")
    with pytest.raises(RunError, match="cannot be read as a notebook"):
        notebook.difference("a.ipynb", "c.ipynb")


def test_cells_are_compared_one_by_one(folder):
    def save(name, **cells):
        content = [
            {"cell_type": "code", "id": key, "metadata": {}, "source": source}
            for key, source in cells.items()
        ]
        text = {"cell_type": "markdown", "id": "text", "metadata": {}, "source": "# same"}
        (folder / name).write_text(json.dumps({"cells": [text, *content]}))

    save("a.ipynb", first="1", check="2", last="3")
    save("b.ipynb", check="2", more="4", last="5")
    compared = notebook.compared("a.ipynb", "b.ipynb")
    assert list(compared.items()) == [
        ("first", "left out"),
        ("check", "same"),
        ("more", "new"),
        ("last", "changed"),
    ]
    assert notebook.unchanged("a.ipynb", "b.ipynb") == {"text", "check"}
