"""The project's own site, from the notebooks as stored, in a headless Chromium that can reach no other machine."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from marsnb import paths, site

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
NARROW = 390  # pixels, of a telephone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(find_spec("sphinx_book_theme") is None, reason="needs the extra `site`"),
]

# What reaches beyond the right edge of the window without standing in something that scrolls by itself.
WIDE = """
const edge = document.documentElement.clientWidth + 1, found = [];
for (const one of document.querySelectorAll("main *")) {
  const box = one.getBoundingClientRect();
  if (!box.width || box.right <= edge) continue;
  let inside = false;
  for (let up = one; up && up !== document.body; up = up.parentElement)
    inside ||= ["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX);
  if (!inside) found.push(one.tagName + " " + one.className);
}
return found;
"""
# What scrolls sideways by itself.
SCROLLS = """
return [...document.querySelectorAll(".bd-article *")].filter(one => one.scrollWidth > one.clientWidth + 1
  && ["auto", "scroll"].includes(getComputedStyle(one).overflowX)).map(one => one.tagName + " " + one.className);
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The site's folder; the ledger is the committed one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARSNB_BUILD", str(tmp_path_factory.mktemp("build")))
        patch.setenv("MARSNB_FIGURES", str(paths.ROOT / "figures"))
        yield site.build().parent


@pytest.fixture(scope="module")
def browser() -> Iterator["WebDriver"]:
    """Chromium without name resolution, as narrow as a telephone."""
    if CHROMIUM is None or DRIVER is None or find_spec("selenium") is None:
        pytest.skip("no Chromium: on Debian, apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    sandbox = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    for argument in ("--headless=new", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage", *sandbox):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    driver.set_page_load_timeout(300)
    size = {"width": NARROW, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield driver
    driver.quit()


def asked(browser: "WebDriver") -> list[str]:
    """Addresses on other machines that were asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("file:", "data:"))]


def test_the_site_is_built_without_a_warning_and_small(pages: Path) -> None:
    built = {path.stem for path in (pages / "notebooks").glob("*.html")}
    assert built == {path.stem for path in paths.notebooks().glob("*.ipynb")}
    assert sum(path.stat().st_size for path in pages.rglob("*")) < 60e6
    results = (pages / "results.html").read_text()
    assert "Table 4. Ablation" in results and "79.28" in results


def test_every_page_fits_a_telephone_and_asks_no_one(pages: Path, browser: "WebDriver") -> None:
    for page in sorted(path for path in pages.rglob("*.html") if path.name not in ("search.html", "genindex.html")):
        browser.get(page.as_uri())
        assert browser.execute_script(WIDE) == [], page.name
        scrolls = browser.execute_script(SCROLLS)
        assert [
            one for one in scrolls if not one.startswith(("PRE", "DIV pst-scrollable", "DIV output text_html"))
        ] == []
    assert asked(browser) == []


@pytest.mark.parametrize("words", ["effective rank", "memory bank"])
def test_the_search_finds(pages: Path, browser: "WebDriver", words: str) -> None:
    browser.get(f"{(pages / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
    deadline = time.monotonic() + 60
    while not (
        found := browser.execute_script(
            "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
        )
    ):
        assert time.monotonic() < deadline, "nothing is found"
        time.sleep(0.2)
    assert any("/notebooks/" in link for link in found)
    assert asked(browser) == []
