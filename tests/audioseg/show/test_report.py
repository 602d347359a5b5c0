import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest
import soundfile
from recordings import tone

from audioseg.labels import Classes, Segment
from audioseg.show import report
from audioseg.show.sound import MOST_STRETCHES, write_mp3

HOP, FIRST = 0.12, 0.4875


def page_of(
    folder, name="a b.wav", *, seconds=6.0, classes=("frog", "</script><b>", "rain"), **more
):
    soundfile.write(folder / name, tone(seconds, 8_000), 8_000)
    half = seconds / 2
    track = [Segment(0, half, classes[0]), Segment(half, seconds, classes[1])]
    frames = int((seconds - 0.975) / HOP) + 1
    probabilities = np.full((frames, len(classes)), 0.1 / (len(classes) - 1))
    centers = FIRST + HOP * np.arange(frames)
    probabilities[np.arange(frames), (centers > half).astype(int)] = 0.9
    (folder / "labels.txt").write_text("0\t3\tfrog\n")
    return report.write_page(
        folder / f"{name}.html", folder / name, track=track, sureness=[0.9, 0.9],
        probabilities=probabilities, classes=Classes(classes, classes[-1]), seconds=seconds,
        hop_seconds=HOP, first_center=FIRST, files=[folder / "labels.txt"], **more,
    )  # fmt: skip


def data_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_a_page_holds_all_it_needs(tmp_path):
    (page,) = page_of(tmp_path)
    text = page.read_text(encoding="utf-8")
    outside_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert not re.search(r'(src|href)="(?!#|data:)', outside_scripts)  # nothing from elsewhere
    data = data_of(page)
    assert data["classes"] == ["frog", "</script><b>", "rain"]
    frames = np.frombuffer(base64.b64decode(data["probabilities"]), np.uint8).reshape(-1, 3)
    assert frames[0].tolist() == [230, 13, 13]  # of 255
    assert len(base64.b64decode(data["low"])) == 6 * 200
    mp3 = base64.b64decode(re.search(r'id="mp3">(.*?)</script>', text, re.S)[1])
    (tmp_path / "again.mp3").write_bytes(mp3)
    # encoder's frames of 72 ms at 8 kHz: the length is right to within two
    assert soundfile.info(tmp_path / "again.mp3").duration == pytest.approx(6.0, abs=0.15)
    assert base64.b64encode(b"0\t3\tfrog\n").decode() in text
    assert text.count("<td>0:03.0</td>") == 1 and ">0.90<" in text


def test_what_people_wrote_is_text_and_not_html(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    (page,) = page_of(tmp_path, about={evil: evil})
    text = page.read_text(encoding="utf-8")
    assert evil not in text and html.escape(evil) in text
    assert "</script><b>" not in text
    policy = html.unescape(re.search(r'Content-Security-Policy" content="(.*?)"', text)[1])
    assert policy.startswith("default-src 'none'") and "connect-src" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == 4
    for script in scripts:
        code = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{code}'" in policy


def test_the_sound_of_a_long_recording_lies_beside(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "EMBEDDED_SECONDS", 5.0)
    page, sound = page_of(tmp_path, "long #1.wav")
    assert sound.name == "long #1.wav_sound.mp3" and sound.stat().st_size > 6 * 8000 * 0.9
    assert data_of(page)["sound"] == sound.name
    assert page.stat().st_size < 300_000


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 96_000])
def test_the_bit_rate_is_constant_and_the_outline_is_the_wave(tmp_path, rate):
    samples = tone(3.0, rate) * np.linspace(0, 1, 3 * rate, dtype="f4")
    soundfile.write(tmp_path / "a.wav", samples, rate)
    outline = write_mp3(tmp_path / "a.wav", tmp_path / "a.mp3", seconds=3.0)
    # 64 kbit/s, and up to four frames (of 576 bytes at 8 kHz) before and after the sound
    assert (tmp_path / "a.mp3").stat().st_size == pytest.approx(3 * 8_000, abs=4 * 576)
    assert len(outline.low) == pytest.approx(600, abs=8)
    # 0.3 of 127, one step of rounding; resampling from 96 kHz may add a per cent
    assert outline.high.max() == pytest.approx(38, abs=1)
    assert outline.low.min() == pytest.approx(-38, abs=1)
    assert outline.high[: len(outline.high) // 2].max() < 21


def test_an_outline_does_not_grow_without_end(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(3.0, 8_000), 8_000)
    stated = write_mp3(tmp_path / "a.wav", tmp_path / "a.mp3", seconds=10 * 3600.0)
    assert len(stated.low) <= 3 * MOST_STRETCHES / 36_000 * 1.1


def test_the_index_shows_what_is_there(tmp_path):
    page_of(tmp_path, "b & <c>.wav")
    (tmp_path / "deep").mkdir()
    page_of(tmp_path / "deep", "d.wav", note="It breaks off after <6 s.")
    (tmp_path / "other.html").write_text("<p>not ours")
    index = report.write_index(tmp_path)
    text = index.read_text(encoding="utf-8")
    assert text.count("<tr><td>") == 2
    assert "b &amp; &lt;c&gt;.wav</a>" in text
    assert 'href="b%20%26%20%3Cc%3E.wav.html"' in text and 'href="deep/d.wav.html"' in text
    assert text.count("50.0 %") >= 2
    assert text.count('<p class="error">') == text.count("It breaks off after &lt;6 s.") == 1
    assert text.count('<td class="number">0:06.0</td>') == 2
    assert report.write_index(tmp_path) == index  # it does not list itself
    assert report.write_index(tmp_path / "none") is None


def test_no_page_takes_the_place_of_the_index(tmp_path):
    assert report.page_beside(tmp_path / "a").name == "a.html"
    assert report.page_beside(tmp_path / "Index").name == "index_.html"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (83.24, "1:23.2"), (7509.3, "2:05:09.3")],
)
def test_clock(seconds, text):
    assert report.clock(seconds) == text
