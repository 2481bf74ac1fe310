"""Take screenshots of the explorer in a headless Chromium."""

import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from made_pictures import HERE

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from make_pictures import Studio

SIZE = {"width": 1240, "height": 860}
ENOUGH = 120.0  # seconds


@contextmanager
def served(run: Path) -> Iterator[str]:
    """Serve a run's page; yield its address."""
    words = ["-m", "tigon", "explore", str(run), "--port", "0", "--no-browser"]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def until(page: "Page", condition: str) -> None:
    """Wait until an expression holds on the page; its policy allows no other way to check."""
    ends = time.monotonic() + ENOUGH
    while not page.evaluate(condition):
        if time.monotonic() > ends:
            raise TimeoutError(condition)
        time.sleep(0.1)


def infer(page: "Page") -> None:
    """Upload a training photograph and wait until the page has inferred its latent."""
    import tigon

    photographs = Path(tigon.__file__).parent / "data" / "animal_faces"
    page.locator("#file").set_input_files(photographs / "cat.png")
    until(page, "document.querySelector('#infer-status').textContent.startsWith('Done')")


def synthesise(page: "Page") -> None:
    """Run a chain on the page to its end."""
    page.locator("#synthesise").click()
    until(page, "document.querySelector('#chain-status').textContent.startsWith('Arrived')")


USED: dict[str, tuple[str, Callable[["Page"], None]]] = {
    "generator": ("document.querySelector('[data-testid=picture]').width > 1", infer),
    "descriptor": ("document.querySelector('#synthesise')?.offsetParent", synthesise),
}


def photograph(run: Path, kind: str, path: Path) -> Path:
    """Open a run's page, use it as its kind is used, and save a screenshot."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with served(run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(address)
        ready, use = USED[kind]
        until(page, ready)
        use(page)
        time.sleep(2)
        Image.open(io.BytesIO(page.screenshot())).save(path, quality=80)
        browser.close()
    return path


def explorer(kind: str, studio: "Studio") -> Path:
    """Save a screenshot of the page of the studio's generator or descriptor."""
    return photograph(studio.run(kind).folder, kind, HERE / "pictures" / f"explorer-{kind}.webp")
