import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import RATE, encode, tone
from rounding import sums

from audioseg import audio, decoding
from audioseg.audio import AudioError, load, open_audio, read_16k_blocks


def whole(path):
    with open_audio(path) as stream:
        return np.concatenate(list(stream.blocks()))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"subtype": "PCM_U8"}),
        ("a.flac", {}),
        ("a.aiff", {}),
        ("a.au", {}),
        ("a.caf", {}),
        ("a.w64", {}),
        ("a.ogg", {}),
        ("a.mp3", {}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
def test_formats_of_libsndfile(tmp_path, name, options):
    samples = tone(1.5)
    soundfile.write(tmp_path / name, samples, RATE, **options)
    with open_audio(tmp_path / name) as stream:
        assert (stream.sample_rate, stream.channels) == (RATE, 1)
        assert stream.seconds == pytest.approx(1.5, abs=0.01)
    read = whole(tmp_path / name)
    assert read.dtype == np.float32
    assert len(read) == len(samples)
    assert np.abs(read - samples)[2000:-2000].max() < 0.03


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.g722", "g722", RATE),
        ("a.m4a", "aac", 44_100),
        ("a.mp4", "aac", RATE),
        ("a.webm", "libopus", 48_000),
        ("a.mka", "aac", RATE),
        ("a.aac", "aac", RATE),
        ("a.mov", "pcm_s16le", RATE),
    ],
)
def test_formats_of_ffmpeg(tmp_path, name, codec, rate):
    samples = tone(1.5, rate)
    encode(tmp_path / name, samples, codec, rate=rate)
    with open_audio(tmp_path / name) as stream:
        assert (stream.sample_rate, stream.channels) == (rate, 1)
    read = whole(tmp_path / name)
    assert len(read) == pytest.approx(len(samples), abs=3000)
    middle = np.abs(np.fft.rfft(read[5000:15000]))
    assert middle.argmax() / 10_000 * rate == pytest.approx(440, abs=5)


def test_gsm_without_a_header(tmp_path):
    soundfile.write(tmp_path / "a.gsm", tone(1, 8000), 8000, format="RAW", subtype="GSM610")
    with open_audio(tmp_path / "a.gsm") as stream:
        assert stream.sample_rate == 8000
        assert sum(map(len, stream.blocks())) == 8000


def test_sixteen_bits_are_divided_by_32768(tmp_path):
    numbers = np.array([-32768, -1, 0, 1, 16384, 32767] * 100, np.int16)
    soundfile.write(tmp_path / "a.wav", numbers, RATE)
    np.testing.assert_array_equal(whole(tmp_path / "a.wav"), numbers / 32768)
    # and the same through FFmpeg's libraries
    encode(tmp_path / "a.mov", numbers[6:] / np.float32(32767), "pcm_s16le")
    np.testing.assert_array_equal(whole(tmp_path / "a.mov"), numbers[6:] / 32768)


@pytest.mark.numeric
def test_channels_become_their_mean(tmp_path):
    samples = np.random.default_rng(0).integers(-30000, 30000, (4000, 3)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    mean = samples.astype(float).mean(axis=1) / 32768
    np.testing.assert_allclose(whole(tmp_path / "a.wav"), mean, rtol=0, atol=sums(3))


def test_content_counts_not_the_suffix(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1), RATE)
    (tmp_path / "a.wav").rename(tmp_path / "a.mp3")
    assert len(whole(tmp_path / "a.mp3")) == RATE
    encode(tmp_path / "b.m4a", tone(1), "aac").rename(tmp_path / "b.wav")
    assert len(whole(tmp_path / "b.wav")) >= RATE


def test_blocks_joined_are_the_whole(tmp_path, monkeypatch):
    samples = np.random.default_rng(0).normal(0, 0.1, 50_000)
    soundfile.write(tmp_path / "a.flac", samples, RATE)
    expected = load(tmp_path / "a.flac")
    monkeypatch.setattr(audio, "BLOCK_VALUES", 1600)
    blocks = list(read_16k_blocks(tmp_path / "a.flac"))
    assert len(blocks) > 20
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_memory_does_not_grow_with_length(tmp_path):
    with soundfile.SoundFile(tmp_path / "long.wav", "w", RATE, 1) as file:
        for _ in range(20):
            file.write(np.zeros(60 * RATE, np.int16))
    longest = max(map(len, read_16k_blocks(tmp_path / "long.wav")))
    assert longest <= audio.BLOCK_VALUES


@pytest.mark.numeric
@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(2, rate), rate)
    read = load(tmp_path / "a.wav")
    assert read.dtype == np.float32
    assert len(read) == 2 * RATE
    assert np.abs(read - tone(2))[500:-500].max() < 2e-3


def test_one_sample_at_a_higher_rate_is_none(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(2), 48_000)
    with pytest.raises(AudioError, match="shorter than one sample at 16000 Hz"):
        load(tmp_path / "a.wav")


def test_load_at_another_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2), RATE)
    assert len(load(tmp_path / "a.wav", sample_rate=8000)) == 16_000


# -- what is wrong


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.au", "a.w64", "a.ogg", "a.mp3"])
def test_cut_files_are_refused(tmp_path, name):
    samples = np.random.default_rng(0).normal(0, 0.1, 10 * RATE)
    soundfile.write(tmp_path / name, samples, RATE)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"cut short|breaks off|damaged"):
        whole(tmp_path / name)


@pytest.mark.parametrize("name", ["a.m4a", "a.mka", "a.aac"])
def test_cut_files_are_refused_by_ffmpeg(tmp_path, name):
    options = {"movflags": "faststart"} if name == "a.m4a" else {}
    encode(tmp_path / name, tone(10), "aac", **options)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"cut short|damaged"):
        whole(tmp_path / name)


def test_a_streamed_wav_does_not_know_its_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    for place in (4, 40):
        data[place : place + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert len(whole(tmp_path / "a.wav")) == RATE


@pytest.mark.parametrize("picture", [0, 300_000])
def test_an_mp3_that_does_not_state_its_length_is_whole(tmp_path, picture):
    encode(tmp_path / "a.mp3", tone(5), "libmp3lame", write_xing="0", id3v2_version="0")
    sound = (tmp_path / "a.mp3").read_bytes()
    assert not any(tag in sound for tag in (b"Xing", b"Info", b"ID3"))
    size = 10 + picture  # libmpg123 takes this for sound, too, as long as it only counts bytes
    seven_bits = [size >> shift & 0x7F for shift in (21, 14, 7, 0)]
    frame = b"APIC" + picture.to_bytes(4, "big") + bytes(2 + picture)
    (tmp_path / "a.mp3").write_bytes(b"ID3\3\0\0" + bytes(seven_bits) + frame + sound)
    assert len(whole(tmp_path / "a.mp3")) == pytest.approx(5 * RATE, abs=0.2 * RATE)


def test_an_mp3_header_may_leave_out_the_length(tmp_path):
    encode(tmp_path / "a.mp3", tone(5), "libmp3lame")
    assert decoding._mp3_states_its_length(tmp_path / "a.mp3")
    data = bytearray((tmp_path / "a.mp3").read_bytes())
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 7] &= 0xFE
    (tmp_path / "a.mp3").write_bytes(data)
    assert not decoding._mp3_states_its_length(tmp_path / "a.mp3")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_must_be_numbers(tmp_path, bad):
    samples = tone(2)
    samples[20_000] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav at 1\.250 s holds samples that are not numbers"):
        whole(tmp_path / "a.wav")


def test_integers_in_a_float_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1) * 32768, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"full scale is 1\.0"):
        whole(tmp_path / "a.wav")


def test_sentences(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all\n" * 100)
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    for name, said in {
        "missing.wav": "No such file",
        "empty.wav": "0 bytes",
        "text.wav": "no format that can be read",
        "folder.wav": "folder",
        "none.wav": "holds no samples",
    }.items():
        with pytest.raises(AudioError, match=said) as caught:
            whole(tmp_path / name)
        assert name in str(caught.value)
        assert str(caught.value).count("\n") == 0
        assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("place", "number"), [(24, 0), (24, 2**31), (24, 3), (22, 0), (22, 60_000)]
)
def test_headers_that_lie(tmp_path, place, number):
    soundfile.write(tmp_path / "a.wav", tone(1), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    size = 4 if place == 24 else 2
    data[place : place + size] = number.to_bytes(size, "little")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.wav"):
        whole(tmp_path / "a.wav")


def test_a_playlist_opens_nothing_else(tmp_path):
    soundfile.write(tmp_path / "secret.wav", tone(1), RATE)
    (tmp_path / "a.m4a").write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.wav\n")
    (tmp_path / "b.m4a").write_text(f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n")
    for name in ("a.m4a", "b.m4a"):
        with pytest.raises(AudioError, match="no format"):
            whole(tmp_path / name)


def damaged_mp3(path):
    """Write an mp3 that libmpg123 has notes on, when it is opened and when it is read."""
    noise = np.random.default_rng(0)
    soundfile.write(path, noise.normal(0, 0.1, 10 * RATE), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = noise.bytes(3000)
    path.write_bytes(data)


def test_of_a_damaged_mp3_one_sentence_is_said(tmp_path):
    damaged_mp3(tmp_path / "a.mp3")
    code = (
        "import sys, threading\n"
        "from audioseg.audio import AudioError, load\n"
        "def read():\n"
        "    try:\n"
        f"        load({str(tmp_path / 'a.mp3')!r})\n"
        "    except AudioError as error:\n"
        "        sys.stderr.write(f'{error}\\n')\n"  # in one piece
        "threads = [threading.Thread(target=read) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print('the end', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, end = done.stderr.splitlines()
    assert len(said) == 4 and end == "the end"  # nothing is lost, nothing is added
    assert set(said) == {said[0]} and said[0].startswith(f"{tmp_path / 'a.mp3'} ")


def test_what_others_write_meanwhile_is_not_lost(capfd):
    with decoding.without_notes():
        os.write(2, b"Note: Trying to resync...\n\nkept\n[src/libmpg123/id3.c:576] error: odd\n")
    assert capfd.readouterr().err == "kept\n"


def _samples_of_all_formats(folder):
    folder.mkdir()
    samples = np.random.default_rng(0).normal(0, 0.1, RATE // 2)
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.caf"):
        soundfile.write(folder / name, samples, RATE)
    encode(folder / "a.m4a", samples, "aac")
    encode(folder / "a.g722", samples, "g722")
    return sorted(folder.iterdir())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_audio_error_or_finite_samples(tmp_path, data):
    folder = tmp_path / "good"
    good = sorted(folder.iterdir()) if folder.exists() else _samples_of_all_formats(folder)
    source = data.draw(st.sampled_from(good))
    content = bytearray(source.read_bytes())
    changes = st.tuples(st.integers(0, min(len(content) - 1, 400)), st.integers(0, 255))
    for place, byte in data.draw(st.lists(changes, max_size=8)):
        content[place] = byte
    end = data.draw(st.integers(0, len(content)))
    bad = tmp_path / f"bad{source.suffix}"
    bad.write_bytes(content[:end])
    try:
        for block in read_16k_blocks(bad, sample_rate=RATE):
            assert np.isfinite(block).all()
    except AudioError as error:
        assert bad.name in str(error)


def test_chunks_that_lead_before_the_start_of_the_file(tmp_path):
    """FFmpeg then asks Python to seek there; found with atheris."""
    data = bytearray(142)
    data[:40] = bytes.fromhex(
        "726966662e91cf11a5d628db04c10000e82500000000000077617665f3acd3118cd100c04f8edb8a"
    )
    data[56], data[96], data[141] = 0x28, 0x25, 0x14
    (tmp_path / "a.w64").write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.w64"):
        whole(tmp_path / "a.w64")


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_channels_that_cancel_give_the_louder_one(tmp_path, rate):
    rng = np.random.default_rng(0)
    left = np.concatenate([np.zeros(rate), rng.normal(0, 0.1, 3 * rate + 77)])
    cases = {
        "opposite": (np.stack([left, -left], axis=1), left, True),
        "nearly": (np.stack([0.9 * left, -left], axis=1), 0.9 * left, True),
        "one silent": (np.stack([left, 0 * left], axis=1), left / 2, False),
        "both": (np.stack([left, left], axis=1), left, False),
    }
    for name, (stereo, expected, cancelled) in cases.items():
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, stereo, rate, subtype="FLOAT")
        findings = audio.Findings()
        heard = np.concatenate(
            list(audio.read_16k_blocks(path, sample_rate=rate, findings=findings))
        )
        np.testing.assert_allclose(heard, expected, atol=1e-6)
        assert findings.cancelled == cancelled
        np.testing.assert_array_equal(load(path, sample_rate=rate), heard)


def broken_files(folder):
    """Break real files of 10 s of noise; yield each, and about how many seconds come before."""
    samples = np.random.default_rng(0).normal(0, 0.1, 10 * RATE)
    for suffix in ("wav", "flac", "ogg", "mp3"):
        path = folder / f"cut.{suffix}"
        soundfile.write(path, samples, RATE)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        yield path, 5.0
    flac = folder / "flipped.flac"
    soundfile.write(flac, samples, RATE)
    content = bytearray(flac.read_bytes())
    content[len(content) * 7 // 10] ^= 16
    flac.write_bytes(content)
    yield flac, 7.0
    mp4 = encode(folder / "cut.m4a", samples, "aac", movflags="faststart")
    mp4.write_bytes(mp4.read_bytes()[: mp4.stat().st_size // 2])
    yield mp4, 5.0


def test_half_a_file_is_refused_or_read_as_far_as_it_goes(tmp_path):
    for path, seconds in broken_files(tmp_path):
        with pytest.raises(audio.AudioError):
            load(path)
        findings = audio.Findings()
        heard = np.concatenate(list(audio.read_16k_blocks(path, findings=findings)))
        assert seconds - 1.5 < len(heard) / RATE < seconds + 0.6, path
        assert path.name in str(findings.broken)
