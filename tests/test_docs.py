"""The code in README and docs/ works as shown; the site is complete and makes no requests."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tigon
from tigon.cli.main import VERBS, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNS = {"runs/faces": "generator", "runs/textures": "descriptor", "runs/walls": "descriptor"}
MIXED = {  # whose Python needs what its commands have made
    "composing.md",
    "interpolating.md",
    "judging.md",
    "likelihood.md",
    "restoring.md",
    "sharing.md",
}
ELSEWHERE = {
    "your-own.md",
    "examples.md",
    "data.md",
}  # the examples, and tests/data/test_data_page.py
NAMES = {"README.md", "docs", "holes", "photos", "others", "runs"}


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    language: str
    code: str


def blocks(page, *languages):
    found = [Block(*match) for match in BLOCK.findall(page.read_text())]
    return [block for block in found if block.language in languages]


def words_of(block):
    """The words of each command of a block, without the comments."""
    lines = [line for line in block.code.splitlines() if line]
    assert all(line.startswith(("tigon ", "#")) for line in lines), lines
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tigon ")]


def commands(page):
    """The words of each command that a page shows."""
    return [words for block in blocks(page, "sh") for words in words_of(block)]


def quick(code):
    """Make a block of Python short: fewer iterations, smaller images, the rest as it is."""
    code = re.sub(r"iterations=\d+", "iterations=2", code)
    return re.sub(r"image_size=64", "image_size=16", code)


def some_pictures(folder, count, seed):
    folder.mkdir()
    numbers = np.random.default_rng(seed)
    for k in range(count):
        pixels = numbers.integers(0, 56, (20, 24, 3)) + numbers.integers(0, 200, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")


def train_words(recipe, data, out):
    size = ["--iterations", "2", "--image-size", "16"]
    return ["train", recipe, "--data", data, "--out", out, *size]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder as the pages assume it: pictures, their masks `holes/`, and `brick.png`."""
    monkeypatch.chdir(tmp_path)
    some_pictures(tmp_path / "photos", 6, 0)
    (tmp_path / "holes").mkdir()
    for k in range(6):
        mask = np.full((16, 16), 255, np.uint8)
        mask[k : k + 8, 4:12] = 0
        Image.fromarray(mask).save(tmp_path / "holes" / f"{k}.png")
    some_pictures(tmp_path / "others", 3, 1)
    some_pictures(tmp_path / "normal", 20, 2)
    noise = np.random.default_rng(2).integers(0, 256, (96, 128, 3), np.uint8)
    Image.fromarray(noise).save("brick.png")
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the runs that pages refer to, trained for two iterations."""
    place = tmp_path_factory.mktemp("trained")
    some_pictures(place / "photos", 6, 0)
    for out, recipe in RUNS.items():
        assert main(train_words(recipe, str(place / "photos"), str(place / out))) == 0
    return place


def shown_python():
    """The pages with Python that runs by itself, and is not run elsewhere."""
    return [p for p in PAGES if blocks(p, "python") and p.name not in ELSEWHERE | MIXED]


@pytest.mark.parametrize("document", shown_python(), ids=lambda path: path.name)
def test_the_python_of_a_page_runs_in_order(document, folder):
    scope = {}
    for block in blocks(document, "python"):
        exec(compile(quick(block.code), str(document), "exec"), scope)
    if document.name == "README.md":
        assert scope["samples"].shape == (16, 3, 16, 16)
    if document.name == "chains.md":
        assert scope["draws"].trajectory.shape == (500, 64, 2)
        assert scope["draws"].accept_prob.mean() > 0.4
    if document.name == "generator.md":
        assert scope["new"].shape == (16, 3, 16, 16) and scope["latents"].shape == (6, 10)
    if document.name == "descriptor.md":
        assert scope["draws"].trajectory.shape == (3, 4, 3, 16, 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [p for p in PAGES if blocks(p, "sh") and p.name not in ELSEWHERE],
    ids=lambda path: path.name,
)
def test_the_commands_of_a_page_run_in_order(document, folder, trained):
    made = {words[words.index("--out") + 1] for words in commands(document) if words[0] == "train"}
    for out in set(RUNS) - made:
        shutil.copytree(trained / out, folder / out)
        settings = folder / out / "config.toml"
        settings.write_text(settings.read_text().replace(str(trained), str(folder)))
    scope = {}
    for block in blocks(document, "sh", "python"):
        if block.language == "sh":
            run_commands(words_of(block), folder)
        elif document.name in MIXED:
            exec(compile(quick(block.code), str(document), "exec"), scope)


def run_commands(lines, folder):
    """Run the commands of a block, those that train for a few iterations."""
    for words in lines:
        if words[0] == "explore":  # which serves until it is ended; its own tests run it
            assert main(["explore", "--help"]) == 0 and (folder / words[1]).is_dir()
            continue
        short = ["--iterations", "2", "--image-size", "16"] if words[0] == "train" else []
        short = short if "--iterations" not in words else []
        if words[0] == "resume" and "--iterations" in words:
            words[words.index("--iterations") + 1] = "4"
        assert main([*words, *short]) == 0, words


def test_the_readme_shows_every_verb_but_the_demo():
    assert {words[0] for words in commands(ROOT / "README.md")} >= set(VERBS) - {"demo"}


def test_code_is_marked_as_what_it_is():
    """A block without a language, or with one that nobody runs, is text or is indented."""
    for page in PAGES:
        for fence in re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)[::2]:
            readme = page.name == "README.md" and not fence  # make's two commands
            assert fence in ("sh", "python", "text") or readme, (page.name, fence)


@pytest.mark.parametrize(("page", "count"), [("your-own.md", 4), ("examples.md", 17)])
def test_a_page_shows_the_examples_as_they_are(page, count):
    shown = [block.code for block in blocks(ROOT / "docs" / page, "python")]
    kept = {path.name: path.read_text() for path in EXAMPLES}
    names = re.findall(r"^`examples/(\w+\.py)`\.", (ROOT / "docs" / page).read_text(), re.M)
    assert len(names) == len(shown) == count
    assert shown == [kept[name] for name in names]


def test_ten_examples_are_short():
    text = (ROOT / "docs" / "examples.md").read_text()
    names = re.findall(r"^`examples/(\w+\.py)`\.", text, re.M)
    lengths = [len((ROOT / "examples" / name).read_text().splitlines()) for name in names]
    assert all(10 <= length <= 25 for length in lengths)


QUICK = {
    "compose": r"mixture: mean log-densities -?\d+ and -?\d+, up to constants\nproduct: ",
    "custom_density": r"replica exchange 0\.(7[5-9]|8\d)",
    "custom_kernel": r"acceptance 0\.",
    "fine_tuning": r"three others: 0\.\d+, then 0\.0",
    "missing_values": r"missing 0\.(0\d|1[0-4])\d*, of grey in its place 0\.2",
    "interpolate": r"line: 5 images.*\narc: 5 images.*\nerror to .* 0\.[3-9]\d?, then 0\.[01]",
    "labels": r"blue: latents around .[01]\.\d+\nred: latents around .[01]\.",
    "likelihood": r"between -?\d+\.\d\d and -?\d+(.|\n)*bits per value of 0 to 255",
    "optimizer_and_scheduler": r"rate 1e-05\ntorch.Size\(\[4, 3, 16, 16\]\)",
    "own_loop": r"iteration 60: error 0\.",
    "restore": r"8 draws of each, spread 0\.\d+ in the hole",
    "resume": r"goes on at iteration 20\nthe same weights: True",
    "save_and_load": r"GeneratorModel: error 0\.0\d+, 3 between",
    "score": r"percentiles \[\d+\.\d, 9\d\.\d\], labels \[0, 1\]",
    "texture": r"differences across the border: (0\.[6-9]|1\.[0-4])",
    "torch_dataset": r"1000 pictures, error 0\.",
    "weights_and_biases": r"20 records, the last .'error': 0\.",
}
LONG = {
    "energy_on_tensors": r"mean of m 0\.3\d, of the images 0\.(29|3)",
    "mala_with_diagnostics": r"x: mean .*\ny: mean 0\.[45]\d, ESS \d{3,}, R-hat 1\.0",
    "custom_network": r"generator: error .*\ndescriptor: gap",
    "own_data": r"24 images, \(24, 32, 32, 3\), 0 left out\n.*: mean squared error",
    "generator": r"iteration 150: reconstruction error 0\..*\nlatents of two mirrored images:",
    "descriptor": r"iteration 80: gap .*\na sampler of 30 steps",
}


@pytest.mark.parametrize(
    "name",
    [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)],
)
def test_an_example_runs_as_it_is(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    assert re.search((QUICK | LONG)[name], capsys.readouterr().out)


def test_every_example_is_run_by_these_tests():
    assert {path.stem for path in EXAMPLES} == set(QUICK | LONG)


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_shows_or_links_is_there(document):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in link:
            assert (document.parent / link).is_file(), link


def test_the_api_page_has_every_public_name_once():
    named = re.findall(r"^::: tigon\.([\w.]+)\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.M)
    homes = {name: home for home, name in named}
    assert len(named) == len(homes)
    inside = set(tigon.callbacks.__all__)
    assert inside <= set(homes)
    assert {name: home for name, home in homes.items() if name not in inside} == tigon._HOMES


def test_pictures_are_small():
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()}
    animation = sizes.pop("latent-plane.webp")
    assert animation < 1_500_000
    assert max(sizes.values()) < 300_000
    assert animation + sum(sizes.values()) < 4_000_000


class Site:
    """The built site."""

    def __init__(self, folder):
        self.pages = {path: path.read_text() for path in folder.rglob("*.html")}
        self.folder = folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return Site(folder)


class Requests(HTMLParser):
    """Collects what a browser fetches when it shows a page."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.found += [given[name] for name in ("src", "srcset", "poster") if given.get(name)]
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given["href"])


OUTSIDE = re.compile(r"^(https?:)?//")


def test_the_site_asks_nobody(site):
    assert len(site.pages) > 15
    for path, page in site.pages.items():
        assert not [address for address in Requests(page).found if OUTSIDE.match(address)], path
    for path in site.folder.rglob("*.css"):
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", path.read_text()), path


def test_the_check_for_requests_sees_them():
    page = '<link rel="stylesheet" href="https://a.b/c.css"><script src="//a.b/d.js"></script>'
    assert [bool(OUTSIDE.match(a)) for a in Requests(page).found] == [True, True]


def test_formulas_are_mathml_and_nothing_is_left_of_latex(site):
    notation = site.pages[site.folder / "notation.html"]
    assert notation.count("<math xmlns") > 40
    for path, page in site.pages.items():
        assert "arithmatex" not in page, path
        assert ".. math::" not in page, path
        assert not re.search(r"<(mi|mo|mtext)>\\", page), path


def test_the_api_page_documents_every_public_name(site):
    api = site.pages[site.folder / "api.html"]
    for name, home in tigon._HOMES.items():
        assert f'id="tigon.{home}.{name}"' in api, name
