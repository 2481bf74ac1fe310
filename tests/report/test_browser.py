"""The page in a real browser: on a phone, in the dark, printed."""

import shutil

import pytest

from small import descriptor_recipe, generator_recipe
from tigon.report import write_comparison, write_report
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

CONTRAST = """() => {
  const parts = c => c.match(/[\\d.]+/g).map(Number);
  const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = parts(c);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b); };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (parts(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
  const words = [...document.querySelectorAll('body *')].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  return Math.min(...words.map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => x - y);
    return (b + 0.05) / (a + 0.05); }));
}"""


@pytest.fixture(scope="module")
def chromium():
    """Chromium: Playwright's own, or the one that is installed."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium starts here: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of one run, and a comparison with one that has a long name."""
    home = tmp_path_factory.mktemp("pages")
    names = {
        "g": "generator",
        "a-run-with-a-name-longer-than-a-phone-is-wide-" * 2: "descriptor",
    }
    for name, kind in names.items():
        recipe = generator_recipe() if kind == "generator" else descriptor_recipe()
        train(Experiment(kind, recipe, "embedded:animal-faces"), home / name)
    runs = [Run(home / name) for name in names]
    return [write_report(runs[0]), write_comparison(runs, home / "both.html")]


@pytest.mark.parametrize("number", (0, 1), ids=("one run", "comparison"))
@pytest.mark.parametrize("width", (360, 1200))
@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_nothing_is_wider_than_the_page_and_all_words_can_be_read(
    chromium, pages, number, width, scheme
):
    asked = []
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[number].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') &&
      e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(outside) == []
    assert page.evaluate(CONTRAST) >= 4.5
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.close()


def test_folded_sections_are_open_on_paper_and_no_figure_is_cut(chromium, pages):
    page = chromium.new_page(viewport={"width": 680, "height": 1000}, color_scheme="dark")
    page.goto(pages[1].as_uri())
    shown = "[...document.querySelectorAll('details.run img')].map(i => i.checkVisibility())"
    assert not any(page.evaluate(shown))
    page.emulate_media(media="print", color_scheme="dark")
    assert len(page.evaluate(shown)) > 10 and all(page.evaluate(shown))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    style = "[...document.querySelectorAll('figure')].map(f => getComputedStyle(f).breakInside)"
    assert set(page.evaluate(style)) == {"avoid"}
    tall = "Math.max(...[...document.querySelectorAll('.shown')].map(p => p.offsetHeight))"
    assert page.evaluate(tall) < 265 / 25.4 * 96  # so that each fits on a page
    page.close()


def test_a_link_to_a_run_opens_its_section(chromium, pages):
    page = chromium.new_page()
    page.goto(pages[1].as_uri())
    page.click("nav a >> nth=1")
    assert page.evaluate("document.querySelectorAll('details.run')[1].open")
    page.close()
