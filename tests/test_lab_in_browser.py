"""JupyterLab as people meet it: run the base notebook from the menu, duplicate it, change one
value, run the copy; send a recording with 04's button. A real server and a real browser;
screenshots go to ``executed/lab``."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
from chromium import CHROMIUM, chromium, needed
from selenium.common.exceptions import (
    StaleElementReferenceException,
    TimeoutException,
    WebDriverException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from stored_runs import saved
from synthetic import make_corpus

from vggish.embedding import load_embedding

ROOT = Path(__file__).parent.parent
SCREENSHOTS = ROOT / "executed" / "lab"
BASE = "03-training-00-keras_2mlp_clsw0"
COPY = "03-training-01-keras_2mlp_other_seed"

pytestmark = needed


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Serve JupyterLab on loopback in a copy of the project with a small corpus."""
    folder = tmp_path_factory.mktemp("course")
    for path in [*ROOT.glob("*.py"), *ROOT.glob("03-training-00*.ipynb")]:
        shutil.copy(path, folder)
    make_corpus(folder / "data" / "on-hold", minutes={"TRN": 4, "VAL": 2, "TST": 1})
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / ".jupyter"),
        "JUPYTER_DATA_DIR": str(folder / ".jupyter"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1"]
    options = [f"--port={port}", "--allow-root", "--IdentityProvider.token=known"]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen([*command, *options], cwd=folder, env=environment, stderr=log)
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{url}/api", timeout=5).close()
            break
        except OSError:
            assert server.poll() is None, (folder / "lab.log").read_text()
            time.sleep(0.5)
    yield url, folder
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("chromium")
    with chromium("--window-size=1400,1000", f"--user-data-dir={profile}") as driver:
        yield driver


def wait(browser, condition, seconds=60):
    """Wait until ``condition(browser)`` is true, whatever redraws in between."""
    return WebDriverWait(
        browser, seconds, 0.3, ignored_exceptions=[StaleElementReferenceException]
    ).until(condition)


def click(browser, css, text):
    """Click the visible element with this selector, and this text in it."""

    def find(_):
        for element in browser.find_elements(By.CSS_SELECTOR, css):
            if element.is_displayed() and text in element.text:
                return element
        return None

    ActionChains(browser).move_to_element(wait(browser, find)).click().perform()


def listed(browser, name):
    """Return the file of this name in the file browser, whose text may be cut short."""
    for item in browser.find_elements(By.CSS_SELECTOR, ".jp-DirListing-item"):
        if (item.get_attribute("title") or "").startswith(f"Name: {name}\n"):
            return item
    return None


def context_click(browser, name):
    item = wait(browser, lambda b: listed(b, name))
    ActionChains(browser).context_click(item).perform()


def menu(browser, name, entry):
    click(browser, ".lm-MenuBar-itemLabel", name)
    click(browser, ".lm-Menu-itemLabel", entry)


def idle(browser):
    """Wait until the kernel has nothing to do."""
    at_rest = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, at_rest))


def run_all(browser, metrics, name):
    """Run all cells from the menu; wait until the run stands on disk and the kernel is idle."""
    menu(browser, "Run", "Run All Cells")
    deadline = time.time() + 150
    while not metrics.exists():
        assert time.time() < deadline, f"no {metrics} after 150 s"
        time.sleep(1)
    idle(browser)
    time.sleep(2)
    browser.save_screenshot(str(SCREENSHOTS / f"{name}-end.png"))
    for output in browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output"):
        assert "Traceback" not in output.text


def test_the_base_notebook_is_run_duplicated_changed_and_run_again(lab, browser):
    url, folder = lab
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    browser.get(f"{url}/lab/tree/{BASE}.ipynb?token=known&reset")
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell"), 90)
    wait(browser, lambda b: "Training a first network" in b.find_element(By.TAG_NAME, "body").text)
    idle(browser)
    browser.save_screenshot(str(SCREENSHOTS / "1-opened.png"))
    run_all(browser, folder / "runs" / BASE / "metrics.json", "2-base")
    menu(browser, "File", "Save Notebook")

    # duplicate in the file browser
    duplicate = f"{BASE}-Copy1.ipynb"
    for _ in range(3):  # saving redraws the list, and a click may go astray
        context_click(browser, f"{BASE}.ipynb")
        click(browser, ".lm-Menu-itemLabel", "Duplicate")
        try:
            wait(browser, lambda b: listed(b, duplicate), 10)
            break
        except TimeoutException:
            ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    context_click(browser, duplicate)
    browser.save_screenshot(str(SCREENSHOTS / "3-duplicated.png"))
    click(browser, ".lm-Menu-itemLabel", "Rename")
    editor = wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".jp-DirListing-editor"))[0]
    editor.send_keys(Keys.CONTROL, "a")
    editor.send_keys(f"{COPY}.ipynb", Keys.ENTER)
    item = wait(browser, lambda b: listed(b, f"{COPY}.ipynb"))
    ActionChains(browser).double_click(item).perform()
    wait(browser, lambda b: COPY in b.title or b.current_url.endswith(f"{COPY}.ipynb"))
    wait(
        browser,
        lambda b: [
            tab
            for tab in b.find_elements(By.CSS_SELECTOR, ".lm-TabBar-tab.jp-mod-current")
            if tab.text.startswith(COPY[:20])
        ],
    )

    # the copy still carries the base's name: it is told so before it can overwrite anything
    before = (folder / "runs" / BASE / "metrics.json").read_bytes()
    menu(browser, "Run", "Run All Cells")
    (refusal,) = wait(
        browser,
        lambda b: [
            o
            for o in b.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output")
            if o.is_displayed() and "NAME" in o.text and "Error" in o.text
        ],
        90,
    )
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", refusal)
    time.sleep(0.5)
    browser.save_screenshot(str(SCREENSHOTS / "4-refused.png"))
    assert (folder / "runs" / BASE / "metrics.json").read_bytes() == before

    # give it its own name and one changed value
    lines = [
        line for line in browser.find_elements(By.CSS_SELECTOR, ".cm-line") if line.is_displayed()
    ]
    for start, text in (("NAME =", f'NAME = "{COPY}"'), ("SEED =", "SEED = 1")):
        line = next(line for line in lines if line.text.startswith(start))
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", line)
        ActionChains(browser).click(line).send_keys(Keys.END).key_down(Keys.SHIFT).send_keys(
            Keys.HOME
        ).key_up(Keys.SHIFT).send_keys(text).perform()
        time.sleep(0.5)
    browser.save_screenshot(str(SCREENSHOTS / "5-changed.png"))
    run_all(browser, folder / "runs" / COPY / "metrics.json", "6-copy")

    for name, seed in ((BASE, 0), (COPY, 1)):
        metrics = json.loads((folder / "runs" / name / "metrics.json").read_text())
        assert metrics["name"] == name
        assert metrics["seed"] == seed
    assert (folder / "runs" / BASE / "metrics.json").read_bytes() == before


def shown(browser, css):
    """Wait for an element with this selector, and return it."""
    return wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, css), 90)[-1]


def test_a_recording_is_sent_with_the_button_of_04(lab, browser):
    url, folder = lab
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    weights = {"weights": "mini", "weights_sha256": load_embedding("mini").sha256}
    saved(folder / "runs" / "r", dataset=weights)
    rng = np.random.default_rng(0)
    soundfile.write(folder / "my voice.wav", 0.1 * rng.standard_normal(64_000).clip(-1, 1), 16_000)
    (folder / "notes.wav").write_text("no audio")
    # 04's own cell, after what it takes from the cells above it
    testing = nbformat.read(ROOT / "04-testing-and-application.ipynb", as_version=4)
    (cell,) = (cell for cell in testing.cells if "upload.button(" in cell.source)
    before = (
        "from audioseg.segmentation import segments\nfrom audioseg.training import runs\n\n"
        'run = runs.load(runs.FOLDER / "r")\n'
        'embedding, smoothing = segments.embedding_for(run), "viterbi 2"'
    )
    cells = [nbformat.v4.new_code_cell(before), nbformat.v4.new_code_cell(cell.source)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, folder / "button.ipynb")

    browser.get(f"{url}/lab/tree/button.ipynb?token=known&reset")
    shown(browser, ".jp-Notebook .jp-Cell")
    idle(browser)
    menu(browser, "Run", "Run All Cells")
    button = shown(browser, ".jupyter-widgets.widget-upload")
    # it opens the system's dialogue, where nobody sits here to choose
    browser.execute_script(
        "HTMLInputElement.prototype.click = function () {"
        " this.id = 'chosen'; document.body.append(this); };"
    )
    ActionChains(browser).move_to_element(button).click().perform()
    files = "\n".join(str(folder / name) for name in ("my voice.wav", "notes.wav"))
    browser.find_element(By.ID, "chosen").send_keys(files)
    frame = shown(browser, "iframe[title='Page of my voice.wav']")
    wait(browser, lambda b: "in no format that can be read" in b.page_source)
    said = browser.find_element(By.CSS_SELECTOR, ".jp-Notebook").text
    assert "notes.wav is in no format that can be read" in said
    assert str(folder) not in said and "Traceback" not in said
    links = browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook a[href*='segmented/']")
    assert {Path(link.text).suffix for link in links} == {".html", ".txt", ".csv", ".rttm"}
    assert (folder / "segmented" / "my voice.txt").read_text().startswith("0.000000\t")
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", frame)
    browser.switch_to.frame(frame)
    ready = "return document.documentElement.dataset.ready === 'yes'"
    wait(browser, lambda b: b.execute_script(ready))
    assert browser.find_element(By.TAG_NAME, "h1").text == "my voice.wav"
    browser.find_element(By.ID, "play").click()
    moves = "return document.querySelector('#audio').currentTime > 0.2"
    wait(browser, lambda b: b.execute_script(moves))
    browser.switch_to.default_content()
    browser.save_screenshot(str(SCREENSHOTS / "7-sent.png"))


def test_chromium_is_the_one_that_was_found(browser):
    try:
        assert browser.capabilities["browserVersion"]
    except WebDriverException as error:
        pytest.fail(f"Chromium at {CHROMIUM} does not answer: {error.msg}")
