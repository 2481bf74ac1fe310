"""The report as a browser parses it."""

import base64
import io
import itertools
import json
import re

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from small import descriptor_recipe, generator_recipe
from tigon.errors import TigonError
from tigon.figures import COLOURS, FAINT, INK
from tigon.report import render, section, write_report
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

FIGURES = {
    "generator": [
        "figure-1-reconstructions", "figure-2-prior", "figure-3-latent-grid", "figure-4-loss",
        "latents", "acceptance", "step-size", "latent-deviation",
        "latent-mean", "samples-nearest",
        "diagnosis-traces", "diagnosis-long-run",
    ],
    "descriptor": [
        "figure-5-synthesised", "figure-6-gap", "samples", "saturation",
        "energy-distance", "samples-nearest",
        "diagnosis-long-run", "diagnosis-traces",
    ],
}  # fmt: skip
RECIPES = {"generator": generator_recipe(latent_dim=3), "descriptor": descriptor_recipe()}


@pytest.fixture(params=RECIPES, scope="module")
def run(request, tmp_path_factory):
    """A finished run of each recipe, with its report."""
    home = tmp_path_factory.mktemp("report")
    (home / "pictures").mkdir()
    for k in range(5):
        Image.new("RGB", (16, 16), (40 * k, 90, 150)).save(home / "pictures" / f"{k}.png")
    (home / "pictures" / "broken <b>.png").write_text("text")
    train(Experiment(request.param, RECIPES[request.param], str(home / "pictures")), home / "run")
    found = Run(home / "run")
    assert write_report(found) == found.folder / "report.html"
    return found


@pytest.fixture
def text(run):
    """The page's text."""
    return (run.folder / "report.html").read_text()


@pytest.fixture
def document(text):
    """The page as a tree."""
    return BeautifulSoup(text, "html.parser")


def same_pixels(one, other):
    pair = [Image.open(io.BytesIO(data)).convert("RGB") for data in (one, other)]
    return pair[0].size == pair[1].size and pair[0].tobytes() == pair[1].tobytes()


def test_every_figure_is_a_file_and_stands_in_the_page_pixel_by_pixel(run, document):
    names = FIGURES[run.experiment.name]
    assert sorted(p.stem for p in (run.folder / "figures").iterdir()) == sorted(names)
    embedded = [
        base64.b64decode(image["src"].split(",", 1)[1]) for image in document.find_all("img")
    ]
    files = [(run.folder / "figures" / f"{name}.png").read_bytes() for name in names]
    assert all(same_pixels(*pair) for pair in zip(embedded, files, strict=True))
    assert sum(map(len, embedded)) < 0.8 * sum(map(len, files))
    assert all(Image.open(io.BytesIO(data)).size[0] > 200 for data in embedded)
    for image in document.find_all("img"):
        caption = image.find_next("figcaption").text
        assert len(image["alt"]) > 30 and image["alt"] != caption and caption


def test_the_diagnosis_stands_in_the_page_with_its_verdict_and_every_finding(run, document):
    saved = json.loads((run.folder / "diagnosis.json").read_text())
    assert "Diagnosis" in [title.text for title in document.find_all("h3")]
    (verdict,) = document.select(".verdict")
    assert verdict.text == f"Verdict: {saved['verdict']}." and "too short" in verdict.text
    assert verdict["class"] == ["verdict", "note"]
    told = [item.text for item in document.select(".findings li")]
    assert len(told) == len(saved["findings"]) >= 5
    for item, finding in zip(told, saved["findings"], strict=True):
        assert finding["level"] in item and finding["what"] in item and finding["remedy"] in item


def test_the_page_needs_no_other_file(text):
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text).replace("<!doctype html>", "")


def test_settings_seed_hardware_times_and_temperature_are_told(run, document):
    told = {name.text: name.find_next("dd").text for name in document.find_all("dt")}
    recipe = run.experiment.recipe
    assert told["data"].endswith("/pictures") and told["training images"] == "5 of 8 x 8 x 3"
    assert told["seed"] == "0" and told["iterations"] == "6" and told["images"] == "5"
    assert told["optimizer.learning_rate"] == str(recipe.optimizer.learning_rate)
    assert told["temperature"] == f"{recipe.chains.temperature:g}"
    if run.experiment.name == "descriptor":
        gap = re.match(r"(\S+) nats .* of f, that is (\S+) of p\^\(1/T\)", told["|gap|"])
        of_f, of_q = map(float, gap.groups())
        assert of_q == pytest.approx(of_f / recipe.chains.temperature, rel=0.01, abs=0.6)
        aim = (
            "p^(1/T), here p^1000, whose reference density is 0.0221 wide, while that of p is 0.7"
        )
        assert aim in " ".join(document.text.split())
    assert told["processor"] and told["torch"] and float(told["training seconds"]) > 0


def test_files_left_out_are_named_and_names_cannot_inject_markup(text):
    assert "broken &lt;b&gt;.png is not an image" in text


def test_what_the_model_is_is_said(run, document):
    text = " ".join(document.text.split())
    if run.experiment.name == "descriptor":
        assert "this is a sampler, not a density" in text and "at temperature 0.001" in text
    else:
        assert "inferred by MALA at temperature 1" in text


def test_a_page_can_show_several_runs(tmp_path, pictures):
    for name, recipe in RECIPES.items():
        train(Experiment(name, recipe, str(pictures)), tmp_path / name)
    sections = [section(Run(tmp_path / name)) for name in RECIPES]
    page = BeautifulSoup(
        render(sections, tmp_path / "both.html", "both").read_text(), "html.parser"
    )
    assert [h.text for h in page.find_all("h2")] == [f"{n}: recipe {n}" for n in RECIPES]
    for link in page.find_all("a"):
        assert page.find(id=link["href"].removeprefix("#"))


def levels(page):
    return [int(title.name[1]) for title in page.find_all(re.compile("^h[1-6]$"))]


def test_headings_are_in_order(document):
    found = levels(document)
    assert found[:2] == [1, 2] and found.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(found))


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_every_text_colour_has_a_contrast_of_at_least_4_5_in_light_dark_and_print(text):
    themes = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        colour = dict(re.findall(r"--(\w+): (#\w{6})", theme))
        for name in ("ink", "soft", "accent", "good", "note", "bad"):
            for ground in ("page", "raised"):
                assert contrast(colour[name], colour[ground]) >= 4.5, (name, ground, theme)


def test_words_in_figures_have_a_contrast_of_at_least_4_5_on_white():
    for colour in (INK, FAINT, *COLOURS):
        assert contrast(colour, "#ffffff") >= 4.5, colour


def test_a_folder_that_is_no_run_has_no_report(tmp_path):
    with pytest.raises(TigonError, match="is not a run folder"):
        write_report(Run(tmp_path))
    with pytest.raises(TigonError, match="no such folder"):
        write_report(Run(tmp_path / "none"))
