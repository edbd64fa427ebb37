"""Notebook 02, as far as its slider, in a running JupyterLab, with a headless Chromium in place of the reader."""

import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "marsnb"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
DRIVER = shutil.which("chromedriver")
HOW_TO_GET = "install Chromium and its driver (on Debian: apt-get install chromium chromium-driver)"
NO_UPDATE = "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"  # that would ask a package registry
FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
           "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")  # fmt: skip
STEP = 0.05  # of the slider, in powers of ten
SECONDS = 200  # for one step, on a machine that has much else to do; most of them take a second

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=f"no Chromium to move the slider in: {HOW_TO_GET}"),
    pytest.mark.skipif(find_spec("selenium") is None, reason="no selenium: `make test` installs it"),
]

PICTURE = """
const image = document.querySelector(".jp-OutputArea img.widget-image");
if (!image || !image.complete || !image.naturalWidth) return null;
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
canvas.getContext("2d").drawImage(image, 0, 0);
return canvas.toDataURL();
"""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a JupyterLab with settings of its own, open on notebook 02 up to its slider; it ends with the test."""
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    (tmp_path / "notebooks").mkdir()
    notebook = nbformat.read(ROOT / "notebooks" / "02_primer.ipynb", as_version=4)
    slider = next(i for i, cell in enumerate(notebook.cells) if "temperature_slider(" in cell.source)
    del notebook.cells[slider + 1 :]  # trainings, which take longer than all that comes before
    nbformat.write(notebook, tmp_path / "notebooks" / "02_primer.ipynb")
    folders = {name: str(tmp_path / name.lower()) for name in FOLDERS}
    environment = {**os.environ, **folders, "PYTHONPATH": str(ROOT)}
    for name in ("JUPYTER_PATH", "JPY_SESSION_NAME"):
        environment.pop(name, None)
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", NO_UPDATE]
    options = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
    ]
    at = f"http://127.0.0.1:{port}"
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *options, f"--ServerApp.root_dir={tmp_path / 'notebooks'}"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            wait_for_server(server, f"{at}/api/status?token={TOKEN}", tmp_path / "server.log")
            yield f"{at}/lab/tree/02_primer.ipynb?token={TOKEN}"
        finally:
            server.send_signal(signal.SIGTERM)  # it ends its kernels first
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for_server(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Return once it answers."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator["WebDriver"]:
    """A Chromium without a window; it ends with the test."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    flags = ("headless=new", "disable-gpu", "disable-dev-shm-usage", "window-size=1300,1000", "no-first-run")
    for flag in (*flags, *(["no-sandbox"] if os.geteuid() == 0 else []), f"user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    try:
        driver.set_page_load_timeout(SECONDS)
        yield driver
    finally:
        driver.quit()


def wait(browser: "WebDriver", script: str) -> Any:
    """What ``script`` returns, as soon as that is something."""
    from selenium.webdriver.support.ui import WebDriverWait

    waiting = WebDriverWait(browser, SECONDS, poll_frequency=0.2)
    return waiting.until(lambda driver: driver.execute_script(script), f"nothing came of {script}")


def wait_until_idle(browser: "WebDriver") -> None:
    """Return once the notebook is shown and no cell of it runs or waits."""
    idle = "document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]')"
    shown = "document.querySelector('.jp-Notebook .jp-Cell') && !document.querySelector('.jp-Spinner')"
    wait(browser, f"return {shown} && {idle}")


def run_all(browser: "WebDriver") -> None:
    """Choose "Run All Cells" in the menu "Run"."""
    items = browser.find_elements("css selector", ".lm-MenuBar-item")
    next(item for item in items if item.text == "Run").click()
    wait(browser, "return document.querySelector('li[data-command=\"runmenu:run-all\"]')").click()


def test_the_slider_moves_and_the_picture_follows(lab: str, browser: "WebDriver") -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(lab)
    wait_until_idle(browser)
    run_all(browser)
    before = wait(browser, PICTURE)
    wait_until_idle(browser)

    handle = wait(browser, "return document.querySelector('.jp-OutputArea .widget-slider .noUi-handle')")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    readout = browser.find_element("css selector", ".jp-OutputArea .widget-readout")
    assert readout.text == "0.200"
    handle.send_keys(Keys.ARROW_RIGHT)
    after = wait(browser, f"const now = (() => {{{PICTURE}}})(); return now !== {before!r} && now")
    assert readout.text == f"{10 ** (math.log10(0.2) + STEP):.3f}"
    handle.send_keys(Keys.ARROW_LEFT)
    wait(browser, f"const now = (() => {{{PICTURE}}})(); return now !== {after!r} && now")
    assert readout.text == "0.200"

    shown = "return ['.widget-slider', 'img.widget-image'].map(name => document.querySelectorAll(name).length)"
    assert browser.execute_script(shown) == [1, 1]
    width = "const i = document.querySelector('img.widget-image'); return [i.clientWidth, i.naturalWidth]"
    drawn, own = browser.execute_script(width)
    assert drawn == own  # neither stretched nor cut
