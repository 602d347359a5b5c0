import json

import pytest

from audioseg.__main__ import main
from audioseg.training import board, runs

ROWS = [
    {
        "name": "03-a",
        "weights": "mini",
        "val_accuracy": 0.95,
        "val_macro_f1": 0.9,
        "val_majority_share": 0.687,
        "val_minutes": 30.8,
        "corpus": "a1b2c3d4",
        "seconds": 12.3,
        "seed": 0,
    },
    {
        "name": "03-longer-name",
        "weights": "audioset",
        "val_accuracy": 0.687,
        "val_macro_f1": 0.204,
        "val_majority_share": 0.687,
        "corpus": "a1b2c3d4",
        "seconds": 4.0,
        "seed": 0,
    },
]
TEST = {"tst_accuracy": 0.93, "tst_macro_f1": 0.85, "tst_event_f1_0.5s": 0.5}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for row in reversed(ROWS):
        place = tmp_path / "runs" / row["name"]
        place.mkdir(parents=True)
        (place / "metrics.json").write_text(json.dumps(row))
    runs.write_test(tmp_path / "runs" / "03-a", TEST)
    return tmp_path


def test_table_has_a_line_a_run_and_columns_that_stand_below_each_other():
    lines = board.text_table([ROWS[0] | TEST, ROWS[1]]).splitlines()
    assert [line.split()[0] for line in lines] == ["run", "03-a", "03-longer-name"]
    assert lines[1].split()[1:] == "mini 0.950 0.900 - - 0.930 0.850 0.500 - 12 s".split()
    assert lines[2].split()[1:] == "audioset 0.687 0.204 - - - - - - 4 s".split()
    assert lines[1].index("0.950") == lines[2].index("0.687")


def test_board_prints_the_table_and_where_to_look(folder, capsys):
    assert main(["board"]) == 0
    said = capsys.readouterr().out
    assert "best on VAL a1b2c3 of 30.8 min, by the mean of smoothed and of 1 s: 03-a;\n" in said
    assert "\nguessing: 0.687, goal: 0.8" in said
    assert "runs/board.png" in said
    assert (folder / "runs" / "board.png").stat().st_size > 5000
    assert [row["name"] for row in runs.table()] == ["03-a", "03-longer-name"]


def test_corpora_are_kept_apart(folder, capsys):
    """Scores on other recordings do not compare: a table, a guess and axes for each corpus."""
    other = ROWS[0] | {"name": "03-tapes", "corpus": "b" * 64, "val_majority_share": 0.5}
    (folder / "runs" / "03-tapes").mkdir()
    (folder / "runs" / "03-tapes" / "metrics.json").write_text(json.dumps(other))
    assert main(["board"]) == 0
    first, second, _ = capsys.readouterr().out.split("goal: 0.8\n")
    assert "03-tapes" not in first
    assert "guessing: 0.687" in first
    assert [line.split()[0] for line in second.split("\n") if line] == [
        "run",
        "03-tapes",
        "best",
        "guessing:",
    ]
    assert "guessing: 0.500" in second
    figure = board.chart(runs.table())
    ticks = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes]
    assert ticks == [["03-a", "03-longer-name"], ["03-tapes"]]


def test_a_run_that_fails_on_tst_stays_in_the_chart():
    figure = board.chart([ROWS[0] | TEST | {"tst_accuracy": 0.3}])
    assert figure.axes[0].get_xlim()[0] < 0.3


def test_without_runs_one_sentence_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["board"]) == 1
    expected = (
        "error: runs holds no run yet: run one of the 03 notebooks first (a command looks for "
        "runs/ in the folder that it is called from).\n"
    )
    assert capsys.readouterr().err == expected


def test_a_damaged_run_is_named(folder, capsys):
    (folder / "runs" / "03-a" / "metrics.json").write_text("{")
    assert main(["board"]) == 1
    assert "03-a/metrics.json cannot be read" in capsys.readouterr().err.replace("\\", "/")


def test_runs_stand_beside_each_other_in_the_order_asked_for(folder):
    figure = board.beside("03-longer-name", "03-not-yet", "03-a")
    accuracy, macro_f1 = figure.axes
    assert [text.get_text() for text in accuracy.get_yticklabels()] == ["03-longer-name", "03-a"]
    assert [bar.get_width() for bar in accuracy.patches] == [0.687, 0.95]
    assert [bar.get_width() for bar in macro_f1.patches] == [0.204, 0.9]
    assert figure.get_supxlabel() == "not run yet: 03-not-yet"
