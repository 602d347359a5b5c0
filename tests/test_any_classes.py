"""Classes that are none of the course's, from a folder of recordings to a TextGrid again."""

import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from own_recordings import SECONDS, recording, run_notebook

from audioseg.__main__ import main
from audioseg.features.dataset import load_split, read_dataset
from audioseg.label_formats import read_track
from audioseg.labels import CLASSES, read_classes

ROOT = Path(__file__).resolve().parent.parent
NAME = "03-training-10-mine"


@pytest.mark.parametrize("count", [3, 20])
def test_from_own_recordings_to_a_textgrid(count, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "field"
    folder.mkdir()
    kinds = ["owl", "great tit", "Frosch"] + [f"kind {i:02}" for i in range(count - 3)]
    forms = [".TextGrid", ".eaf", ".csv", ".txt"]
    per = 4 if count == 3 else 10
    for number in range(6):
        suffix = forms[number % 4]
        rng = np.random.default_rng(number)
        labels = [str(label) for label in rng.permutation(kinds * 4)[:per]] + ["", "hum"]
        if number < 4:  # all of them in TRN and VAL
            labels = [*kinds, "", "hum"]
        recording(folder, f"tape {number}", labels, kinds, number, suffix)
    splits = ["TRN", "VAL", "TST", "TRN", "TRN", "TST"]
    rows = [f"tape {i},site {i},{split}" for i, split in enumerate(splits)]
    (folder / "groups.csv").write_text("recording,group,split\n" + "\n".join(rows) + "\n")
    own = ["corpus", "--own", "field", "--name", "mine", "--background", "quiet"]
    assert main([*own, "--ignore", "hum", "--workers", "1"]) == 0
    classes = read_classes("data/mine")
    assert classes.names == (*sorted(kinds), "quiet")
    assert classes.ignore == ("hum", "?")
    assert main(["extract", "--corpus", "data/mine", "--weights", "mini"]) == 0
    dataset = read_dataset("data/mine/embeddings")
    assert (tuple(dataset["classes"]), dataset["background"]) == (classes.names, "quiet")
    trn = load_split("data/mine/embeddings", "TRN")
    kept = load_split("data/mine/embeddings", "TRN", keep_ignored=True)
    assert trn.label.min() == 0 and kept.label.min() == -1
    assert (
        len(trn.label)
        == (kept.label >= 0).sum()
        == sum(dataset["splits"]["TRN"]["counts"].values())
    )
    val, whole = (load_split("data/mine/embeddings", "VAL", keep_ignored=k) for k in (False, True))
    known = whole.label >= 0
    assert val.faster_embedding.tolist() == whole.faster_embedding[known].tolist()
    assert not known.all()
    # a copy of a notebook, with its name and the folder of the records changed
    source = nbformat.read(ROOT / "03-training-92-keras_2mlp_context.ipynb", as_version=4)
    for cell in source.cells:
        cell.source = cell.source.replace("data/on-hold", "data/mine")
        cell.source = cell.source.replace(
            'NAME = "03-training-92-keras_2mlp_context"', f'NAME = "{NAME}"'
        )
    nbformat.write(source, f"{NAME}.ipynb")
    shutil.copy(ROOT / "03-training-00-keras_2mlp_clsw0.ipynb", tmp_path)
    run_notebook(NAME, monkeypatch, EPOCHS=3)
    for file in ("config.json", "metrics.json"):
        said = json.loads(Path("runs", NAME, file).read_text())
        assert tuple(said["classes"]) == classes.names
    testing = nbformat.read(ROOT / "04-testing-and-application.ipynb", as_version=4)
    for cell in testing.cells:
        cell.source = cell.source.replace("data/on-hold", "data/mine")
    nbformat.write(testing, "04-mine.ipynb")
    names = run_notebook("04-mine", monkeypatch)
    assert len(names["result"].f1) == count + 1
    assert names["result"].confusion.sum() == (names["tst"].label >= 0).sum()
    capsys.readouterr()
    argv = ["segment", "field/tape 2.wav", "--run", NAME, "--html"]
    argv += ["--format", "textgrid", "eaf"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    track = read_track("segmented/tape 2.TextGrid", classes=classes.names)
    assert track[0].start == 0 and track[-1].end == pytest.approx(SECONDS, abs=0.01)
    assert not {s.label for s in track} & {*CLASSES}
    page = Path("segmented/tape 2.html").read_text("utf-8")
    assert all(name in page for name in classes.names)
    blank = any(" " in s.label for s in track)
    assert blank == ("RTTM holds no blanks" in said)
    assert read_track("segmented/tape 2.eaf")[0].label == track[0].label


def test_slips_of_the_pen_and_lacking_classes_are_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "field"
    folder.mkdir()
    labels = [["speech", "speech", "dog"], ["speach", "speech", "dog"], ["speech", "Dog", "dog"]]
    for number, three in enumerate(labels):
        recording(folder, f"r{number}", three, ["speech", "dog"], number, ".txt")
    assert main(["corpus", "--own", "field", "--name", "mine", "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "classes: dog, speach, speech, noise; without a label: noise" in said
    assert "note: the label 'speach' (1 segment, as in r1) looks like 'speech'" in said
    assert "note: the label 'Dog' (1 segment, as in r2) is read as 'dog'." in said
    assert said.count("holds no speach") == 2
    own = ["corpus", "--own", "field", "--name", "mine", "--workers", "1"]
    assert main([*own, "--classes", "dog", "speech"]) == 1
    said = capsys.readouterr().err
    assert (
        "r1.txt, line 1: the label 'speach' is none of dog, speech, noise; is 'speech' meant?"
        in said
    )


def test_one_class_or_twenty_one_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "field").mkdir()
    kinds = [f"kind {i}" for i in range(21)]
    for number in range(3):
        recording(tmp_path / "field", f"r{number}", kinds, kinds, number)
    own = ["corpus", "--own", "field", "--name", "mine", "--workers", "1"]
    assert main(own) == 1
    assert "there are 21 besides 'noise', but 1 to 20 are possible" in capsys.readouterr().err
    assert main([*own, "--classes", "noise"]) == 1
    assert not (tmp_path / "data/mine/corpus.json").exists()
