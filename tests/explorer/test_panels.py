"""A page is made of the panels that a recipe names, and of nothing that knows a kind."""

import re
from pathlib import Path

import numpy as np
import pytest

import tigon.explorer
from explored import Page, hub_of, make_pictures, make_run
from test_extension import ToyRecipe
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.explorer.panels import PANELS
from tigon.explorer.panels.chain import Settings, Synthesise
from tigon.explorer.panels.latents import Decode, Infer
from tigon.explorer.panels.pictures import Draw
from tigon.random.streams import RowRng
from tigon.recipes import recipes, register

FOLDER = Path(tigon.explorer.__file__).parent
FILES = [path for path in FOLDER.rglob("*") if path.suffix in (".py", ".js", ".html", ".css")]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The hub of a run of a kind that the package does not know."""
    folder = tmp_path_factory.mktemp("toy")
    data = make_pictures(folder / "pictures")
    register(ToyRecipe)
    yield hub_of(make_run(folder / "run", "toy", ToyRecipe(iterations=6), data))
    del recipes()["toy"]


def test_no_file_of_the_explorer_names_a_kind():
    kinds = {name.removesuffix("-original") for name in recipes()} - {"toy"}
    words = re.compile("|".join(kinds), re.IGNORECASE)
    assert len(kinds) >= 2 and len(FILES) > 30
    found = {path.name: words.findall(path.read_text()) for path in FILES}
    assert {name: there for name, there in found.items() if there} == {}


def test_a_kind_without_a_page_of_its_own_gets_pictures_and_curves(toy):
    page = Page(toy)
    (run,), (model,), (curves,) = page.of("run"), page.of("model"), page.of("curves")
    assert run["panels"] == ["pictures", "curves"] and run["what"] == ToyRecipe().describe()
    (metric,) = run["metrics"]
    assert metric["name"] == "toy_error" and metric["title"] == "Toy error"
    assert metric["axis"] == "log" and metric["healthy"] == [0, 0.5]
    assert len(curves["rows"]) == 6 and all(row["toy_error"] > 0 for row in curves["rows"])
    assert model["iteration"] == 6 and model["thumbnails"].shape[0] == 0


@pytest.mark.parametrize("name", ["toy", "generator", "descriptor"])
def test_pictures_are_what_every_model_draws_of_a_seed(name, toy, hub):
    page = Page(toy if name == "toy" else hub(name))
    page.session.ask(Draw("draw", 4, 5, 7))
    page.run()
    (drawn,) = page.of("drawn")
    images = page.session.model.learner.sample(5, RowRng(7, 0, range(5), "sample"))
    assert drawn["id"] == 4 and np.array_equal(drawn["pixels"][..., :3], to_uint8(images))


@pytest.mark.parametrize(
    "request_, reason",
    [
        (Decode("decode", 1, "point", ((0.0, 0.0),)), "has no latents"),
        (Infer("infer", 1, 1, 0, b""), "has no latents"),
        (
            Synthesise("synthesise", 1, "noise", 0, 0, Settings(1.0, 0.1, 3, 0.0)),
            "no chains of images",
        ),
    ],
)
def test_what_a_toy_cannot_do_is_refused(toy, request_, reason):
    page = Page(toy)
    page.session.ask(request_)
    page.run()
    assert reason in page.of("error")[0]["message"]


def test_a_page_of_all_panels_that_a_model_is_able_to_show(hub, runs, monkeypatch):
    recipe = type(hub("deep").run.experiment.recipe)
    monkeypatch.setattr(recipe, "panels", ("pictures", *recipe.panels))
    (model,) = Page(hub_of(runs["deep"])).of("model")
    assert model["plane"]["dim"] == model["picture"]["dim"] == 4 and model["pictures"] == {}
    monkeypatch.setattr(recipe, "panels", ("chain",))
    with pytest.raises(TigonError, match="no chains of images"):
        hub_of(runs["deep"])


def test_a_panel_that_there_is_not_is_named(monkeypatch, runs):
    recipe = type(runs["deep"].experiment.recipe)
    monkeypatch.setattr(recipe, "panels", ("curves", "crystal ball"))
    with pytest.raises(TigonError, match="panel 'crystal ball': there are plane, picture"):
        hub_of(runs["deep"])


def test_every_panel_has_a_module_that_the_page_loads():
    composed = (FOLDER / "static" / "panels.js").read_text()
    for name in PANELS:
        assert (FOLDER / "static" / "panels" / f"{name}.js").is_file()
        assert f'import {{ {name} }} from "./panels/{name}.js"' in composed


def test_a_chain_that_is_replaced_by_another_is_told_to_have_ended(hub):
    page = Page(hub("descriptor"))
    many = Settings(0.0, 0.05, 50, 0.0)
    for number in (1, 2):
        page.session.ask(Synthesise("synthesise", number, "image", 0, 0, many))
        page.run(3)
    assert page.of("ended") == [{"type": "ended", "id": 1, "reason": "another was started"}]
