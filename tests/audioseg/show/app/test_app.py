"""The app as a process of its own, asked over loopback, and in real Chromium."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import chromium
import numpy as np
import pytest
import soundfile
from recordings import RATE
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from stored_runs import saved

from audioseg.show.app import command, jobs
from vggish.embedding import load_embedding

HEADER = {"X-Audioseg": "1"}
SCREENSHOTS = Path(__file__).parents[4] / "executed" / "pages"
NOISE = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).clip(-1, 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run."""
    folder = tmp_path_factory.mktemp("course")
    weights = {"weights": "mini", "weights_sha256": load_embedding("mini").sha256}
    saved(folder / "runs" / "r", dataset=weights)
    soundfile.write(folder / "a.wav", NOISE, RATE)
    return folder


@contextmanager
def served(place, *arguments):
    """Run ``audioseg app``, and yield its address, its process and its temporary folder."""
    home = Path(tempfile.mkdtemp(dir=place))
    process = subprocess.Popen(
        [sys.executable, "-m", "audioseg", "app", "--no-browser", *arguments],
        cwd=place,
        env=os.environ | {"TMPDIR": str(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    said = [process.stdout.readline(), process.stdout.readline()]
    try:
        yield said[1].removeprefix("open ").strip(), process, home
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not list(home.iterdir())  # nothing is left behind


@pytest.fixture(scope="module")
def app(place):
    with served(place, "--max-megabytes", "1", "--max-recordings", "8", "--port", "0") as (url, *_):
        yield url


def ask(url, method="GET", content=None, headers=HEADER):
    request = urllib.request.Request(url, content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def send(url, name, content):
    status, answer = ask(
        f"{url}recordings?name={urllib.parse.quote(name, safe='')}", "POST", content
    )
    return status, json.loads(answer)


def finished(url, key):
    for _ in range(300):
        said = json.loads(ask(f"{url}recordings/{key}")[1])
        if said["state"] in ("done", "failed"):
            return said
        time.sleep(0.1)
    raise AssertionError(said)


def test_a_recording_comes_back_as_page_and_label_files(app, place):
    status, answer = send(app, "été 1.wav", (place / "a.wav").read_bytes())
    assert status == 201
    said = finished(app, answer["key"])
    assert said["state"] == "done" and said["seconds"] == pytest.approx(4.0)
    assert sum(said["shares"].values()) == pytest.approx(1.0)
    assert {Path(name).suffix for name in said["files"]} >= {".txt", ".csv", ".html"}
    for name in said["files"]:
        status, content = ask(f"{app}recordings/{answer['key']}/{urllib.parse.quote(name)}")
        assert status == 200 and content
    assert "été 1.wav" in content.decode()  # the page, which is last
    assert ask(f"{app}recordings/{answer['key']}", "DELETE")[0] == 204
    assert ask(f"{app}recordings/{answer['key']}")[0] == 404


@pytest.mark.parametrize(
    "name",
    ["../a.wav", "..\\a.wav", "/etc/a.wav", "", "..", "a\n.wav", "C:a", "aux.wav", "Com1",
     "nul .a.b", "a.wav.", "a.wav "],
)  # fmt: skip
def test_a_name_with_a_folder_in_it_is_refused(app, name):
    status, answer = send(app, name, b"content")
    assert status == 400
    assert "is not a plain file name: rename it" in answer["error"]


def test_what_is_no_audio_is_told_in_one_sentence(app):
    status, answer = send(app, "notes.wav", b"no audio" * 100)
    assert status == 201
    said = finished(app, answer["key"])
    assert said["state"] == "failed"
    assert said["error"].startswith("notes.wav is in no format that can be read")
    assert "/" not in said["error"]  # no folder of this machine
    ask(f"{app}recordings/{answer['key']}", "DELETE")


def test_a_recording_that_breaks_off_gives_what_it_has(app, place):
    _, answer = send(app, "half.wav", (place / "a.wav").read_bytes()[:70_000])
    said = finished(app, answer["key"])
    assert said["state"] == "done"
    assert said["note"].startswith("half.wav should last 4.00 s by its header")
    page = ask(f"{app}recordings/{answer['key']}/half.html")[1].decode()
    assert "half.wav should last 4.00 s by its header" in page
    ask(f"{app}recordings/{answer['key']}", "DELETE")


def test_what_is_too_large_is_refused_before_it_is_read(app):
    # 2 GB by its header; the body never comes
    request = urllib.request.Request(
        f"{app}recordings?name=a.wav",
        b"x",
        HEADER | {"Content-Length": str(2_000_000_000)},
        method="POST",
    )
    begin = time.perf_counter()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert time.perf_counter() - begin < 5
    error = json.loads(refused.value.read())["error"]
    assert error.startswith("a.wav has 2,000 MB, and 1 MB is the most that is taken")
    # and one that does not say how large it is
    chunks = iter([bytes(300_000)] * 5)
    request = urllib.request.Request(f"{app}recordings?name=a.wav", chunks, HEADER, method="POST")
    with pytest.raises((urllib.error.HTTPError, urllib.error.URLError)) as refused:
        urllib.request.urlopen(request, timeout=30)
    if isinstance(refused.value, urllib.error.HTTPError):
        assert "the most that is taken" in json.loads(refused.value.read())["error"]


def test_only_so_many_recordings_are_kept(place):
    with served(place, "--max-recordings", "2", "--port", "0") as (url, *_):
        for _ in range(2):
            assert send(url, "a.wav", (place / "a.wav").read_bytes())[0] == 201
        status, answer = send(url, "a.wav", b"x")
        assert status == 400 and "2 recordings are here already" in answer["error"]


def test_what_nobody_asks_for_makes_room(tmp_path):
    class Work:
        def segment(self, path, progress):
            raise ValueError("a stand-in")

    kept = jobs.Jobs(tmp_path, Work(), most=2)
    stuck, failed = kept.new("stuck.wav"), kept.new("failed.wav")  # one never comes in whole
    kept.start(failed)
    hour = jobs.FORGOTTEN_SECONDS + 1
    stuck.asked -= hour
    failed.asked -= hour + 1
    kept.get(failed.key)  # somebody looks at it
    third = kept.new("third.wav")
    assert kept.get(stuck.key) is None and stuck.cancelled.is_set() and not stuck.folder.exists()
    with pytest.raises(jobs.UploadError, match="2 recordings are here already"):
        kept.new("fourth.wav")
    failed.asked -= hour
    kept.new("fourth.wav")
    assert kept.get(failed.key) is None and kept.get(third.key) is third
    kept.close()


def test_three_people_at_once_are_served(app, place):
    content = (place / "a.wav").read_bytes()
    results = {}

    def person(number):
        _, answer = send(app, f"{number}.wav", content)
        results[number] = (answer["key"], finished(app, answer["key"]))

    people = [threading.Thread(target=person, args=(number,)) for number in range(3)]
    for one in people:
        one.start()
    for one in people:
        one.join(60)
    assert [results[number][1]["name"] for number in range(3)] == ["0.wav", "1.wav", "2.wav"]
    assert all(said["state"] == "done" for _, said in results.values())
    for key, _ in results.values():
        ask(f"{app}recordings/{key}", "DELETE")


def test_pages_of_others_cannot_use_it(app):
    assert ask(f"{app}recordings?name=a.wav", "POST", b"x", {})[0] == 403
    assert ask(app, headers={"Host": "evil.example"})[0] == 403
    assert ask(app)[0] == 200


def test_beyond_loopback_it_asks_for_a_token(place):
    with served(place, "--host", "0.0.0.0", "--port", "0") as (url, *_):
        bare, _, token = url.partition("?token=")
        assert len(token) >= 32
        assert ask(bare)[0] == 403
        assert ask(f"{bare}recordings/x")[0] == 403
        assert ask(f"{bare}?token={token[:-1]}x")[0] == 403
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"What is heard when" in opener.open(url).read()
        assert b"What is heard when" in opener.open(bare).read()


def test_any_address_of_this_machine_may_be_its_own(place):
    try:
        with command.listening("127.0.0.2", 0):
            pass
    except command.ArgumentError:
        pytest.skip("this system has 127.0.0.1 only")
    with served(place, "--host", "127.0.0.2", "--port", "0") as (url, *_):
        assert url.startswith("http://127.0.0.2:")
        assert ask(url)[0] == 200
        assert ask(url, headers={"Host": "evil.example"})[0] == 403


def test_an_address_that_cannot_be_listened_on_is_named(app):
    port = int(re.search(r":(\d+)/", app)[1])
    with pytest.raises(command.ArgumentError, match=rf"cannot listen on .*--port {port} \("):
        with command.listening("127.0.0.1", port):
            pass
    with command.listening("127.0.0.1", None) as sock:
        assert sock.getsockname()[1] >= command.PORT


@pytest.mark.parametrize(
    ("host", "inside"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.0.1", True), ("::1", True),
     ("0.0.0.0", False), ("::", False), ("192.168.0.7", False), ("example.org", False)],
)  # fmt: skip
def test_is_loopback(host, inside):
    assert command.is_loopback(host) == inside


def test_turns_go_round():
    turns, order = jobs.Turns(), []

    def work(name, started):
        with turns:
            started.set()
            for _ in range(3):
                order.append(name)
                time.sleep(0.02)
                turns.pass_on()

    threads = []
    with turns:
        for name in "abc":
            started = threading.Event()
            threads.append(threading.Thread(target=work, args=(name, started)))
            threads[-1].start()
            time.sleep(0.05)  # so that they wait in this order
    for thread in threads:
        thread.join(10)
    assert "".join(order) == "abcabcabc"


def texts(browser):
    return browser.find_element(By.ID, "list").text


@chromium.needed
def test_files_are_sent_in_the_browser(app, place):
    (place / "notes.wav").write_text("no audio")
    (place / "huge.wav").write_bytes(bytes(1_100_000))
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with chromium.chromium() as browser:
        browser.get(app)
        names = [str(place / name) for name in ("a.wav", "notes.wav", "huge.wav")]
        browser.find_element(By.ID, "files").send_keys("\n".join(names))
        WebDriverWait(browser, 30).until(lambda b: "Open the page" in texts(b))
        WebDriverWait(browser, 30).until(lambda b: "in no format" in texts(b))
        assert "huge.wav has 2 MB, and 1 MB is the most" in texts(browser)
        browser.save_screenshot(str(SCREENSHOTS / "app-sent.png"))
        browser.refresh()  # they are still there
        WebDriverWait(browser, 30).until(lambda b: "Open the page" in texts(b))
        here = browser.current_window_handle
        browser.find_element(By.LINK_TEXT, "Open the page").click()
        (other,) = set(browser.window_handles) - {here}
        browser.switch_to.window(other)
        ready = "return document.documentElement.dataset.ready === 'yes'"
        WebDriverWait(browser, 20).until(lambda b: b.execute_script(ready))
        assert browser.find_element(By.TAG_NAME, "h1").text == "a.wav"
        assert chromium.complaints(browser) == []
        browser.close()
        browser.switch_to.window(here)
        for button in browser.find_elements(By.CSS_SELECTOR, ".remove"):
            button.click()
        assert texts(browser) == ""


@chromium.needed
@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng to speak (apt-get install)")
def test_a_microphone_is_recorded(app, place):
    subprocess.run(["espeak-ng", "-w", place / "voice.wav", "One, two, three, four."], check=True)
    with chromium.chromium(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={place / 'voice.wav'}",
    ) as browser:
        browser.get(app)
        button = browser.find_element(By.ID, "record")
        button.click()
        WebDriverWait(browser, 20).until(
            lambda b: b.find_element(By.ID, "length").text in ("0:02", "0:03")
        )
        assert button.text == "Stop and send"
        button.click()
        WebDriverWait(browser, 30).until(lambda b: "Open the page" in texts(b))
        seconds = int(re.search(r"\n0:(\d\d) ·", texts(browser))[1])
        assert 1 <= seconds <= 5
        browser.find_element(By.CSS_SELECTOR, ".remove").click()
