"""What the house shows of a descriptor by grids: each of them."""

import json

import pytest

from explored import make_pictures, make_run
from small import descriptor_recipe
from tigon.cli.main import main
from tigon.export.card import Licence, facts_of, make_card
from tigon.runs.diagnosis import diagnose
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run


def timeless(records):
    return json.dumps([record | {"seconds": 0} for record in records])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A descriptor with grids of 8 and 16 pixels, long enough to be judged."""
    folder = tmp_path_factory.mktemp("grids")
    data = make_pictures(folder / "pictures")
    recipe = descriptor_recipe(image_size=16, iterations=55)
    return make_run(folder / "run", "descriptor", recipe, data)


def test_each_grid_is_logged(run):
    last = run.records()[-1]
    names = {"gap", "gap_8", "saturation", "saturation_8", "energy_distance_8", "spread_8"}
    assert names <= set(last)
    declared = {metric.name for metric in run.experiment.recipe.metrics}
    assert {"gap", "gap_8", "rise_8"} <= declared and "gap_16" not in declared


def test_each_grid_is_judged(run):
    names = {finding.name for finding in diagnose(run).findings}
    assert {"gap", "gap of grid 8", "independence", "independence of grid 8"} <= names
    assert {"long run", "long run of grid 8", "mixing of grid 8"} <= names


def test_each_grid_is_in_the_report_and_on_the_card(run, capsys):
    assert main(["report", str(run.folder)]) == 0
    page = (run.folder / "report.html").read_text()
    assert "From grid to grid" in page and "grid 8" in page and "|gap of grid 8|" in page
    card = make_card(run.model(), facts_of(run, Licence())).text
    assert "8, 16 pixels" in card and "3 steps of Langevin dynamics on each grid" in card


def test_a_recipe_says_through_which_grids_its_chains_go(run):
    assert "go through grids of 8 and 16 pixels" in run.experiment.recipe.describe()
    assert "grids" not in descriptor_recipe(image_size=16, grids=1).describe()


def test_a_run_that_was_stopped_comes_to_the_same_end(run, tmp_path):
    data = run.experiment.data
    stopped = descriptor_recipe(image_size=16, iterations=55)
    experiment = Experiment("descriptor", stopped, data)
    count = iter(range(100))
    train(experiment, tmp_path / "parts", "cpu", stop=lambda: next(count) > 20)
    train(experiment, tmp_path / "parts", "cpu")
    again = Run(tmp_path / "parts").records()
    assert timeless(again) == timeless(run.records())


def test_what_is_no_number_of_grids_is_refused(run, capsys, tmp_path):
    words = ["train", "descriptor", "--data", run.experiment.data, "--out", str(tmp_path / "new")]
    assert main([*words, "--grids", "0"]) == 2
    assert "grids must be at least 1" in capsys.readouterr().err
    assert main([*words, "--image-size", "16", "--grids", "3"]) == 2
    assert "of images of 16, at most 2, not 3" in capsys.readouterr().err
