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
from hypothesis import given, settings
from hypothesis import strategies as st
from small_corpus import MINUTES, RATE, STORED, babble, make_corpus, statistics

import feat_ext
from audioseg import labels
from audioseg.__main__ import main
from audioseg.corpus import compose, folder, phrases, sound
from audioseg.corpus import plan as planning
from audioseg.corpus import sources as sources_module
from audioseg.corpus.sound import CorpusError
from audioseg.corpus.sources import acquire, inspect, list_sources, read_sources
from audioseg.corpus.splitting import plan_split
from audioseg.files import BusyError
from vggish import frontend
from vggish.download import DownloadError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small corpus with its sources; returns its data folder and its table."""
    data = tmp_path_factory.mktemp("data")
    return data, make_corpus(data)


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


# -- the project's own table


def test_the_projects_table_is_sound():
    sources = read_sources(ROOT / "data/sources.csv")
    pins = sources.drop_duplicates("package")
    assert pins.bytes.sum() < 450e6
    for split in ("VAL", "TST"):
        for kind in ("speech", "music"):
            assert sources[(sources.split == split) & (sources.kind == kind)].group.nunique() >= 2
    assert (sources.licence != "").all() and (sources.attribution != "").all()
    en, es = (f"asterisk-core-sounds-{code}-g722" for code in ("en", "es"))
    assert sources[sources.package.isin([en, es])].group.nunique() == 1  # perhaps one voice


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("sha256", "abc", "line 3.*sha256"),
        ("bytes", "many", "line 3.*bytes"),
        ("kind", "talk", "line 3.*kind"),
        ("package", "../evil", "line 3.*package"),
        ("version", "1/../2", "line 3.*version"),
        ("split", "TEST", "line 3.*split"),
        ("split", "VAL", "more than one split"),
    ],
)
def test_a_wrong_table_is_refused_by_line(tmp_path, column, value, says):
    table = pd.read_csv(ROOT / "data/sources.csv", dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(tmp_path / "sources.csv", index=False)
    with pytest.raises(CorpusError, match=says):
        read_sources(tmp_path / "sources.csv")


def test_a_missing_table_or_column_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"sources\.csv"):
        read_sources(tmp_path / "sources.csv")
    (tmp_path / "sources.csv").write_text("package,version\na,1\n")
    with pytest.raises(CorpusError, match="'source'"):
        read_sources(tmp_path / "sources.csv")


# -- acquiring


def test_acquire_goes_without_network_when_the_packages_are_there(made, monkeypatch):
    sources = read_sources(made[0] / "sources.csv")
    monkeypatch.setattr(
        sources_module, "find_mirrors", lambda: pytest.fail("a mirror was asked for")
    )
    acquire(sources, made[0] / "raw")


def test_acquire_refuses_a_package_that_is_not_the_pinned_one(made, tmp_path, monkeypatch):
    sources = read_sources(made[0] / "sources.csv")
    deb = tmp_path / "raw" / "sounds_1.0_all.deb"
    deb.parent.mkdir()
    deb.write_bytes((made[0] / "raw" / deb.name).read_bytes()[:-9])
    sources = sources[sources.package == "sounds"]
    monkeypatch.setenv("DEBIAN_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr("vggish.download.time.sleep", lambda seconds: None)
    with pytest.raises(DownloadError, match=r"sounds_1\.0_all\.deb"):
        acquire(sources, tmp_path / "raw")
    assert not (tmp_path / "raw" / "sounds_1.0").exists()


def test_missing_sources_say_what_to_run(made, tmp_path):
    with pytest.raises(CorpusError, match=r"audioseg corpus"):
        list_sources(read_sources(made[0] / "sources.csv"), tmp_path)


# -- splitting


def test_no_group_is_in_two_splits(made):
    files = plan_split(list_sources(read_sources(made[0] / "sources.csv"), made[0] / "raw"))
    assert set(files.split) == set(folder.SPLITS)
    assert (files.groupby("group").split.nunique() == 1).all()
    assert not files.path.str.contains("beep|silence").any()
    takes = files[files.kind == "noise"].groupby("group").size()
    assert (takes == 2).all()  # both takes of a sound stay together
    summary = inspect(files)
    assert summary.minutes.sum() == pytest.approx(files.seconds.sum() / 60, abs=1)


def test_what_a_split_used_is_its_own(made):
    data, table = made
    groups = {s: set(";".join(table[table.split == s].groups).split(";")) for s in folder.SPLITS}
    for one, other in itertools.combinations(folder.SPLITS, 2):
        assert not groups[one] & groups[other]
    segments = pd.read_csv(data / "on-hold/segments.csv")
    assert (segments.groupby("voice").split.nunique() == 1).all()
    assert (segments.groupby("artist").split.nunique() == 1).all()


# -- plans


def fabricated(seed, voices=3, artists=2):
    """Sources and phrases as a real split has them, without any audio."""
    rng = np.random.default_rng(seed)
    sources, spoken = [], {}
    for voice, index in itertools.product(range(voices), range(120)):
        path = f"v{voice}/{index}"
        sources.append({"path": path, "kind": "speech", "group": f"v{voice}", "seconds": 9.0})
        starts = np.cumsum(rng.integers(100, 700, 4)) * 160
        spoken[path] = [(int(a), int(b) - 16_000, -20.0) for a, b in itertools.pairwise(starts)]
        spoken[path] = [p for p in spoken[path] if p[1] - p[0] > 6_400]
    for artist, index in itertools.product(range(artists), range(4)):
        sources.append(
            {"path": f"m{artist}/{index}", "kind": "music", "group": f"m{artist}", "seconds": 90.0}
        )
    sources += [
        {"path": f"n/{i}", "kind": "noise", "group": f"n:{i % 9}", "seconds": 3.0}
        for i in range(30)
    ]
    return sources, spoken


def plan(seed, minutes=31.0, share=0.687):
    sources, spoken = fabricated(seed)
    return planning.plan_recordings(
        "VAL",
        sources,
        spoken,
        minutes=minutes,
        shares={"speech": share, "speech+music": 0.1, "music": 0.12},
        seed=seed,
    )


@given(st.integers(0, 10**6), st.sampled_from([16.0, 31.0, 60.0]))
@settings(max_examples=15)
def test_the_share_of_speech_is_met_by_construction(seed, minutes):
    recordings = plan(seed, minutes)
    frames = np.concatenate([planning.frame_labels(r) for r in recordings])
    share = np.bincount(frames, minlength=4) / len(frames)
    assert 0.6865 <= share[labels.CLASSES.index("speech")] <= 0.6875
    assert (share > 0.04).all()
    assert abs(len(frames) * 0.12 / 60 - minutes) < 0.15 * minutes
    for recording in recordings:
        check_recording(recording)


def check_recording(recording):
    """Hold a plan to what is promised of every recording."""
    segments = recording["segments"]
    assert 120 <= recording["samples"] / RATE <= 300
    assert (recording["samples"] - 15_600) % 1_920 == 0
    assert len({s["label"] for s in segments}) >= 2
    for earlier, later in itertools.pairwise(segments):
        assert earlier["start"] + earlier["samples"] == later["start"]
        assert earlier["label"] != later["label"]
    for segment in segments:
        placed = segment["phrases"]
        assert bool(placed) == ("speech" in segment["label"]) == (segment["voice"] is not None)
        assert bool(segment["music"]) == ("music" in segment["label"])
        if placed:  # labels are exact: the first phrase starts, the last ends the segment
            ends = [at + end - start for _, start, end, _, at in placed]
            assert placed[0][4] == 0 and ends[-1] == segment["samples"]
            gaps = [phrase[4] - end for phrase, end in zip(placed[1:], ends, strict=False)]
            assert all(0 < gap <= 0.8 * RATE for gap in gaps)
        if segment["label"] == "speech+music":
            assert 0 <= segment["speech_db"] - segment["music_db"] <= 10.01


def test_frames_are_those_of_the_front_end():
    recording = plan(3)[0]
    assert len(planning.frame_labels(recording)) == frontend.window_count(recording["samples"])


def test_every_phrase_is_drawn_before_one_comes_again():
    used = [tuple(p[:3]) for r in plan(5, 16.0) for s in r["segments"] for p in s["phrases"]]
    assert max(used.count(phrase) for phrase in set(used)) == 1


def test_voices_and_artists_are_heard_about_equally():
    voices, artists = {}, {}
    for segment in itertools.chain.from_iterable(r["segments"] for r in plan(7)):
        for heard, group in ((voices, segment["voice"]), (artists, segment["artist"])):
            heard[group] = heard.get(group, 0) + segment["samples"]
    assert min(voices.values()) > 0.4 * max(v for k, v in voices.items() if k)
    assert min(artists.values()) > 0.25 * max(v for k, v in artists.items() if k)


def test_too_little_material_is_refused(monkeypatch):
    sources, spoken = fabricated(1)
    shares = planning.SHARES["VAL"]
    for kind in sources_module.KINDS:
        fewer = [source for source in sources if source["kind"] != kind]
        with pytest.raises(CorpusError, match="speech, music"):
            planning.plan_recordings("VAL", fewer, spoken, minutes=9, shares=shares, seed=1)
    with pytest.raises(CorpusError, match="cannot be met"):
        monkeypatch.setattr(planning, "FREE_SECONDS", (2.0, 2.0))
        plan(1)


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


# -- sound


@pytest.mark.numeric
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000])
def test_every_rate_becomes_16_khz(tmp_path, rate):
    time_ = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_)
    soundfile.write(tmp_path / "x.wav", np.stack([tone, tone], axis=1), rate, subtype="PCM_16")
    samples = sound.read_source(tmp_path / "x.wav")
    assert abs(len(samples) - RATE) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / RATE)
    assert np.abs(samples - expected)[200:-200].max() < 2e-3


def test_excerpts_and_sums(tmp_path):
    rng = np.random.default_rng(2)
    one, two = (0.3 * rng.standard_normal(3 * RATE).clip(-3, 3) for _ in range(2))
    for name, samples in (("song.ogg", one), ("guitar.ogg", two)):
        soundfile.write(tmp_path / name, samples, RATE)
    song, guitar, both = (
        sound.read_source(tmp_path / name)
        for name in ("song.ogg", "guitar.ogg", "song.ogg&guitar.ogg")
    )
    np.testing.assert_array_equal(both, (song + guitar) / 2)
    part = sound.read_source(tmp_path / "song.ogg", start_seconds=1, seconds=1.5)
    assert np.array_equal(part, song[RATE : RATE + RATE * 3 // 2])


def test_the_telephone_keeps_the_time_and_narrows_nothing():
    rng = np.random.default_rng(3)
    sent = sound.to_int16(0.2 * np.diff(rng.standard_normal(RATE + 2)).clip(-3, 3))
    heard = sound.g722_round_trip(sent)
    assert heard.shape == sent.shape and heard.dtype == np.int16
    lags = range(-3, 4)
    match = [np.dot(np.roll(heard, lag).astype(float), sent) for lag in lags]
    assert lags[int(np.argmax(match))] == 0
    narrow = sound.narrowed(sent / 32_768, 3_400)
    spectrum = np.abs(np.fft.rfft(narrow * np.hanning(len(narrow))))
    assert spectrum[4_500:].max() < 0.01 * spectrum[300:3_000].max()


@pytest.mark.numeric
def test_an_undecodable_source_is_named(tmp_path):
    for name in ("x.ogg", "x.wav"):
        (tmp_path / name).write_bytes(b"OggS no audio")
        with pytest.raises(CorpusError, match=r"x\.(ogg|wav)"):
            sound.read_source(tmp_path / name)
        with pytest.raises(CorpusError, match=r"x\.(ogg|wav)"):
            sound.source_seconds(tmp_path / name)
    with pytest.raises(CorpusError, match="gone"):
        sound.read_source(tmp_path / "gone.ogg")


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
        deadline = time.monotonic() + 60
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
