"""A real browser, and a server for it to open."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from server.app import create_app
from server.settings import Settings
from tests.server.conftest import encoded

OpenPage = Callable[..., Page]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    own = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as driver:
        if not (own or Path(driver.chromium.executable_path).exists()):
            pytest.skip("no Chromium here: playwright install chromium, or name one in CHROMIUM")
        browser = driver.chromium.launch(executable_path=own)
        yield browser
        browser.close()


@contextmanager
def listening(**settings: Any) -> Iterator[str]:
    """A server in a thread; yields its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(Settings(threads=1, **settings)), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while thread.is_alive() and not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="package")
def folder(models: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for name, content in models.items():
        (folder / f"{name}.onnx").write_bytes(content)
    return folder


@pytest.fixture(scope="package")
def address(folder: Path) -> Iterator[str]:
    with listening(weights=(folder,)) as address:
        yield address


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[OpenPage]:
    """`open_page(**options)` opens the page in a new profile. The test fails where its scripts do, or break the CSP."""
    contexts, faults = [], []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):  # a 4xx, which tests ask for
            faults.append(message.text)

    def start(at: str = address, **options: Any) -> Page:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", note)
        page.goto(at)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return ready(open_page())


def ready(page: Page) -> Page:
    expect(page.locator("#model option")).to_have_count(4)
    return page


def picture(name: str = "a.png", seed: int = 0, size: tuple[int, int] = (48, 32), format: str = "PNG") -> dict[str, Any]:
    """A file as the browser is given it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
    return {"name": name, "mimeType": "", "buffer": encoded(smooth, format)}


def choose(page: Page, *files: dict[str, Any]) -> None:
    page.set_input_files("#file", list(files))


def finished(page: Page) -> None:
    expect(page.locator("#status")).to_have_text("Done", timeout=10_000)


def saved(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as caught:
        page.get_by_role("button", name=button, exact=True).click()
    return caught.value.suggested_filename, Path(caught.value.path()).read_bytes()


def answer(address: str, file: dict[str, Any], **query: Any) -> bytes:
    response = httpx.post(f"{address}/translate", params=query, content=file["buffer"])
    assert response.status_code == 200
    return response.content
