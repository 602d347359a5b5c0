import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from rounding import sums
from stored_runs import TRN, VAL, built, saved

from audioseg.labels import CLASSES
from audioseg.training import context, runs

# of float32, for each term of a sum, with a margin of ten; a softmax makes nothing larger
ROUNDING = 10 * float(np.finfo(np.float32).eps) / 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


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


def test_class_weights_change_the_priors_but_not_what_guessing_is_worth(folder):
    counts = np.bincount(TRN.label)
    saved("runs/r")
    assert runs.load("runs/r").config["priors"] == pytest.approx(counts / counts.sum())
    rarest = int(counts.argmin())
    metrics = saved("runs/r", class_weight={rarest: 10.0})  # 1 for the others, as Keras has it
    weighted = counts * np.where(np.arange(len(counts)) == rarest, 10.0, 1.0)
    assert weighted.argmax() != counts.argmax()
    assert runs.load("runs/r").config["priors"] == pytest.approx(weighted / weighted.sum())
    assert metrics["val_majority_share"] == pytest.approx(np.mean(VAL.label == counts.argmax()))


def test_a_run_is_replaced_as_a_whole(folder):
    saved("runs/r")
    runs.write_test("runs/r", {"tst_accuracy": 0.9})
    saved("runs/r")
    assert not (folder / "runs" / "r" / "test.json").exists()  # of the network that was there


@pytest.mark.parametrize("stops_at", [1, 2])
def test_an_interruption_leaves_the_run_that_was_there(folder, monkeypatch, stops_at):
    before = saved("runs/r")
    moved = []

    def interrupted(path, target):
        if "r" in (Path(path).name, Path(target).name):
            moved.append(path)
            if len(moved) == stops_at:
                raise KeyboardInterrupt
        return rename(path, target)

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        saved("runs/r", history={"loss": [0.5], "val_accuracy": [1.0]})
    assert runs.load("runs/r").metrics == before
    assert [path.name for path in (folder / "runs").iterdir()] == ["r"]


def test_short_recordings_and_pieces_of_one_are_scored_too(folder):
    def cut(frames, lengths, names):
        n = sum(lengths)
        parts = {
            key: getattr(frames, key)[-n:] for key in ("embedding", "audio_embedding", "label")
        }
        recording = np.repeat(np.arange(len(lengths)), lengths)
        once = {"faster_embedding": None, "faster_audio_embedding": None}
        return SimpleNamespace(**parts, **once, recording=recording, names=names, hop_seconds=0.12)

    short = saved("runs/r", val=cut(VAL, [20, 3, 5], ("a", "b", "c")))
    assert short["val_short_accuracy"] == 1.0
    pieces = saved("runs/r", val=cut(VAL, [20, 3, 5], ("a", "a", "b")))
    assert pieces["val_short_accuracy"] == 1.0
    assert pieces["corpus"] != short["corpus"]


def test_a_run_hears_twice_unless_val_is_clearly_against_it(folder):
    assert saved("runs/r")["val_smoothed_accuracy"] == 1.0
    assert runs.load("runs/r").config["hearings"] == 1  # there is no second hearing
    same = VAL._replace(faster_audio_embedding=VAL.audio_embedding)
    assert saved("runs/r", val=same)["val_smoothed_accuracy"] == 1.0
    assert runs.load("runs/r").config["hearings"] == 2
    other = np.roll(VAL.audio_embedding, 32, axis=1)  # of the next class, and as sure
    wrong = VAL._replace(faster_audio_embedding=other)
    assert saved("runs/r", val=wrong)["val_smoothed_accuracy"] == 1.0
    assert runs.load("runs/r").config["hearings"] == 1


def test_whole_recordings_are_scored_as_the_run_hears_them(folder):
    deaf = VAL._replace(audio_embedding=np.full_like(VAL.audio_embedding, 128))
    better = deaf._replace(faster_audio_embedding=VAL.audio_embedding)
    history = {"loss": [0.5], "val_accuracy": [float(np.mean(VAL.label == 0))]}
    once, twice = (saved("runs/r", history=history, val=val) for val in (deaf, better))
    assert once["val_accuracy"] == twice["val_accuracy"] < 1.0
    assert once["val_smoothed_accuracy"] < twice["val_smoothed_accuracy"] == 1.0


def test_a_run_from_before_hears_once(folder):
    saved("runs/r", val=VAL._replace(faster_audio_embedding=VAL.audio_embedding))
    config = json.loads(Path("runs/r/config.json").read_text())
    assert config.pop("hearings") == 2
    Path("runs/r/config.json").write_text(json.dumps(config))
    assert runs.load("runs/r").config["hearings"] == 1
    Path("runs/r/config.json").write_text(json.dumps(config | {"hearings": 3}))
    with pytest.raises(runs.RunError, match="hearings = 3, which is not 1 or 2"):
        runs.load("runs/r")


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
    edge = context.EDGE_WINDOWS  # the first and last window go on, as beyond the ends of a file
    longer = np.pad(embedding, ((edge, edge), (0, 0)), mode="edge")
    whole = network(longer[None].astype(np.float32)).numpy()[0, edge:-edge]
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
    assert runs.best(corpus="y") == "c"
    assert runs.best(weights_sha256="1", corpus="y") == "b"
    assert runs.best(corpus="x") == runs.best(weights_sha256="1", corpus="x") == "a"
    assert runs.best(weights_sha256="2") == "c"
    with pytest.raises(runs.RunError, match=r"on 2 corpora.* name one with --run \(.*: c, a\)"):
        runs.best()
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


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Save a run once; a test breaks its own copy."""
    place = tmp_path_factory.mktemp("stored") / "r"
    saved(place)
    return place


@pytest.fixture
def broken(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "r")


ROWS = [[0.25] * 4] * 4


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", ["a"]),
        ("classes", 4),
        ("input", "spectrum"),
        ("input", ["embedding"]),
        ("hop_seconds", "0.12"),
        ("hop_seconds", [0.12]),
        ("hop_seconds", None),
        ("hop_seconds", True),
        ("hop_seconds", 0),
        ("hop_seconds", float("nan")),
        ("hop_seconds", float("inf")),
        ("weights", 3),
        ("weights_sha256", None),
        ("priors", [0.5, 0.5]),
        ("priors", [0.5, 0.5, 0.5, 0.5]),
        ("priors", ["0.25"] * 4),
        ("priors", {"speech": 1}),
        ("transitions", ROWS[:3]),
        ("transitions", [*ROWS[:3], [0.25] * 3]),
        ("transitions", [*ROWS[:3], [0.25, 0.25, 0.25, float("nan")]]),
        ("transitions", [*ROWS[:3], [2, -1, 0, 0]]),
        ("network", "layers"),
        ("network_sha256", 0),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(broken, key, value):
    config = json.loads((broken / "config.json").read_text())
    assert key in config
    (broken / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(runs.RunError) as told:
        runs.load(broken)
    start = f"{broken / 'config.json'} says {key} = "
    assert str(told.value).startswith(start)
    assert str(told.value).endswith(": train that run again.")
    del config[key]
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(runs.RunError, match=rf"config\.json has no {key}: train that run again\.$"):
        runs.load(broken)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("metrics.json", "val_macro_f1", float("nan")),
        ("metrics.json", "val_accuracy", "0.9"),
        ("metrics.json", "val_majority_share", 1.5),
        ("metrics.json", "seconds", "long"),
        ("metrics.json", "corpus", ["x"]),
        ("metrics.json", "val_minutes", []),
        ("test.json", "tst_accuracy", "0.9"),
        ("test.json", "tst_event_f1_0.5s", {}),
        ("test.json", "smoothing", ["none"]),
    ],
)
def test_a_score_that_is_none_is_named(broken, file, key, value):
    path = broken / file
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | {key: value}))
    with pytest.raises(runs.RunError) as told:
        runs.table(broken.parent)
    assert str(told.value).startswith(f"{path} says {key} = ")


@pytest.mark.parametrize("file", ["config.json", "metrics.json"])
@pytest.mark.parametrize("content", ["{", "", "[1]", "null", "\x00\xff"])
def test_what_is_not_json_is_named(broken, file, content):
    (broken / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(runs.RunError) as told:
        runs.load(broken)
    assert str(told.value).startswith(f"{broken / file} ")
    assert str(told.value).endswith(": train that run again.")


def weights_of_another(place):
    other = built()
    other.layers[-1].set_weights([np.ones((128, 4)), np.zeros(4)])
    other.save_weights(place)


def weights_of_another_shape(place):
    inputs = keras.Input((128,))
    x = keras.layers.Dense(7)(keras.layers.Dense(5)(inputs))
    keras.Model(inputs, x).save_weights(place)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        weights_of_another,
        weights_of_another_shape,
    ],
    ids=["empty", "cut", "another's", "another's of other layers"],
)
def test_weights_that_do_not_belong_to_the_run_are_told(broken, spoil, recwarn, capfd):
    spoil(broken / "model.weights.h5")
    capfd.readouterr()
    recwarn.clear()
    with pytest.raises(runs.RunError) as told:
        runs.load(broken)
    assert str(told.value) == (
        f"{broken / 'model.weights.h5'} does not hold the weights of the network in "
        f"{broken / 'config.json'}: copy the whole folder of the run again, or train it again."
    )
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_layers_that_the_weights_do_not_fit_are_told(broken, recwarn):
    """The weights are those that were stored, but somebody has changed the layers."""
    text = (broken / "config.json").read_text()
    assert '"units": 4' in text
    (broken / "config.json").write_text(text.replace('"units": 4', '"units": 5'))
    with pytest.raises(runs.RunError, match="does not hold the weights of the network in"):
        runs.load(broken)
    assert not recwarn.list


def test_layers_that_are_none_are_told(broken):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"network": {"class_name": "Magic"}}))
    with pytest.raises(runs.RunError, match="cannot be built again from what was stored"):
        runs.load(broken)


def test_transitions_do_not_cross_recordings():
    matrix = runs.transitions(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), classes=2)
    assert matrix == pytest.approx(np.array([[0.75, 0.25], [0.25, 0.75]]))


def test_the_best_is_good_on_whole_recordings_and_on_clips(folder):
    def with_scores(name, whole, short, **more):
        saved(f"runs/{name}", built((128,)))
        path = Path("runs") / name / "metrics.json"
        scores = {"val_smoothed_macro_f1": whole, "val_short_macro_f1": short}
        path.write_text(json.dumps(json.loads(path.read_text()) | scores | more))

    with_scores("whole", 0.97, 0.80)
    with_scores("both", 0.95, 0.90)
    assert runs.best() == "both"
    metrics = json.loads(Path("runs/both/metrics.json").read_text())
    assert 0 <= metrics["val_short_accuracy"] <= 1
    # neither size nor uncertainty counts, however close the next one is
    with_scores("large", 0.96, 0.90, network_parameters=10**6, val_score_error=0.5)
    assert runs.best() == "large"
