"""The explorer in a real Chromium: it shows what the model computes, and nothing leaves it."""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch

from explored import make_calibrated, make_pictures, make_run, make_runs
from small import descriptor_recipe, generator_recipe
from test_extension import ToyRecipe
from tigon.data.load import load_images
from tigon.data.pixels import to_uint8
from tigon.inference.physics import Mask
from tigon.inference.restore import Draws, restore
from tigon.inference.score import score
from tigon.random.streams import RowRng
from tigon.recipes import GeneratorRecipe, recipes, register
from tigon.runs.run import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
HERE = Path(__file__).parents[1]
CAT = Path(__file__).parents[2] / "src" / "tigon" / "data" / "animal_faces" / "cat.png"
LIMIT = 40.0  # ms from pointer to picture, median, on a machine with nothing else to do
PATIENCE = 60_000  # ms


class Served:
    """A run that is explored in another process, at a port that stays its own."""

    def __init__(self, folder, before=""):
        self.folder, self.before = folder, before
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self):
        words = ["explore", str(self.folder), "--port", str(self.port), "--no-browser"]
        program = f"{self.before}\nfrom tigon.cli.main import main\nraise SystemExit(main())"
        where = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": where},
        )
        assert self.process.stdout.readline().strip() == self.url

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(30) == 0


@pytest.fixture(scope="module")
def serve():
    """Returns the server of a run folder; one for each folder and program before."""
    servers = {}

    def of(folder, before=""):
        if (folder, before) not in servers:
            servers[folder, before] = Served(folder, before)
        return servers[folder, before]

    yield of
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Small runs, and a generator of 64 x 64 images of the default size after two iterations."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = GeneratorRecipe(iterations=2)
    large = make_run(folder / "large", "generator", recipe, "embedded:animal-faces")
    found, data = make_runs(folder) | {"large": large}, folder / "pictures"
    for name, recipe in (("generator", generator_recipe), ("descriptor", descriptor_recipe)):
        shape = recipe(image_size=(8, 12))
        found[f"wide {name}"] = make_run(folder / f"wide-{name}", name, shape, data)
    return found


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """Runs that held images out."""
    return make_calibrated(tmp_path_factory.mktemp("calibrated"))


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens a server's page; in the end nothing may have been said or asked elsewhere."""
    contexts, problems = [], []

    def open_page(server, expected="", ready="[data-testid=picture]", **options):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)

        def said(message):
            known = [part for part in (expected, "willReadFrequently") if part]  # by the tests
            if message.type in ("error", "warning") and not any(p in message.text for p in known):
                problems.append(f"console: {message.text}")

        def asked(request):
            where = urlsplit(request.url)
            if where.scheme != "blob" and where.netloc != f"127.0.0.1:{server.port}":
                problems.append(f"request: {request.url}")

        page.on("console", said)
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("request", asked)
        page.on("websocket", lambda socket: asked(socket))
        page.goto(server.url)
        page.locator(ready).wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def pixels(page, selector="[data-testid=picture]"):
    """What a canvas shows, (H, W, 3)."""
    values = page.eval_on_selector(
        selector,
        """canvas => [canvas.width, canvas.height,
           Array.from(canvas.getContext('2d')
             .getImageData(0, 0, canvas.width, canvas.height).data)]""",
    )
    return np.array(values[2], np.uint8).reshape(values[1], values[0], 4)[..., :3]


def listen(page):
    """Collect what is painted from now on."""
    page.evaluate(
        """() => { window.painted = [];
           document.querySelector('[data-testid=picture]')
             .addEventListener('painted', (event) => window.painted.push(event.detail)); }"""
    )


def painted(page):
    return page.evaluate("window.painted")


def until(page, expression, argument=None):
    """Wait until an expression holds in the page; its policy forbids Playwright's own way."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"never: {expression}"
        page.wait_for_timeout(50)


def settle(page):
    """Wait until something has been painted and nothing more is; returns the last that was."""
    until(page, "window.painted.length > 0")
    count = 0
    while count != (count := page.evaluate("window.painted.length")):
        page.wait_for_timeout(500)
    return page.evaluate("window.painted.splice(0).at(-1)")


def shown_by(run, z):
    """What the model decodes a latent to, (H, W, 3)."""
    return to_uint8(Run(run.folder).learner().decode(torch.tensor([z])))[0]


def middle(page, across=0.0, up=0.0):
    """A place on the plane, in parts of its width from its middle."""
    plane = page.get_by_test_id("latent-plane")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    return box["x"] + box["width"] * (0.5 + across), box["y"] + box["height"] * (0.5 - up)


def wait_for_text(page, selector, text):
    """Wait until an element says this."""
    until(
        page,
        "([selector, text]) => document.querySelector(selector).textContent.includes(text)",
        [selector, text],
    )


def wait_for_step(page, after):
    """Wait until a chain is further than this."""
    until(
        page,
        "(n) => +document.querySelector('#chain-status').textContent.match(/[0-9]+/)?.[0] > n",
        after,
    )


def ready(page):
    """Wait until the model is there, and for a generator its first picture."""
    until(page, "document.querySelectorAll('.thumb').length > 0")
    until(
        page, "!document.querySelector('#plane') || document.querySelector('#picture').width > 1"
    )


def test_the_picture_follows_the_pointer_and_is_what_the_model_decodes(visit, serve, runs):
    page = visit(serve(runs["generator"].folder))
    ready(page)
    listen(page)
    seen = []
    for across, up in ((0.3, 0.3), (-0.3, 0.1), (0.1, -0.35)):
        page.mouse.move(*middle(page, across, up))
        z = settle(page)["z"]
        seen.append(pixels(page))
        assert np.array_equal(seen[-1], shown_by(runs["generator"], z))
        assert np.sign(z[0]) == np.sign(across) and np.sign(z[1]) == np.sign(up)
    assert not np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[1], seen[2])
    page.mouse.move(5, 5)
    assert settle(page)["z"] == [0, 0]


def test_the_time_from_pointer_to_picture(visit, serve, runs, capsys):
    page = visit(serve(runs["large"].folder))
    ready(page)
    page.uncheck("#backdrop")
    listen(page)
    for k in range(120):
        angle = k / 15
        page.mouse.move(*middle(page, 0.35 * np.cos(angle), 0.3 * np.sin(1.3 * angle)))
        page.wait_for_timeout(25)
    page.wait_for_timeout(500)
    moves = [one for one in painted(page) if one["handled"] is not None][10:]
    times = sorted(one["handled"] for one in moves)
    median, late = statistics.median(times), times[int(0.95 * len(times))]
    decoding = statistics.median(one["milliseconds"] for one in moves)
    load, cores = os.getloadavg()[0], os.cpu_count()
    with capsys.disabled():
        print(
            f"\npointer to picture, 64 x 64, {len(times)} pictures: median {median:.1f} ms, "
            f"95th percentile {late:.1f} ms (decoding {decoding:.1f} ms; load {load:.1f} "
            f"on {cores} cores)"
        )
    assert len(times) > 20
    assert median < (LIMIT if load < cores + 1 else 10 * LIMIT)


def test_a_picked_image_a_point_and_the_strip_between_two(visit, serve, runs):
    run = runs["generator"]
    page = visit(serve(run.folder))
    ready(page)
    listen(page)
    points = run.learner().store.points
    page.get_by_label("Go to 3.png").focus()
    page.keyboard.press("Enter")
    z = settle(page)["z"]
    assert np.allclose(z, points[3], atol=1e-6)
    assert page.get_by_label("Go to 3.png").get_attribute("aria-pressed") == "true"
    assert page.locator("#plane-where").inner_text().startswith("3.png")
    page.get_by_role("button", name="Use as end").click()
    until(page, "document.querySelector('#line-end-name').textContent === '3.png'")
    page.select_option("#line-count", "5")
    until(page, "document.querySelector('#strip').width === 40")
    page.wait_for_timeout(300)
    start, end = points[0], points[3]
    strip = np.concatenate(
        [shown_by(run, (start + k / 4 * (end - start)).tolist()) for k in range(5)], 1
    )
    assert np.abs(pixels(page, "#strip").astype(int) - strip).max() <= 1
    page.locator("#line-part").fill("0.5")
    z = settle(page)["z"]
    assert np.allclose(z, (start + end) / 2, atol=1e-5)
    assert np.array_equal(pixels(page), shown_by(run, z))
    for button, name in (
        ("#save-picture", "picture.png"),
        ("#save-strip", "interpolation.png"),
        ("#save-plane", "latent-plane.png"),
    ):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
        assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_the_keyboard_reaches_and_moves_the_point(visit, serve, runs):
    page = visit(serve(runs["generator"].folder))
    ready(page)
    listen(page)
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate("document.activeElement.id || document.activeElement.className")
        )
    assert order[:4] == ["skip", "backdrop", "save-plane", "plane"]
    page.get_by_test_id("latent-plane").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    z = settle(page)["z"]
    assert np.allclose(z, [0.1, 0.4])
    assert np.array_equal(pixels(page), shown_by(runs["generator"], z))
    assert "z1 0.10, z2 0.40" in page.locator("#plane-where").inner_text()
    page.keyboard.press("0")
    assert settle(page)["z"] == [0, 0]
    unnamed = page.evaluate(
        """() => Array.from(document.querySelectorAll('button, input, select, canvas[role]'))
             .filter((e) => e.offsetParent && !(e.ariaLabel || e.textContent.trim()
               || e.labels?.length
               || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML)"""
    )
    assert unnamed == []


def test_one_watches_the_chains_infer_a_dropped_picture(visit, serve, runs, tmp_path):
    run = runs["generator"]
    page = visit(serve(run.folder))
    ready(page)
    picture = make_pictures(tmp_path / "own", 1) / "0.png"
    content = list(picture.read_bytes())
    page.locator("#starts").fill("3")
    page.locator("#infer-seed").fill("4")
    drop = """([bytes, name, kind]) => { const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name, { type: kind }));
      document.body.dispatchEvent(
        new DragEvent('drop', { dataTransfer: data, bubbles: true })); }"""
    page.evaluate(drop, [content, "mine.png", "image/png"])
    until(page, "document.querySelector('#infer-status').textContent.startsWith('Done')")
    out = tmp_path / "found.npz"
    words = [
        "reconstruct",
        str(run.folder),
        "--data",
        str(picture),
        "--starts",
        "3",
        "--seed",
        "4",
    ]
    subprocess.run([sys.executable, "-m", "tigon", *words, "--out", str(out)], check=True)
    found = json.loads(page.locator("#found").get_attribute("data-latent"))
    with np.load(out) as told:
        assert np.allclose(found, told["latents"][0], atol=1e-5)
        assert np.abs(pixels(page, "#found").astype(int) - told["images"][0]).max() <= 1
    assert "error 0." in page.locator("#infer-status").inner_text()
    assert "step 80" in page.locator("#error-chart canvas").get_attribute("aria-label")
    assert page.locator("#plane-where").inner_text().startswith("mine.png")


def test_rectangles_are_shown_and_inferred_as_they_are(visit, serve, runs, tmp_path):
    page = visit(serve(runs["wide generator"].folder))
    ready(page)
    assert "8 × 12" in page.locator("#facts").get_attribute("data-run")
    listen(page)
    page.mouse.move(*middle(page, 0.3, 0.2))
    z = settle(page)["z"]
    assert np.array_equal(pixels(page), shown_by(runs["wide generator"], z))
    until(page, "document.querySelector('#strip').width > 1")
    strip = pixels(page, "#strip")
    assert strip.shape[0] == 8 and strip.shape[1] % 12 == 0
    size = page.eval_on_selector(".thumb canvas", "(canvas) => [canvas.width, canvas.height]")
    assert size == [12, 8]
    page.locator("#file").set_input_files(make_pictures(tmp_path / "own", 1) / "0.png")
    until(page, "document.querySelector('#infer-status').textContent.startsWith('Done')")
    assert pixels(page, "#own").shape == pixels(page, "#found").shape == (8, 12, 3)
    page = visit(serve(runs["wide descriptor"].folder))
    page.get_by_label("Start from 2.png").click()
    until(page, "document.querySelector('[data-testid=picture]').width > 1")
    assert pixels(page).shape == (8, 12, 3)


def test_what_is_no_picture_is_refused_in_the_page(visit, serve, runs, tmp_path):
    page = visit(serve(runs["generator"].folder), expected="415")
    ready(page)
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    page.set_input_files("#file", text)
    until(page, "!document.querySelector('#notice').hidden")
    assert page.locator("#notice").inner_text() == "notes.txt: this file is not an image"
    assert page.locator("#infer-view").is_hidden()


def test_an_inference_can_be_stopped(visit, serve, runs):
    page = visit(serve(runs["large"].folder))
    ready(page)
    page.locator("#starts").fill("16")
    page.set_input_files("#file", CAT)
    wait_for_text(page, "#infer-status", "Step 2")
    page.click("#infer-stop")
    until(page, "document.querySelector('#infer-status').textContent.includes('stopped')")
    assert page.locator("#infer-stop").is_disabled()


def on_paint(page, column, row, size=8):
    """Where a place of the painted picture is, in its pixels from the upper left."""
    box = page.get_by_test_id("paint").bounding_box()
    return box["x"] + box["width"] * column / size, box["y"] + box["height"] * row / size


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_one_paints_over_a_picture_and_watches_it_filled(visit, serve, runs, name):
    page = visit(serve(runs[name].folder))
    ready(page)
    page.click("#fill-start")
    assert "no picture yet" in page.locator("#fill-status").inner_text()
    page.select_option("#fill-image", label="1.png")
    wait_for_text(page, "#fill-status", "1.png: paint over")
    page.click("#fill-start")
    wait_for_text(page, "#fill-status", "nothing is painted over yet")
    page.get_by_role("button", name="Rectangle").click()
    page.get_by_test_id("paint").scroll_into_view_if_needed()
    page.mouse.move(*on_paint(page, 2.2, 3.2))
    page.mouse.down()
    page.mouse.move(*on_paint(page, 4, 4))
    page.mouse.move(*on_paint(page, 5.8, 5.8))
    page.mouse.up()
    wait_for_text(page, "#paint-status", "12 of 64 pixels")
    page.locator("#fill-chains").fill("3")
    page.locator("#fill-seed").fill("5")
    page.click("#fill-start")
    until(page, "document.querySelector('#fill-status').textContent.startsWith('Done')")
    kept = torch.ones(8, 8)
    kept[3:6, 2:6] = 0
    run = Run(runs[name].folder)
    physics, rng = Mask(kept), RowRng(5, 0, range(3), "restore")
    image = run.images().read(slice(1, 2))
    wanted = restore(run.learner().model, physics(image), physics, rng, how=Draws(3))
    mean = pixels(page, "[data-testid=fill-mean]")
    assert np.abs(mean.astype(int) - to_uint8(wanted.mean)[0]).max() <= 1
    told = page.locator("#fill-remark")
    assert told.is_hidden() if name == "generator" else "no posterior" in told.inner_text()


def test_the_keyboard_and_a_finger_paint_and_a_fill_can_be_stopped(visit, serve, runs):
    page = visit(serve(runs["large"].folder), has_touch=True)
    ready(page)
    page.set_input_files("#file", CAT)
    wait_for_text(page, "#fill-status", "cat.png: paint over")
    assert "stretched to 64 × 64" in page.locator("#own-status").inner_text()
    page.locator("#brush-size").fill("1")
    page.get_by_test_id("paint").focus()
    for key in ("Space", "ArrowRight", "Space", "Shift+ArrowDown", "Enter"):
        page.keyboard.press(key)
    wait_for_text(page, "#paint-status", "3 of 4096 pixels")
    page.keyboard.press("Control+z")
    wait_for_text(page, "#paint-status", "2 of 4096 pixels")
    page.get_by_test_id("paint").scroll_into_view_if_needed()
    page.touchscreen.tap(*on_paint(page, 10.5, 10.5, 64))
    wait_for_text(page, "#paint-status", "3 of 4096 pixels")
    page.click("#paint-clear")
    wait_for_text(page, "#paint-status", "0 of 4096 pixels")
    page.click("#paint-undo")
    wait_for_text(page, "#paint-status", "3 of 4096 pixels")
    page.click("#fill-start")
    wait_for_text(page, "#fill-status", "Step 2")
    page.click("#fill-stop")
    wait_for_text(page, "#fill-status", "stopped")
    assert page.locator("#fill-stop").is_disabled()


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_a_dropped_picture_is_scored_beside_held_out_images(visit, serve, name, calibrated):
    run = calibrated[name]
    page = visit(serve(run.folder))
    ready(page)
    page.set_input_files("#file", CAT)
    wait_for_text(page, "#score-status", "beside 22 images")
    image = load_images(str(CAT), 8).read()
    found = score(run.learner().model, image, RowRng(0, 0, range(4), "score"))
    rows = page.locator("#score-table tbody tr")
    assert rows.count() == len(found.scores)
    value, percentile = rows.first.locator("td").all_inner_texts()
    assert float(value) == pytest.approx(found.scores[found.main].item(), rel=0.01)
    assert 0 <= float(percentile) < 100 and page.locator("#score-why").is_hidden()
    assert pixels(page, "[data-testid=score-map]").shape == (8, 8, 3)


def test_without_held_out_images_the_page_says_why_there_is_no_percentile(visit, serve, runs):
    page = visit(serve(runs["grids"].folder), ready="#chain-picture")
    ready(page)
    page.set_input_files("#file", CAT)
    wait_for_text(page, "#score-why", "no percentile: that needs 20 or more images")
    assert page.locator("#score-table tbody tr").first.locator("td").all_inner_texts()[1] == "–"


def test_axes_are_chosen_where_there_are_more_than_two(visit, serve, runs):
    run = runs["deep"]
    page = visit(serve(run.folder))
    ready(page)
    listen(page)
    points = run.learner().store.points
    page.get_by_label("Go to 2.png").click()
    settle(page)
    assert "The other 2 coordinates are those of 2.png" in page.locator("#others").inner_text()
    page.select_option("#axes-kind", "pair")
    page.select_option("#axis-x", "1")
    page.select_option("#axis-y", "3")
    page.mouse.move(*middle(page, 0.3, 0.25))
    z = settle(page)["z"]
    assert np.allclose([z[0], z[2]], points[2, [0, 2]], atol=1e-6)
    assert z[1] > 0.5 and z[3] > 0.5
    assert np.array_equal(pixels(page), shown_by(run, z))
    page.click("#others-zero")
    page.mouse.move(*middle(page, 0.3, 0.25))
    z = settle(page)["z"]
    assert z[0] == z[2] == 0 and "are 0" in page.locator("#others").inner_text()
    page.select_option("#axis-y", "1")
    assert page.locator("#axis-x").input_value() != "1"


def test_two_pages_each_have_their_own_chain_and_stay_fair(visit, serve, runs):
    server = serve(runs["descriptor"].folder)
    pages = [visit(server), visit(server)]
    for seed, page in enumerate(pages):
        page.locator("#chain-seed").fill(str(seed))
        slide(page, "steps", 1.0)
        slide(page, "pace", 0.5)  # slow enough to be stopped on the way
        page.click("#synthesise")
    for page in pages:
        wait_for_step(page, 3)
    assert not np.array_equal(pixels(pages[0]), pixels(pages[1]))
    pages[0].click("#stop")
    before = step_of(pages[1])
    wait_for_step(pages[1], before)
    assert "stopped" in pages[0].locator("#chain-status").inner_text()


def step_of(page):
    return int(re.search(r"\d+", page.locator("#chain-status").inner_text()).group())


def slide(page, name, part):
    slider = page.locator(f"#slide-{name}")
    slider.wait_for()
    slider.fill(str(round(200 * part)))


def test_a_chain_synthesises_and_its_sliders_act_while_it_runs(visit, serve, runs):
    run = runs["descriptor"]
    page = visit(serve(run.folder))
    assert "not a density" in page.locator("#what").inner_text()
    slide(page, "pace", 1.0)
    page.get_by_label("Start from 2.png").click()
    wait_for_text(page, "#chain-status", "Arrived")
    own = run.learner().sample_chain(torch.tensor([2]), RowRng(0, 0, [2], "explore"))
    assert np.array_equal(pixels(page), to_uint8(own.x)[0])
    label = page.locator("#density-chart canvas").get_attribute("aria-label")
    assert "step 3" in label and "nothing" not in label
    slide(page, "steps", 1.0)
    slide(page, "pace", 0.5)
    page.select_option("#start-kind", "noise")
    page.click("#synthesise")
    wait_for_text(page, "#chain-status", "Step 2")
    size = "+document.querySelector('#chain-status').textContent.split('s = ')[1]"
    before = page.evaluate(size)
    slide(page, "step_size", 0.2)
    until(page, f"{size} < {before / 2}")
    page.click("#hold")
    page.wait_for_timeout(700)
    held = step_of(page)
    page.wait_for_timeout(700)
    assert step_of(page) == held and page.locator("#hold").inner_text() == "Resume"
    page.click("#hold")
    wait_for_step(page, held)
    page.click("#stop")
    until(page, "document.querySelector('#chain-status').textContent.includes('stopped')")


def test_a_server_that_goes_and_comes_back_finds_the_page_as_it_was(visit, serve, runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs["generator"].folder, folder)
    server = serve(folder)
    page = visit(server, expected="ERR_CONNECTION_REFUSED")
    ready(page)
    listen(page)
    page.get_by_label("Go to 4.png").click()
    z = settle(page)["z"]
    server.stop()
    page.locator("#gone").wait_for()
    assert "The server is not reachable" in page.locator("#gone").inner_text()
    assert page.locator("#connection").inner_text() == "Not connected"
    page.evaluate(
        "document.querySelector('[data-testid=picture]').width = 1; window.painted = [];"
    )
    server.start()
    until(page, "document.querySelector('#gone').hidden")
    assert np.allclose(settle(page)["z"], z) and pixels(page).shape == (8, 8, 3)
    assert np.array_equal(pixels(page), shown_by(runs["generator"], z))
    assert page.locator("#plane-where").inner_text().startswith("4.png")


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_finger_moves_the_point(
    visit, serve, runs, name
):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = visit(serve(runs[name].folder), **phone)
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    if name == "descriptor":
        return
    listen(page)
    page.get_by_test_id("latent-plane").scroll_into_view_if_needed()
    page.touchscreen.tap(*middle(page, 0.3, -0.3))
    z = settle(page)["z"]
    assert z[0] > 0.5 and z[1] < -0.5
    assert np.array_equal(pixels(page), shown_by(runs[name], z))
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#plane')).touchAction") == "none"
    )


def test_colours_are_read_easily_in_light_and_dark(visit, serve, runs):
    ratio = """() => { const names = ['ink', 'muted', 'accent'];
      const style = getComputedStyle(document.documentElement);
      const light = (hex) => { const c = [1, 3, 5]
        .map((k) => parseInt(hex.slice(k, k + 2), 16) / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
      const of = (name) => light(style.getPropertyValue('--' + name).trim());
      const pairs = names.flatMap((a) => [[a, 'card'], [a, 'ground'], [a, 'plane']]);
      pairs.push(['on-accent', 'accent'], ['warn-ink', 'warn']);
      return [style.getPropertyValue('--ground'), Math.min(...pairs.map(([a, b]) => {
        const [x, y] = [of(a), of(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05); }))]; }"""
    found = {}
    for scheme in ("light", "dark"):
        page = visit(serve(runs["generator"].folder), color_scheme=scheme)
        ground, least = page.evaluate(ratio)
        found[scheme] = ground
        assert least >= 4.5
    assert found["light"] != found["dark"]


def test_a_run_that_is_training_shows_its_curves_and_then_its_model(visit, serve, tmp_path):
    data = make_pictures(tmp_path / "pictures")
    folder = tmp_path / "run"
    whole = make_run(tmp_path / "whole", "generator", generator_recipe(), data)
    folder.mkdir()
    shutil.copy(whole.config, folder / "config.toml")
    lines = whole.metrics.read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:2]))
    server = serve(folder)
    page = visit(server, ready="#waiting")
    assert "no checkpoint yet" in page.locator("#waiting").inner_text()
    loss = page.locator("[data-curve=reconstruction_error] canvas")
    drawn = """(until) => document.querySelector('[data-curve=reconstruction_error] canvas')
      .ariaLabel.endsWith(until)"""
    until(page, drawn, "iteration 2")
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(lines[2:4])
    until(page, drawn, "iteration 4")
    assert "training" in page.locator("#training-state").inner_text()
    assert loss.is_visible()
    shutil.copytree(whole.checkpoints, folder / "checkpoints")
    page.locator("[data-testid=picture]").wait_for()
    until(page, "document.querySelector('#facts').textContent.endsWith('iteration 6')")
    assert page.locator("#waiting").is_hidden()
    page.uncheck("#follow")
    page.wait_for_timeout(300)
    (folder / "checkpoints" / "6").rename(folder / "checkpoints" / "7")
    page.get_by_role("button", name="Load iteration 7").click()
    until(page, "document.querySelector('#facts').textContent.endsWith('iteration 7')")


def test_a_hidden_page_asks_for_nothing(visit, serve, runs):
    page = visit(serve(runs["generator"].folder))
    ready(page)
    listen(page)
    page.mouse.move(*middle(page, 0.2, 0.2))
    settle(page)
    hide = """(hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange')); }"""
    page.evaluate(hide, True)
    before = len(painted(page))
    page.mouse.move(*middle(page, -0.3, 0.3))
    page.wait_for_timeout(500)
    assert len(painted(page)) == before
    page.evaluate(hide, False)
    assert settle(page)["z"][0] < 0


REGISTERED = (
    "from tigon.recipes import register\nfrom test_extension import ToyRecipe\nregister(ToyRecipe)"
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A run of a kind that the package does not know."""
    folder = tmp_path_factory.mktemp("toy")
    register(ToyRecipe)
    yield make_run(
        folder / "run", "toy", ToyRecipe(iterations=6), make_pictures(folder / "pictures")
    )
    del recipes()["toy"]


def test_a_kind_without_a_page_of_its_own_shows_pictures_and_curves(visit, serve, toy):
    page = visit(serve(toy.folder, REGISTERED), ready="[data-testid=drawn]")
    wait_for_text(page, "#draw-status", "16 draws with seed 0")
    drawn = pixels(page, "#drawn")
    images = to_uint8(toy.learner().sample(16, RowRng(0, 0, range(16), "sample")))
    assert drawn.shape == (35, 35, 3)  # four in a row, a pixel between
    assert np.array_equal(drawn[9:17, 18:26], images[6])
    page.click("#draw-others")
    wait_for_text(page, "#draw-status", "seed 1")
    assert not np.array_equal(pixels(page, "#drawn"), drawn)
    page.select_option("#draw-count", "9")
    wait_for_text(page, "#draw-status", "9 draws")
    assert pixels(page, "#drawn").shape == (26, 26, 3)
    assert "knows one image" in page.locator("#what").inner_text()
    label = page.locator("[data-curve=toy_error] canvas").get_attribute("aria-label")
    assert "Toy error, squared" in label and label.endswith("iteration 6")
    assert page.locator("#plane, #chain-picture, .thumb").count() == 0
    with page.expect_download() as download:
        page.click("#save-drawn")
    assert download.value.suggested_filename == "pictures.png"


def test_panels_of_other_pages_stand_on_one_page_together(visit, serve, runs):
    both = (
        "from tigon.recipes import GeneratorRecipe as kind\n"
        "kind.panels = ('inference', 'pictures', 'picture', 'curves')"
    )
    folder = runs["deep"].folder
    page = visit(serve(folder, both))
    wait_for_text(page, "#draw-status", "16 draws")
    assert page.locator("#plane").count() == 0
    page.locator("#starts").fill("2")
    page.set_input_files("#file", CAT)
    until(page, "document.querySelector('#infer-status').textContent.startsWith('Done')")
    until(page, "document.querySelector('#picture-where').textContent.startsWith('cat.png')")
    z = json.loads(page.locator("#found").get_attribute("data-latent"))
    assert np.array_equal(pixels(page), shown_by(runs["deep"], z))
