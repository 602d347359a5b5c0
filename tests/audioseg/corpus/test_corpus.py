import functools
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from archives import files_below
from hypothesis import given
from hypothesis import strategies as st
from small_corpus import MINUTES, RATE, STORED, babble, statistics

import feat_ext
from audioseg import labels
from audioseg.__main__ import main
from audioseg.corpus import compose, folder, phrases, sound
from audioseg.corpus import plan as planning
from audioseg.corpus import sources as sources_module
from audioseg.corpus.sound import CorpusError
from audioseg.corpus.sources import read_sources
from audioseg.files import BusyError
from vggish import frontend

ROOT = Path(__file__).parents[3]


def compose_elsewhere(made, data, *, environment=(), wait=True, workers=1):
    """Compose the same corpus into another folder, in another process."""
    data.mkdir(exist_ok=True)
    shutil.copy(made[0] / "phrases.csv", data)
    code = (
        "from audioseg.corpus.compose import compose_corpus\n"
        "from audioseg.corpus.sources import read_sources\n"
        "if __name__ == '__main__':\n"
        f"    compose_corpus({str(data)!r}, raw_folder={str(made[0] / 'raw')!r},\n"
        f"        sources=read_sources({str(made[0] / 'sources.csv')!r}),\n"
        f"        minutes={MINUTES}, workers={workers})\n"
    )
    script = data / "compose.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=ROOT,
        env=os.environ | dict(environment),
        stderr=subprocess.DEVNULL,
    )
    if wait:
        assert process.wait() == 0
    return process


def corpus_bytes(data):
    found = files_below(data / folder.CORPUS)
    return {name: content for name, content in found.items() if name != ".lock"}


# -- phrases


def test_phrases_are_where_the_sound_is():
    rng = np.random.default_rng(0)
    samples = babble(rng, 3, pause=1.5)
    (a, b, level), (c, d, _) = phrases.find_phrases(samples)
    active = samples[a + 480 : b - 960]  # what is added before and after is silent
    assert level == pytest.approx(10 * np.log10(np.mean(active**2)), abs=0.3)
    assert abs(a - 0.2 * RATE) < 0.05 * RATE and abs(b - 0.6 * RATE) < 0.08 * RATE
    assert abs(c - 2.2 * RATE) < 0.05 * RATE and abs(d - (len(samples) - 0.3 * RATE)) < 0.08 * RATE
    (whole,) = phrases.find_phrases(babble(rng, 3, pause=0.5))
    assert whole[1] - whole[0] > 3 * RATE  # a pause of 0.6 s is part of the phrase
    assert phrases.find_phrases(np.zeros(RATE)) == []
    assert phrases.find_phrases(np.zeros(3)) == []
    assert len(phrases.find_phrases(samples + rng.uniform(-0.002, 0.002, len(samples)))) == 2


@given(
    st.dictionaries(
        st.sampled_from([f"{folder}/{file}" for folder in ("a", "b/c") for file in ("x", "y-1")]),
        st.lists(
            st.tuples(
                st.integers(0, 9_999).map(lambda block: 160 * block),
                st.integers(0, 9_999).map(lambda block: 160 * block),
                st.integers(-9_000, 0).map(lambda level: level / 100),
            ),
            max_size=3,
        ),
    )
)
def test_the_table_of_phrases_is_read_as_written(tmp_path_factory, found):
    table = tmp_path_factory.getbasetemp() / "phrases.csv"
    phrases.write_phrases(table, found)
    assert phrases.read_phrases(table) == found


def blocks_apart(table, raw_folder, step=1):
    """Measure every so manyth prompt of a table; return by how many blocks its edges differ."""
    known = phrases.read_phrases(table)
    paths = sorted(known)[::step]
    found = phrases.measured(paths, raw_folder)
    edges = [[np.array([p[:2] for p in of[path]]) for path in paths] for of in (known, found)]
    return np.array(
        [
            np.abs(a - b).max(initial=0) / sound.BLOCK_SAMPLES if a.shape == b.shape else np.inf
            for a, b in zip(*edges, strict=True)
        ]
    )


def test_phrases_measured_here_are_those_that_are_stored(made):
    assert blocks_apart(STORED / "phrases.csv", made[0] / "raw").max() <= 1


# -- a corpus


def test_the_corpus_is_as_the_contract_says(made):
    data, table = made
    place = data / "on-hold"
    assert list(table.columns) == ["recording", "split", "seconds", "groups", "sha256"]
    assert pd.read_csv(place / "recordings.csv").recording.tolist() == table.recording.tolist()
    shares = {split: [] for split in folder.SPLITS}
    for row in table.itertuples():
        path = place / row.split / f"{row.recording}.flac"
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
        assert info.duration == row.seconds and 120 <= row.seconds <= 300
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
        track = labels.read_label_track(path.with_suffix(".txt"), duration=row.seconds)
        assert track[0].start == 0 and track[-1].end == pytest.approx(row.seconds, abs=1e-5)
        times = 0.4875 + 0.12 * np.arange(frontend.window_count(info.frames))
        shares[row.split] += list(feat_ext.frame_labels(track, times, classes=labels.CLASSES))
    speech = {split: np.mean(np.array(shares[split]) == 0) for split in folder.SPLITS}
    assert 0.6865 <= speech["VAL"] <= 0.6875  # counted from the files, as the features will
    assert 0.67 < speech["TST"] < 0.69
    # more of the rarer classes to learn from
    assert speech["TRN"] == pytest.approx(planning.SHARES["TRN"]["speech"], abs=0.01)


def test_segments_tell_what_is_heard(made):
    segments = pd.read_csv(made[0] / "on-hold/segments.csv")
    both = segments.label == "speech+music"
    assert segments.speech_to_music_db.notna().eq(both).all()
    assert segments.voice.notna().eq(segments.label.str.contains("speech")).all()
    assert segments.artist.notna().eq(segments.label.str.contains("music")).all()
    assert 0 < segments.narrow_band.mean() < 1
    sung = segments[segments.singer.notna()]
    assert set(sung.label) == {"music", "speech+music"}
    assert set(sung.split) == set(folder.SPLITS)  # VAL is to choose by it, and TST to tell
    made_up = segments.steady.notna()
    assert set(segments[made_up].label) == {"noise", "speech"}
    assert not (made_up & segments.sounds.notna()).any()
    assert (segments.groupby("singer").split.nunique() <= 1).all()


def test_labels_are_where_the_sound_changes(made):
    data, table = made
    checked = 0
    for row in table.itertuples():
        path = data / "on-hold" / row.split / f"{row.recording}.flac"
        samples = soundfile.read(path, dtype="int16")[0]
        segments = pd.read_csv(data / "on-hold/segments.csv")
        segments = segments[segments.recording == row.recording]
        for (_, earlier), (_, later) in itertools.pairwise(segments.iterrows()):
            silent = pd.isna(earlier.sounds) and pd.isna(earlier.steady)
            if silent and (earlier.label, later.label) == ("noise", "speech"):
                edge = round(later.start * RATE)
                before = samples[edge - 1_600 : edge].astype(float)
                after = samples[edge + 640 : edge + 2_240].astype(float)
                assert before.std() < 0.5 * after.std()
                checked += 1
    assert checked


def test_a_second_call_changes_nothing(made):
    before = {p: p.stat().st_mtime_ns for p in (made[0] / "on-hold").rglob("*.*")}
    table = compose.compose_corpus(made[0], minutes=MINUTES, workers=1)
    after = {p: p.stat().st_mtime_ns for p in (made[0] / "on-hold").rglob("*.*")}
    same = {p.name for p in before if before[p] == after[p]} | {".lock"}
    assert {p.name for p in before} == same
    assert table.to_csv() == made[1].to_csv()


def check_levels(corpus):
    """Compare with the stored levels, as far as another processor or resampler may go.

    Where only noise differs, a level is a mean of 2 B T squares for a band of B hertz and T
    seconds, so its standard deviation is 4.34 dB sqrt(2 / 2BT), and sqrt(2) of that between two:
    for the shortest segment (1.5 s) and the narrowest band (940 Hz) 0.16 dB, for all of it
    0.06 dB. Three times that may happen. 40 dB below a segment's level is the telephone's own
    noise, which depends on all digits of what it is sent.
    """
    found, stored = statistics(corpus), pd.read_csv(STORED / "levels.csv")
    where = ["recording", "start", "samples", "label"]
    pd.testing.assert_frame_equal(found[where], stored[where])
    assert (found["all"] - stored["all"]).abs().max() < 0.2
    for band in stored.columns[5:]:
        heard = stored[band] > stored["all"] - 40
        assert heard.mean() > 0.4
        assert (found[band] - stored[band])[heard].abs().max() < 0.5, band


def test_the_sound_is_as_it_was(made):
    check_levels(made[0] / "on-hold")


def test_another_processor_plans_the_same_and_sounds_the_same(made, tmp_path):
    features = " ".join(np._core._multiarray_umath.__cpu_dispatch__)
    plain = {"NPY_DISABLE_CPU_FEATURES": features, "OPENBLAS_CORETYPE": "Prescott"}
    compose_elsewhere(made, tmp_path / "a", environment=plain, workers=2)
    here, there = corpus_bytes(made[0]), corpus_bytes(tmp_path / "a")
    assert here.keys() == there.keys()
    assert {"plan.json", "segments.csv"} < here.keys()
    for name in here:
        if not name.endswith(".flac") and name != "recordings.csv":  # which has their checksums
            assert here[name] == there[name], name
    check_levels(tmp_path / "a" / "on-hold")


def test_hosts_come_with_medleys_and_both_in_trn_alone(made, monkeypatch):
    def planned():
        sources = read_sources(made[0] / "sources.csv")
        recordings = compose._plan(sources, made[0], made[0] / "raw", MINUTES, compose.SEED, 1)
        return [r["recording"] for r in recordings]

    without = planned()
    monkeypatch.setattr(compose, "plan_hosts", lambda split, *_, seed: [{"recording": "host"}])
    assert planned() == without  # its sources have nobody who sings
    monkeypatch.setattr(compose, "plan_medleys", lambda split, *_, seed: [{"recording": "medley"}])
    first = next(i for i, name in enumerate(without) if not name.startswith("trn"))
    assert planned() == [*without[:first], "medley", "host", *without[first:]]


def test_the_plan_takes_phrases_from_their_table(made, tmp_path):
    known = phrases.read_phrases(STORED / "phrases.csv")
    first, *rest = (path for path in known if "voice-val" in path)
    table = tmp_path / "phrases.csv"
    phrases.write_phrases(table, {first: [(1_600, 16_000, -20.0)], **{p: known[p] for p in rest}})
    found = phrases.phrases_of([first, *rest], table, tmp_path / "nothing is unpacked here", 1)
    assert found[first] == [(1_600, 16_000, -20.0)]
    # what the table lacks is measured and written into it
    phrases.write_phrases(table, {first: known[first]})
    found = phrases.phrases_of([first, *rest], table, made[0] / "raw", 1)
    assert found == phrases.read_phrases(table) and list(found) == [first, *rest]


def test_a_damaged_table_of_phrases_is_named(tmp_path):
    for text in ("", "folder,file\na,b\n", "folder,file,phrases\na,b,1-2\n"):
        (tmp_path / "phrases.csv").write_text(text)
        with pytest.raises(CorpusError, match=r"phrases\.csv cannot be read"):
            phrases.read_phrases(tmp_path / "phrases.csv")


# packages that have been fetched, and are not unpacked yet, lie there as files
UNPACKED = {path.name for path in ROOT.glob("data/raw/*") if path.is_dir()}
PACKAGES = {path.stem for path in ROOT.glob("data/raw/*.deb")}


@pytest.mark.skipif(not UNPACKED or len(UNPACKED) < len(PACKAGES), reason="sources not unpacked")
def test_the_projects_phrases_are_those_of_its_sources():
    apart = blocks_apart(ROOT / "data/phrases.csv", ROOT / "data/raw", step=29)
    # another resampler moved 4 of 5,230 by more, by 5 blocks at most
    assert np.mean(apart > 1) < 0.02 and apart.max() < 20


def test_killed_and_started_again_it_ends_in_the_same_bytes(made, tmp_path):
    place = tmp_path / "b" / folder.CORPUS
    for finished, workers in ((1, 1), (2, 2)):
        process = compose_elsewhere(made, tmp_path / "b", wait=False, workers=workers)
        deadline = time.monotonic() + 300  # it comes in seconds, or never
        while len(list(place.glob("*/[!.]*.flac"))) < finished and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not (place / "recordings.csv").exists()
        kept = sorted(place.glob("*/[!.]*.flac"))
        assert len(kept) >= finished
    (place / "TRN" / ".trn-01-x.part.flac").write_bytes(b"half")
    compose_elsewhere(made, tmp_path / "b")
    assert corpus_bytes(tmp_path / "b") == corpus_bytes(made[0])


def test_a_damaged_recording_is_made_again(made, tmp_path):
    expected = corpus_bytes(made[0])
    path = next((made[0] / "on-hold/VAL").glob("*.flac"))
    path.write_bytes(path.read_bytes()[:-5])
    path.with_suffix(".txt").unlink()
    compose.compose_corpus(made[0], minutes=MINUTES, workers=1)
    assert corpus_bytes(made[0]) == expected


def test_without_its_plan_or_for_another_seed_it_is_composed_anew(made, tmp_path):
    data = tmp_path / "d"
    shutil.copytree(made[0] / "on-hold", data / "on-hold")
    shutil.copy(made[0] / "phrases.csv", data)
    compose_ = functools.partial(
        compose.compose_corpus,
        data,
        raw_folder=made[0] / "raw",
        sources=read_sources(made[0] / "sources.csv"),
        minutes=MINUTES,
        workers=1,
    )
    (data / "on-hold/plan.json").unlink()
    for path in (data / "on-hold").glob("*/*.*"):
        path.write_bytes(b"stale")
    compose_()
    assert corpus_bytes(data) == corpus_bytes(made[0])
    tracks = [name for name in corpus_bytes(data) if name.endswith(".txt")]
    compose_(seed=7)
    after = corpus_bytes(data)
    assert all(after.get(name) != corpus_bytes(made[0])[name] for name in tracks)


def test_two_runs_at_a_time_are_refused(made):
    with folder.writing(made[0] / "on-hold"):
        with pytest.raises(BusyError, match="another run"):
            compose.compose_corpus(made[0], minutes=MINUTES, workers=1)


def test_what_02_is_just_writing_is_left_alone(tmp_path):
    parts = tmp_path / "embeddings" / "parts" / "TRN"
    parts.mkdir(parents=True)
    (tmp_path / "TRN").mkdir()
    of_02 = [tmp_path / "embeddings" / ".TRN-x.part.tfrecord", parts / ".r-x.part.tfrecord"]
    own = [tmp_path / ".plan-x.part.json", tmp_path / "TRN" / ".trn-01-x.part.flac"]
    for path in (*of_02, *own):
        path.touch()
    with folder.writing(tmp_path):
        assert [path.exists() for path in (*of_02, *own)] == [True, True, False, False]


def test_a_folder_that_cannot_be_written_is_named(made, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(sound, "render", full)
    with pytest.raises(CorpusError, match=r"No space left.*goes on"):
        compose.compose_corpus(
            tmp_path,
            raw_folder=made[0] / "raw",
            sources=read_sources(made[0] / "sources.csv"),
            minutes=MINUTES,
            workers=1,
        )


def test_the_command_line_says_one_sentence(tmp_path, capsys, monkeypatch):
    assert main(["corpus", "--data", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sources_module, "read_sources", interrupted)
    assert main(["corpus", "--data", str(tmp_path)]) == 130
    assert capsys.readouterr().err.startswith("error: interrupted")
    with pytest.raises(SystemExit) as stopped:
        main(["corpus", "--unknown"])
    assert stopped.value.code == 2
