"""A run gets a recording wrong, a person corrects what it is least sure of, and it trains again."""

import json
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from own_recordings import recording, run_notebook

from audioseg.__main__ import main
from audioseg.correction import retraining
from audioseg.features.dataset import load_split
from audioseg.label_formats import read_track
from audioseg.labels import read_label_track, write_label_track

ROOT = Path(__file__).resolve().parent.parent
NAME = "03-training-10-mine"
KINDS = ["owl", "frog", "tit"]


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "field").mkdir()
    for number in range(4):
        recording(tmp_path / "field", f"r{number}", [*KINDS, "", *KINDS[::-1]], KINDS, number)
    rows = "r0,a,TRN\nr1,b,VAL\nr2,c,TST\nr3,a,TRN\n"
    (tmp_path / "field/groups.csv").write_text(f"recording,group,split\n{rows}")
    assert main(["corpus", "--own", "field", "--name", "mine", "--workers", "1"]) == 0
    assert main(["extract", "--corpus", "data/mine", "--weights", "mini"]) == 0
    notebook = nbformat.read(ROOT / "03-training-92-keras_2mlp_context.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("data/on-hold", "data/mine")
        cell.source = cell.source.replace('"03-training-92-keras_2mlp_context"', f'"{NAME}"')
    nbformat.write(notebook, f"{NAME}.ipynb")
    shutil.copy(ROOT / "03-training-00-keras_2mlp_clsw0.ipynb", tmp_path)
    run_notebook(NAME, monkeypatch, EPOCHS=2)
    monkeypatch.delenv("JPY_SESSION_NAME")
    return tmp_path


def test_correcting_and_training_again(trained, capsys):
    new = trained / "new"
    new.mkdir()
    recording(new, "n1", ["frog", "owl", "tit", "tit", "owl"], KINDS, 11)
    truth = read_track(new / "n1.TextGrid")
    (new / "n1.TextGrid").unlink()
    assert main(["segment", "new", "--run", NAME, "--review", "0.2", "--format", "textgrid"]) == 0
    assert "correct first: 2 stretches, 0.2 min" in capsys.readouterr().out
    reviewed = read_label_track("segmented/n1.review.txt")
    assert sum(s.end - s.start for s in reviewed) == pytest.approx(12)
    write_label_track("segmented/n1.txt", truth)  # one of the four forms is corrected
    before = Path("data/mine/recordings.csv").read_text()
    adopt = ["adopt", "segmented", "--recordings", "new", "--corpus", "data/mine"]
    assert main([*adopt, "--run", NAME]) == 0
    said = capsys.readouterr().out
    assert "adopted into TRN of data/mine: n1" in said
    assert "this run: 1 recordings" in said  # the others' embeddings are there
    table = [line for line in said.splitlines() if line.startswith(("accuracy", "macro"))]
    assert len(table) == 2 and all(len(line.split()) >= 3 for line in table)
    rows = pd.read_csv("data/mine/recordings.csv").set_index("recording")
    assert rows.split.to_dict() == {"n1": "TRN", "r0": "TRN", "r1": "VAL", "r2": "TST", "r3": "TRN"}
    assert all(line in Path("data/mine/recordings.csv").read_text() for line in before.splitlines())
    # what was not reviewed is of no class
    frames = load_split("data/mine/embeddings", "TRN", keep_ignored=True)
    mine = frames.label[frames.recording == frames.names.index("n1")]
    assert 0.25 < (mine == -1).mean() < 0.45
    assert json.loads(Path("runs", NAME, "test.json").read_text())["tst_accuracy"] > 0.3
    assert Path("runs/.before", NAME, "metrics.json").exists()


def test_tst_is_heard_as_often_as_the_run_hears(trained):
    config = Path("runs", NAME, "config.json")
    said, found = json.loads(config.read_text()), []
    for hearings in (1, 2):
        config.write_text(json.dumps(said | {"hearings": hearings}))
        found.append(retraining.on_tst(config.parent, Path("data/mine"))["tst_accuracy"])
    assert found[0] != found[1]  # of tones, which are others when they are played faster


def test_what_cannot_be_adopted_is_said(trained, capsys):
    adopt = ["adopt", "field", "--corpus", "data/mine"]
    capsys.readouterr()
    assert main(["adopt", "field", "--corpus", "data/on-hold"]) == 1
    assert "is not a corpus of your own" in capsys.readouterr().err
    assert main([*adopt, "--run", "03-training-77"]) == 2
    assert "03-training-77.ipynb is not in this folder" in capsys.readouterr().err
    assert main(adopt) == 1  # r1 and r2 are of VAL and TST
    said = capsys.readouterr()
    assert said.err.count("on which runs are compared") == 2
    assert "adopted into TRN of data/mine: r0, r3" in said.out
    assert main(["segment", "field/r0.wav", "--run", NAME, "--review", "0"]) == 2


def test_only_the_embedding_of_the_corpus_is_taken(trained, capsys):
    new = trained / "new"
    new.mkdir()
    recording(new, "n1", ["frog", "owl", "tit", "tit", "owl"], KINDS, 11)
    about = Path("data/mine/embeddings/dataset.json")
    dataset = json.loads(about.read_text())
    right, dataset["weights"] = dataset["weights_sha256"], "my-checkpoint"
    before = Path("data/mine/recordings.csv").read_text()
    adopt = ["adopt", "new", "--corpus", "data/mine"]
    for sha256, more, says in (
        (right, [], "a checkpoint of your own: name its file with --weights"),
        ("0" * 64, ["--weights", "mini"], f"but mini is {right[:12]}"),
    ):
        about.write_text(json.dumps(dataset | {"weights_sha256": sha256}))
        capsys.readouterr()
        assert main([*adopt, *more]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and says in said and said.count("\n") == 1
        assert Path("data/mine/recordings.csv").read_text() == before
        assert not Path("data/mine/TRN/n1.flac").exists()
    about.write_text(json.dumps(dataset))
    assert main([*adopt, "--weights", "mini"]) == 0
    assert "n1" in load_split("data/mine/embeddings", "TRN").names


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_retraining_that_ends_early_leaves_the_earlier_run(tmp_path, monkeypatch, error):
    monkeypatch.chdir(tmp_path)
    scores = {"smoothing": "viterbi"} | {f"tst_{key}": 0.5 for key in retraining.SHOWN}
    monkeypatch.setattr(retraining, "on_tst", lambda place, corpus: scores)
    place = Path("runs", NAME)
    place.mkdir(parents=True)
    (place / "metrics.json").write_text("the earlier run")

    def half(*arguments, **options):
        (place / "metrics.json").write_text("half")
        (place / "more").touch()
        raise error

    monkeypatch.setattr("papermill.execute_notebook", half)
    for _ in range(2):  # nor does trying again keep half a run
        with pytest.raises(error):
            list(retraining.train_again(Path(f"{NAME}.ipynb"), Path("data/mine")))
        for folder in (place, Path("runs/.before", NAME)):
            assert [path.name for path in folder.iterdir()] == ["metrics.json"]
            assert (folder / "metrics.json").read_text() == "the earlier run"
