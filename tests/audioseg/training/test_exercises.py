import json

import numpy as np
import pytest

from audioseg.training.exercises import check, check_run

CONFIG = {
    "classes": ["speech", "noise"],
    "background": "noise",
    "input": "audio_embedding",
    "hop_seconds": 0.12,
    "weights": "mini",
    "weights_sha256": "0" * 64,
    "priors": [0.5, 0.5],
    "transitions": [[0.5, 0.5], [0.5, 0.5]],
    "network": {"layer": "BatchNormalization"},
    "network_sha256": "0" * 64,
}


def said(capsys):
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "right", "within"),
    [
        (0.2, 0.2036, 0.01),
        (826, 826, 0),
        ([0.45, 0.68], np.array([0.45, 0.68]), 0.001),
        ({"a", "b"}, {"b", "a"}, 0),
        ("speech", "speech", 0),
        (False, np.bool_(False), 0),
    ],
)
def test_right_answers_are_right(answer, right, within, capsys):
    check(answer, right, within=within)
    assert said(capsys) == "Right.\n"


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (0.3, 0.2036),
        (float("nan"), 0.2036),
        ("many", 826),
        ([1, 2], [1, 2, 3]),
        ({"a"}, {"a", "b"}),
        (True, False),
        (np.zeros((9, 4)), np.ones((9, 4))),
    ],
)
def test_wrong_answers_get_the_hint(answer, right, capsys):
    check(answer, right, within=0.01, hint="Count again.")
    text = said(capsys)
    assert text.startswith("Not yet: ")
    assert text.endswith("is not it. Count again.\n")


@pytest.mark.parametrize("right", [3, [1, 2], {1}, "music", True, None])
@pytest.mark.parametrize(
    "answer", [[[1], [2, 3]], "many", {"a": 1}, np.array([None, 1]), object, [np.ones(3), None]]
)
def test_whatever_the_answer_is_it_does_not_stop_the_notebook(answer, right, capsys):
    check(answer, right)
    text = said(capsys)
    assert text.startswith("Not yet: ") and text.endswith(" is not it.\n")
    assert len(text) < 80


def test_whatever_a_question_about_a_run_raises_it_does_not_stop_the_notebook(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps(CONFIG))
    metrics = {"val_accuracy": 0.9, "val_majority_share": 0.687, "val_macro_f1": 0.8}
    (tmp_path / "mine" / "metrics.json").write_text(json.dumps(metrics))
    for question in (
        lambda run: run["network"]["layer"].units > 4,
        lambda run: run["classes"][7] == "music",
        lambda run: float(run["weights"]) > 0,
    ):
        check_run("more", question, folder=tmp_path)
        assert said(capsys) == "Not yet: none of your 1 runs has more.\n"


def test_without_an_answer_a_check_says_what_to_do(capsys):
    check(None, 1)
    assert "in place of None" in said(capsys)


def test_only_the_readers_runs_count(tmp_path, capsys):
    def store(name, accuracy):
        place = tmp_path / name
        place.mkdir()
        (place / "config.json").write_text(json.dumps(CONFIG))
        metrics = {"val_accuracy": accuracy, "val_majority_share": 0.687, "val_macro_f1": 0.8}
        (place / "metrics.json").write_text(json.dumps(metrics))

    def good(run):
        return run["val_accuracy"] > 0.8 and "BatchNormalization" in str(run["network"])

    store("03-training-00-keras_2mlp_clsw0", 0.9)
    store("03-training-90-explaining_0687", 0.9)
    store("03-training-01-idea", 0.687)
    check_run("a VAL accuracy above 0.80", good, folder=tmp_path)
    assert said(capsys) == "Not yet: none of your 1 runs has a VAL accuracy above 0.80.\n"
    store("ada-03-training-02-better", 0.91)
    (tmp_path / "03-training-03-broken").mkdir()
    (tmp_path / "03-training-03-broken" / "metrics.json").write_text("{")
    store("03-training-90-explaining_0687-Copy1", 0.92)
    check_run("a VAL accuracy above 0.80", good, folder=tmp_path)
    lines = said(capsys).splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "Right: 03-training-90-explaining_0687-Copy1",
        "Right: ada-03-training-02-better",
    ]
