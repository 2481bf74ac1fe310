"""Pages about several runs, as a browser parses them."""

import base64
import io
import json
import shutil
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from small import descriptor_recipe, generator_recipe
from tigon.cli.main import main
from tigon.report import MOST, write_comparison
from tigon.report.sections import Section, opened, results
from tigon.report.tables import Entry, notes_of
from tigon.runs.diagnosis import Diagnosis
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Four runs: two generators, one of them on other images, and a descriptor; a/g and b/g."""
    home = tmp_path_factory.mktemp("runs")
    for folder, tints in (("one", (20, 120, 220)), ("other", (60, 90))):
        (home / folder).mkdir()
        for tint in tints:
            Image.new("RGB", (16, 16), (tint, 80, 40)).save(home / folder / f"{tint}.png")
    recipe = generator_recipe()
    made = {
        "a/g": Experiment("generator", recipe, str(home / "one")),
        "b/g": Experiment("generator", replace(recipe, latent_dim=3), str(home / "one")),
        "far": Experiment("generator", recipe, str(home / "other")),
        "d": Experiment("descriptor", descriptor_recipe(), str(home / "one")),
    }
    for name, experiment in made.items():
        (home / name).parent.mkdir(exist_ok=True)
        train(experiment, home / name)
    return home


@pytest.fixture(scope="module")
def compared(runs):
    """All four compared."""
    found = [Run(runs / name) for name in ("a/g", "b/g", "far", "d")]
    return BeautifulSoup(write_comparison(found, runs / "all.html").read_text(), "html.parser")


def table(page, number):
    """A table's rows by name, with its columns' names."""
    found = page.find_all("table")[number]
    columns = [cell.text for cell in found.thead.find_all("th", scope="col")]
    rows = found.tbody.find_all("tr")
    assert all(row.find("th", scope="row") for row in rows)
    return columns[1:], {row.th.text: [cell.text for cell in row.find_all("td")] for row in rows}


def test_the_first_table_has_a_column_for_each_run_and_what_all_have_first(compared, runs):
    columns, rows = table(compared, 0)
    assert columns == ["a/g", "b/g", "far", "d"]
    assert rows["recipe"] == ["generator"] * 3 + ["descriptor"]
    assert rows["training images"] == ["3 of 8 x 8 x 3"] * 2 + ["2 of 8 x 8 x 3"] + [
        "3 of 8 x 8 x 3"
    ]
    assert rows["data"][0].endswith("one") and rows["data"][2].endswith("other")
    assert rows["temperature"] == ["1"] * 3 + ["0.001"]
    assert rows["reconstruction error"][3] == rows["|gap|"][0] == "–" and rows["|gap|"][3] != "–"
    names = list(rows)
    assert (
        names.index("verdict") < names.index("training time") < names.index("reconstruction error")
    )
    last = Run(runs / "d").records()[-1]
    evaluations = f"{last['gradient_evaluations']:.0f} passes over the set"
    assert rows["gradient evaluations"][3] == evaluations


def test_only_settings_that_differ_where_they_exist_are_shown(compared):
    _, rows = table(compared, 1)
    assert rows["latent_dim"] == ["2", "3", "2", "–"]
    assert rows["optimizer.learning_rate"] == ["0.002"] * 3 + ["0.05"]
    assert "sigma" not in rows and "image_size" not in rows and "scale" not in rows


def test_what_cannot_be_compared_is_said(compared):
    said = [" ".join(note.text.split()) for note in compared.select(".notes p")]
    assert "These runs were trained on different images: a/g, b/g and d: 3 of 8" in said[0]
    assert "do not say which of these runs is better" in said[0]
    assert "a/g, b/g and far (generator): reconstruction error" in said[1]
    assert "d (descriptor): gap, saturation" in said[1]


def test_one_measure_of_several_runs_is_one_figure_and_no_other_measure_is_in_it(compared):
    seen = {
        image.find_previous("h3").text: image["alt"] for image in compared.section.find_all("img")
    }
    loss = seen["Reconstruction error"]
    assert all(f"{name} begins at" in loss for name in ("a/g", "b/g", "far"))
    assert "d begins at" not in loss
    assert "Gap" not in seen and "Saturation" not in seen  # one run has them: in its section
    assert "What the descriptors make of the same images" not in seen
    rows = seen["What the generators make of the same images"]
    assert "a/g, b/g" in rows and "far" not in rows


def test_image_grids_stand_side_by_side_in_equal_number_and_size(compared):
    grids = compared.select(".side .shown")
    assert [grid.h4.text for grid in grids] == ["a/g", "b/g", "far", "d"]
    data = [base64.b64decode(grid.img["src"].split(",")[1]) for grid in grids]
    assert len({Image.open(io.BytesIO(png)).size for png in data}) == 1
    assert all("16 images" in grid.img["alt"] for grid in grids)


def test_each_runs_section_is_folded_and_can_be_reached(compared):
    folded = compared.select("details.run")
    assert len(folded) == 4 and not any(run.has_attr("open") for run in folded)
    assert folded[3].summary.h2.text == "d: recipe descriptor"
    assert len(folded[3].find_all("img")) == 8
    for link in compared.nav.find_all("a"):
        assert compared.find(id=link["href"].removeprefix("#")).find_parent("details")


def test_runs_are_left_as_they_are(runs, tmp_path):
    for name in ("a/g", "d"):
        assert sorted(path.name for path in (runs / name).iterdir()) == [
            "checkpoints", "config.toml", "environment.json", "metrics.jsonl", "snapshots",
        ]  # fmt: skip


def test_runs_that_differ_in_their_seed_alone_are_said_to_differ_by_chance(runs, tmp_path):
    again = replace(Run(runs / "a/g").experiment, recipe=generator_recipe(seed=1))
    train(again, tmp_path / "again")
    entries = [entry("one", Run(runs / "a/g")), entry("two", Run(tmp_path / "again"))]
    assert notes_of(entries) == [
        "All runs were trained on the same 3 images.",
        "Only the seed differs: differences between these runs are due to chance.",
    ]


def entry(name, run):
    """A run to be compared, without its pictures."""
    shown = opened(run)
    section = Section(
        name, run.experiment.name, "", [], Diagnosis(name), [], results(shown), {}, {}, [], []
    )
    return Entry(name, shown, section)


def test_the_command_compares_and_says_where_the_page_is(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(runs / "a/g"), str(runs / "d"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(tmp_path / "comparison.html")}
    assert main(["report", str(runs / "a/g"), "--out", "own.html"]) == 0
    assert BeautifulSoup((tmp_path / "own.html").read_text(), "html.parser").h1.text == "g"
    assert not {"figures", "diagnosis.json"} & {path.name for path in (runs / "a/g").iterdir()}


WRONG = {
    "@a/g @a/g": "run {home}/a/g: is given twice; give each run once",
    "@a/g @one": "run {home}/one: is not a run folder",
    "@a/g @none": "run {home}/none: no such folder",
    "@a/g @bare": "run {home}/bare: has no metrics yet; train it first",
    "@a/g @d --out x.txt": "--out x.txt: must be .html",
    "": "needs a run folder",
    " ".join(["@d"] * (MOST + 1)): f"a comparison needs 2 to {MOST} runs, not {MOST + 1}",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_compared_is_refused_in_one_line(
    runs, tmp_path, monkeypatch, capsys, words
):
    monkeypatch.chdir(tmp_path)
    if not (runs / "bare").exists():
        shutil.copytree(runs / "a/g", runs / "bare")
        (runs / "bare" / "metrics.jsonl").unlink()
    known = [str(runs / word[1:]) if word[0] == "@" else word for word in words.split()]
    assert main(["report", *known]) == 2
    error = capsys.readouterr().err
    assert WRONG[words].format(home=runs) in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
