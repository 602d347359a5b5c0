"""The built site, from the disk and without network; `make site-check` builds it and runs these."""

import re
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from chromium import chromium, complaints, dark, narrow, needed

ROOT = Path(__file__).parent.parent.parent
SITE = ROOT / "site"
AXE = SITE / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = {
    "start": "docs/index.html",
    "01": "01-data-acquisition-analysis-splitting.html",
    "02": "docs/02-sound-to-embeddings.html",
    "03-00": "03-training-00-keras_2mlp_clsw0.html",
    "03-90": "03-training-90-explaining_0687.html",
    "04": "04-testing-and-application.html",
    "05": "05-your-own-problem.html",
    "figures": "docs/figures/index.html",
    "glossary": "docs/glossary.html",
    "workshop": "WORKSHOP.html",
    "reference": "docs/reference/modules/feat_ext.html",
}
LOADED = {"script": "src", "link": "href", "img": "src", "audio": "src", "source": "src"}

pytestmark = pytest.mark.site


@pytest.fixture(scope="module")
def pages():
    """Return the parsed pages by their path."""
    found = [path for path in SITE.rglob("*.html") if "_static" not in path.parts]
    assert len(found) > 40
    return {p: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in found}


def test_nothing_is_loaded_from_elsewhere(pages):
    for path, page in pages.items():
        for tag, attribute in LOADED.items():
            for one in page.find_all(tag, attrs={attribute: True}):
                if tag == "link" and one.get("rel") in (["canonical"], ["author"]):
                    continue
                address = urlsplit(one[attribute])
                assert address.scheme in {"", "data"}, f"{path.name} loads {one[attribute][:80]}"
                assert not address.netloc, f"{path.name} loads {one[attribute][:80]}"
    elsewhere = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]*")
    for path in SITE.rglob("*.css"):
        loaded = elsewhere.findall(path.read_text(encoding="utf-8"))
        assert not loaded, f"{path.name} loads {loaded}"


def test_links_within_the_site_lead_somewhere(pages):
    ids = {path: {one["id"] for one in page.find_all(id=True)} for path, page in pages.items()}
    for path, page in pages.items():
        for one in page.find_all("a", href=True):
            address = urlsplit(one["href"])
            if address.scheme or address.netloc:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.is_file(), f"{path.name}: {one['href']} leads nowhere"
            if address.fragment and target in ids:
                fragment = unquote(address.fragment)
                assert fragment in ids[target], f"{path.name}: {one['href']} has no such place"


def test_pictures_say_what_they_are(pages):
    for path, page in pages.items():
        for one in page.select("article img"):
            alt = one.get("alt", "")
            assert len(alt) > 5 and not alt.endswith(".png"), f"{path.name}: {one['src']}: {alt!r}"


# -- in a browser whose every request by name fails


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("chromium")
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    with chromium(offline, "--mute-audio", f"--user-data-dir={profile}") as driver:
        yield driver


@pytest.fixture
def look(browser):
    """Open a page as people see it: on a wide or narrow screen, in light or dark colours."""

    def open_page(name, how="wide"):
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        if how == "narrow":
            narrow(browser)
        if how == "dark":
            dark(browser)
        browser.get(f"{SITE.as_uri()}/{PAGES.get(name, name)}")
        return browser

    return open_page


@needed
@pytest.mark.parametrize("how", ["wide", "narrow", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_and_are_without_complaints(look, name, how):
    page = look(name, how)
    over = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert page.execute_script(over) <= 0
    assert page.execute_script("return document.documentElement.dataset.theme") == (
        "dark" if how == "dark" else "light"
    )
    assert not complaints(page)


@needed
def test_the_first_page_leads_to_the_start(look):
    page = look("index.html")
    deadline = time.time() + 20
    while not page.current_url.endswith("docs/index.html"):
        assert time.time() < deadline, page.current_url
        time.sleep(0.1)


@needed
@pytest.mark.parametrize("name", ["start", "01", "04", "05"])
def test_a_click_on_a_segment_plays(look, name):
    page = look(name)
    code = """
        const done = arguments[0];
        const bars = [...document.querySelectorAll('span[onclick]')];
        const audio = document.querySelector('audio[id^=player]');
        audio.addEventListener('timeupdate', () => {
          if (!audio.paused && audio.currentTime > 0) done([audio.currentTime, audio.duration]);
        });
        bars[Math.min(1, bars.length - 1)].click();
    """
    page.set_script_timeout(30)
    now, duration = page.execute_async_script(code)
    assert 0 < now <= duration


@needed
def test_every_sound_can_be_played(look):
    page = look("01")
    code = """
        const done = arguments[0];
        const sounds = [...document.querySelectorAll('audio')];
        Promise.all(sounds.map(sound => new Promise(resolve => {
          sound.addEventListener('loadedmetadata', () => resolve(sound.duration));
          sound.addEventListener('error', () => resolve(0));
          sound.preload = 'metadata'; sound.load();
        }))).then(done);
    """
    page.set_script_timeout(60)
    durations = page.execute_async_script(code)
    assert len(durations) > 10
    assert min(durations) > 0


@needed
def test_search_finds_a_word(look):
    page = look("search.html?q=embedding")
    deadline = time.time() + 30
    while not page.find_elements("css selector", "#search-results li a"):
        assert time.time() < deadline, "nothing found"
        time.sleep(0.2)


@needed
@pytest.mark.skipif(not AXE.exists(), reason="no axe-core: `make site-check` fetches it by npm")
@pytest.mark.parametrize("how", ["wide", "narrow", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_accessibility_has_no_serious_findings(look, name, how):
    page = look(name, how)
    page.execute_script(AXE.read_text(encoding="utf-8"))
    page.set_script_timeout(120)
    found = page.execute_async_script("""
        const done = arguments[0];
        axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations));
    """)
    serious = [
        f"{one['id']}: {one['help']}: {node['html'][:150]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
    assert not serious, "\n".join(serious[:20])
