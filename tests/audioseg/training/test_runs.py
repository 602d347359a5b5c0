import json

import keras
import numpy as np
import pytest
from rounding import sums
from stored_runs import TRN, VAL, built, saved

from audioseg.labels import CLASSES
from audioseg.training import context, runs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def notebook(path, name, source="", identity="build"):
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


# -- whose run is it


def test_a_notebook_gets_its_own_folder(folder, monkeypatch):
    notebook(folder / "03-a.ipynb", "03-a")
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "03-a.ipynb"))
    assert runs.claim("03-a").as_posix() == "runs/03-a"
    assert not (folder / "runs").exists()


def test_a_copy_with_the_old_name_is_told(folder, monkeypatch):
    for stem in ("03-a", "03-a-Copy1"):
        notebook(folder / f"{stem}.ipynb", "03-a")
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/03-a-Copy1.ipynb")
    with pytest.raises(runs.RunError, match='write NAME = "03-a-Copy1" into'):
        runs.claim("03-a")


def test_a_copy_is_told_without_jupyters_help(folder):
    for stem in ("03-a", "03-a-Copy1"):
        notebook(folder / f"{stem}.ipynb", "03-a")
    with pytest.raises(runs.RunError, match=r"03-a-Copy1\.ipynb carries NAME = '03-a'"):
        runs.claim("03-a")
    notebook(folder / "03-a-Copy1.ipynb", "03-a-Copy1")
    assert runs.claim("03-a").name == "03-a"


def test_a_name_that_was_renamed_away_is_not_believed(folder, monkeypatch):
    notebook(folder / "03-b.ipynb", "03-b")
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "03-a-Copy1.ipynb"))
    assert runs.claim("03-b").name == "03-b"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a\\b", "what?", "a:b"])
def test_names_that_are_no_folder_are_refused(folder, name):
    with pytest.raises(runs.RunError, match="cannot be a folder's name"):
        runs.claim(name)


def test_what_is_not_a_run_of_this_notebook_is_not_replaced(folder):
    (folder / "runs" / "03-a").mkdir(parents=True)
    (folder / "runs" / "03-a" / "config.json").write_text('{"notebook": "other.ipynb"}')
    with pytest.raises(runs.RunError, match=r"not a run of 03-a\.ipynb"):
        runs.claim("03-a")


def test_the_difference_is_that_of_common_cells(folder):
    notebook(folder / "a.ipynb", "a", "x = 1\ny = 2")
    notebook(folder / "b.ipynb", "b", "x = 1\ny = 3")
    text = runs.difference("a.ipynb", "b.ipynb")
    assert '-NAME = "a"\n+NAME = "b"' in text
    assert "-y = 2\n+y = 3" in text
    notebook(folder / "b.ipynb", "a", "z = 1", identity="new")
    assert "1 code cell more, 1 code cell less" in runs.difference("a.ipynb", "b.ipynb")
    with pytest.raises(runs.RunError, match="cannot be read as a notebook"):
        runs.difference("a.ipynb", "c.ipynb")


# -- keeping a run


def test_a_run_holds_what_the_contract_says(folder):
    metrics = saved("runs/r")
    assert sorted(file.name for file in (folder / "runs" / "r").iterdir()) == [
        "config.json",
        "confusion.png",
        "history.csv",
        "metrics.json",
        "model.weights.h5",
    ]
    assert metrics == json.loads((folder / "runs" / "r" / "metrics.json").read_text())
    assert metrics["val_accuracy"] == metrics["val_macro_f1"] == 1.0
    assert metrics["val_majority_share"] == pytest.approx(
        np.mean(VAL.label == np.bincount(TRN.label).argmax())
    )
    assert {"name", "weights", "seed", "seconds"} <= metrics.keys()
    history = (folder / "runs" / "r" / "history.csv").read_text().splitlines()
    assert history == ["epoch,loss,val_accuracy", "1,0.5,0.9", "2,0.1,1.0"]
    assert [path.name for path in (folder / "runs").iterdir()] == ["r"]


@pytest.mark.numeric
def test_a_run_is_used_as_it_was_trained(folder):
    network = built()
    saved("runs/r", network)
    run = runs.load("runs/r")
    first = VAL.audio_embedding[:120]
    assert context.probabilities(run.network, first) == pytest.approx(
        # the numbers under the softmax are sums of 128 products, up to 20
        network.predict(first.astype(np.float32), verbose=0),
        abs=20 * sums(128),
    )
    assert run.config["classes"] == list(CLASSES)
    assert np.sum(run.config["priors"]) == pytest.approx(1)
    assert np.sum(run.config["transitions"], axis=1) == pytest.approx(np.ones(4))


def test_a_run_is_replaced_as_a_whole(folder):
    saved("runs/r")
    runs.write_test("runs/r", {"tst_accuracy": 0.9})
    saved("runs/r")
    assert not (folder / "runs" / "r" / "test.json").exists()  # of the network that was there


def test_inputs_changed_outside_the_network_are_found(folder):
    blind = built(scaled=False)
    blind.layers[-1].set_weights(
        [np.repeat(np.eye(4), 32, axis=0).astype(np.float32), np.array([9e5, 0, 0, 0], np.float32)]
    )
    with pytest.raises(runs.RunError, match="inside build_model"):
        saved("runs/r", blind)
    assert not list((folder / "runs").iterdir())


def test_the_other_form_of_the_embedding(folder):
    metrics = saved("runs/r", built(scaled=False), input="embedding")
    assert metrics["val_accuracy"] == 1.0
    assert runs.load("runs/r").config["input"] == "embedding"


@pytest.mark.parametrize("shape", [(128,), (5, 128), (None, 128)])
def test_three_forms_of_networks_say_the_same(folder, shape):
    assert saved("runs/r", built(shape))["val_accuracy"] == 1.0


@pytest.mark.numeric
def test_long_recordings_go_in_blocks(monkeypatch):
    monkeypatch.setattr(context, "BLOCK_WINDOWS", 50)
    monkeypatch.setattr(context, "MARGIN_WINDOWS", 4)
    inputs = keras.Input((None, 128))
    outputs = keras.layers.Conv1D(4, 9, padding="same", activation="softmax")(inputs / 255)
    network = keras.Model(inputs, outputs)
    embedding = VAL.audio_embedding[:117]
    whole = network(embedding[None].astype(np.float32)).numpy()[0]
    assert context.probabilities(network, embedding) == pytest.approx(whole, abs=sums(9 * 128))
    assert context.probabilities(network, embedding[:0]).shape == (0, 4)


@pytest.mark.parametrize("shape", [(64,), (4, 128), (2, 5, 128)])
def test_networks_of_another_form_are_refused(folder, shape):
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(4)(keras.layers.Flatten()(inputs))
    with pytest.raises(context.NetworkError, match="takes \\(None, 128\\)"):
        saved("runs/r", keras.Model(inputs, outputs))
    inputs = keras.Input((128,))
    with pytest.raises(context.NetworkError, match="softmax over the 4 classes"):
        saved("runs/r", keras.Model(inputs, keras.layers.Dense(3)(inputs)))


def test_networks_with_code_of_their_own_are_refused(folder):
    inputs = keras.Input((128,))
    x = keras.layers.Lambda(lambda x: x / 255)(inputs)
    with pytest.raises(runs.RunError, match="without Lambda"):
        saved("runs/r", keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x)))
    assert not list((folder / "runs").iterdir())


def test_the_best_run_is_the_best_on_val(folder):
    with pytest.raises(runs.RunError, match="holds no run yet"):
        runs.best()
    for name, f1, weights, corpus in (
        ("a", 0.8, "1", "x"),
        ("b", 0.9, "1", "y"),
        ("c", 0.95, "2", "y"),
    ):
        place = folder / "runs" / name
        place.mkdir(parents=True)
        metrics = {"name": name, "val_macro_f1": f1, "weights_sha256": weights}
        metrics |= {"val_accuracy": 0.9, "val_majority_share": 0.687, "corpus": corpus}
        (place / "metrics.json").write_text(json.dumps(metrics))
    runs.write_test(folder / "runs" / "a", {"tst_accuracy": 0.7})
    assert runs.best() == "c"
    assert runs.best(weights_sha256="1") == "b"
    assert runs.best(corpus="x") == "a"
    assert [row["name"] for row in runs.table()] == ["c", "b", "a"]
    assert runs.table()[2]["tst_accuracy"] == 0.7
    with pytest.raises(runs.RunError, match="no run on this corpus and its embeddings"):
        runs.best(weights_sha256="3")
    with pytest.raises(runs.RunError, match="no run on this corpus and its embeddings"):
        runs.best(weights_sha256="2", corpus="x")


def test_a_collected_run_goes_by_the_name_of_its_folder(folder):
    for person in ("ada", "bob"):
        saved("runs/03-a")
        (folder / "runs" / "03-a").rename(folder / "runs" / f"{person}-03-a")
    assert [row["name"] for row in runs.table()] == ["ada-03-a", "bob-03-a"]
    assert runs.load(runs.FOLDER / runs.best()).name == "ada-03-a"


def test_metrics_without_the_scores_are_named(folder):
    saved("runs/r")
    (folder / "runs" / "r" / "metrics.json").write_text('{"name": "r", "val_accuracy": 0.9}')
    with pytest.raises(runs.RunError, match=r"metrics\.json has no val_majority_share"):
        runs.table()


def test_what_is_not_a_run_is_not_loaded(folder):
    saved("runs/r")
    with pytest.raises(runs.RunError, match=r"runs/x is not a complete run.*\(r\)"):
        runs.load("runs/x")
    config = json.loads((folder / "runs" / "r" / "config.json").read_text())
    (folder / "runs" / "r" / "config.json").write_text(json.dumps(config | {"classes": ["a"]}))
    with pytest.raises(runs.RunError, match="trained on the classes a,"):
        runs.load("runs/r")
    (folder / "runs" / "r" / "config.json").write_text("{")
    with pytest.raises(runs.RunError, match="cannot be read"):
        runs.load("runs/r")
