"""The page in real Chromium, from the disk: short and long, by mouse and by key."""

import json
import time
from itertools import pairwise
from pathlib import Path

import chromium
import numpy as np
import pytest
import soundfile
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from audioseg.labels import CLASSES, COURSE, Segment
from audioseg.show import report

pytestmark = chromium.needed
HOP, FIRST = 0.12, 0.4875
LONG_SECONDS = 3 * 3600
SCREENSHOTS = Path(__file__).parents[3] / "executed" / "pages"


def write(folder, seconds, segment_seconds):
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(folder / "tape #1.wav", "w", 8_000, 1) as file:
        for number in range(seconds // 20):
            loud = np.repeat(rng.uniform(0, 0.3, 20), 8_000)
            # hours are mostly silent, which is coded in a tenth of the time
            file.write(loud * rng.uniform(-1, 1, 160_000) * (number % 20 < 3))
    edges = np.arange(0, seconds + 1e-9, segment_seconds)
    track = [
        Segment(float(a), float(b), CLASSES[i % 4]) for i, (a, b) in enumerate(pairwise(edges))
    ]
    frames = int((seconds - 0.975) / HOP) + 1
    at = ((FIRST + HOP * np.arange(frames)) // segment_seconds).astype(int) % 4
    probabilities = np.full((frames, 4), 0.02) + 0.92 * np.eye(4)[at]
    (folder / "tape.txt").write_text("0\t1\tspeech\n")
    return report.write_page(
        folder / "tape #1.html", folder / "tape #1.wav", track=track,
        sureness=[0.94] * len(track), probabilities=probabilities,
        classes=COURSE, seconds=float(seconds), hop_seconds=HOP, first_center=FIRST,
        files=[folder / "tape.txt"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return write(tmp_path_factory.mktemp("short"), 60, 5.0)[0]


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return write(tmp_path_factory.mktemp("long"), LONG_SECONDS, 6.0)[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.chromium() as driver:
        yield driver


def opened(browser, page, after=""):
    browser.get("about:blank")
    begin = time.perf_counter()
    browser.get(page.as_uri() + after)
    until(browser, "return document.documentElement.dataset.ready === 'yes'")
    return time.perf_counter() - begin


def loaded(browser):
    until(browser, "return document.querySelector('#audio').readyState >= 2")


def until(browser, script, seconds=10):
    return WebDriverWait(browser, seconds, 0.05).until(lambda b: b.execute_script(script))


def stands_at(browser, seconds):
    """Wait until it is there: a key that was sent may still be on its way."""
    until(browser, f"return Math.abs(document.querySelector('#audio').currentTime-{seconds})<0.01")


def played_from(browser, click):
    """Return where playing begins after a click, however much later we come to ask."""
    browser.execute_script(
        "const audio = document.querySelector('#audio'); delete audio.play; window.begun = null;"
        "audio.play = () => { window.begun = audio.currentTime;"
        " return HTMLMediaElement.prototype.play.call(audio); };"
    )
    click()
    until(browser, "return window.begun !== null && player.isPlaying()")
    browser.execute_script("player.pause()")
    return browser.execute_script("return window.begun")


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def shot(browser, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


def test_keys(short, browser):
    opened(browser, short)
    loaded(browser)
    press(browser, Keys.ARROW_RIGHT)
    stands_at(browser, 5.0)
    press(browser, "n")
    stands_at(browser, 10.0)
    assert browser.find_element(By.ID, "status").get_property("textContent") == (
        "0:10.0, speech+music"
    )
    press(browser, "p")
    stands_at(browser, 5.0)
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(
        Keys.SHIFT
    ).perform()
    stands_at(browser, 10.0)
    press(browser, Keys.END)
    stands_at(browser, 59.99)
    press(browser, Keys.HOME)
    stands_at(browser, 0)
    press(browser, " ")
    until(
        browser, "return player.isPlaying() && document.querySelector('#audio').currentTime > 0.3"
    )
    press(browser, " ")
    until(browser, "return !player.isPlaying()")
    press(browser, "+", "+")
    until(browser, "return document.querySelector('#zoom').value > 0")
    shot(browser, "short-zoomed")
    press(browser, "0")
    until(browser, "return document.querySelector('#zoom').value == 0")
    # with letters off, they work on the waveform only
    browser.execute_script("document.querySelector('#letters').checked = false; player.setTime(0)")
    press(browser, "n")
    time.sleep(0.5)
    stands_at(browser, 0)
    browser.execute_script("document.querySelector('#wave').focus()")
    press(browser, "n")
    stands_at(browser, 5.0)
    assert chromium.complaints(browser) == []


@pytest.mark.parametrize(
    ("where", "share"), [("#wave", 0.5), ("#segments", 0.25), ("#chances", 0.75), ("#strip", 0.1)]
)
def test_a_click_plays_from_there(short, browser, where, share):
    opened(browser, short)
    element = browser.find_element(By.CSS_SELECTOR, where)
    width = element.size["width"]
    there = ActionChains(browser).move_to_element_with_offset(
        element, round((share - 0.5) * width), 0
    )
    begun = played_from(browser, there.click().perform)
    assert begun == pytest.approx(60 * share, abs=60 * 2 / width)  # two pixels


def test_the_table_is_text_and_plays(short, browser):
    opened(browser, short)
    rows = browser.find_elements(By.CSS_SELECTOR, "#rows tr")
    assert len(rows) == 12
    assert rows[3].text.split() == ["0:15.0", "0:20.0", "5.0", "noise", "0.94"]
    assert played_from(browser, rows[3].find_element(By.TAG_NAME, "a").click) == 15.0
    marked = "return document.querySelector('#rows [aria-current]').rowIndex"
    assert browser.execute_script(marked) == 4  # below the head
    opened(browser, short, "#t=42.5")
    stands_at(browser, 42.5)
    slider = browser.find_element(By.ID, "wave")
    assert slider.aria_role == "slider"
    assert slider.get_attribute("aria-valuetext") == "0:42.5, speech"
    link = browser.find_element(By.CSS_SELECTOR, "a[download='tape.txt']")
    assert link.get_attribute("href").startswith("data:")


def test_it_asks_for_nothing_from_outside(short, browser):
    opened(browser, short)
    names = browser.execute_script("return performance.getEntries().map((e) => e.name)")
    assert not [name for name in names if name.startswith("http")]
    assert chromium.complaints(browser) == []


def test_on_a_telephone_and_in_the_dark_nothing_sticks_out(short):
    with chromium.chromium() as browser:
        chromium.narrow(browser)
        chromium.dark(browser)
        opened(browser, short)
        shot(browser, "narrow-dark")
        wide = "return [document.documentElement.scrollWidth, window.innerWidth]"
        content, screen = browser.execute_script(wide)
        assert content <= screen
        paper = "return getComputedStyle(document.body).backgroundColor"
        assert max(json.loads(browser.execute_script(paper)[3:].translate({40: 91, 41: 93}))) < 60


def test_three_hours_open_at_once_and_seek_at_once(long, browser):
    seconds = min(opened(browser, long) for _ in range(3))  # whatever else runs here
    assert seconds < 3.0, f"it took {seconds:.2f} s to open"
    until(browser, "return document.querySelector('#audio').duration > 0")
    # constant bit rate, LAME's padding: the sound's length is the recording's
    assert browser.execute_script("return document.querySelector('#audio').duration") == (
        pytest.approx(LONG_SECONDS, abs=0.2)
    )
    took = []
    for where in (0.5, 0.999, 0.1):
        begin = time.perf_counter()
        browser.execute_async_script(
            "const done = arguments[1]; const audio = document.querySelector('#audio');"
            "audio.addEventListener('seeked', () => done(), {once: true});"
            "player.seekTo(arguments[0]);",
            where,
        )
        took.append(time.perf_counter() - begin)
    assert min(took) < 1.0, took
    for _ in range(8):
        press(browser, "+")
    until(browser, "return document.querySelector('#zoom').value > 40")
    shot(browser, "long-zoomed")
    press(browser, "n")
    stands_at(browser, 1080 + 6)
    assert chromium.complaints(browser) == []


def test_without_its_sound_a_long_page_says_so_and_takes_another(long, browser, tmp_path):
    page = tmp_path / "alone.html"
    page.write_bytes(long.read_bytes())
    opened(browser, page)
    note = browser.find_element(By.ID, "no-sound")
    WebDriverWait(browser, 10).until(lambda b: note.is_displayed())
    assert "tape #1_sound.mp3" in note.text
    browser.find_element(By.ID, "choose").send_keys(str(long.with_name("tape #1_sound.mp3")))
    WebDriverWait(browser, 10).until(lambda b: not note.is_displayed())
    press(browser, " ")
    until(
        browser, "return player.isPlaying() && document.querySelector('#audio').currentTime > 0.2"
    )
    browser.execute_script("player.pause()")
