"""Model cards: what the hub reads, what people read, and that what they show runs."""

import io
import json
import math
import re
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from learned import model_folder, run_of
from small import generator_recipe, image_set
from tigon.cli.main import main
from tigon.data.held_out import hold_out
from tigon.data.images import ImageSet
from tigon.data.mirrored import mirrored
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.export.card import Facts, Licence, facts_of, make_card
from tigon.export.licences import hub_licence
from tigon.export.load import load
from tigon.figures import tile
from tigon.random.streams import RowRng
from tigon.recipes import CooperativeRecipe, recipes
from tigon.recipes.settings import GeneratorNetwork
from tigon.report.sections import opened
from tigon.runs.experiment import train
from tigon.runs.images import said_of
from tigon.runs.run import Experiment, Run
from tigon.training.checkpoint_folder import checksum


def card(name, terms=None):
    """The card of a recipe's run."""
    run = run_of(name)
    return make_card(load(run), facts_of(Run(run), terms or Licence()))


@pytest.mark.parametrize("name", recipes())
def test_a_card_says_what_the_model_is_and_is_not(name):
    text = card(name, Licence("CC0-1.0", "public domain", "noise")).text
    said = ModelCard(text).data.to_dict()
    assert said["library_name"] == "tigon" and said["license"] == "cc0-1.0"
    assert said["pipeline_tag"] == "unconditional-image-generation"
    answer = text.split("## Is this a density?")[1].split("##")[0]
    if recipes()[name].persistent:
        revised = answer.strip().startswith("Not of the images that it draws")
        assert revised == (name == "cooperative") == ("steps of Langevin dynamics on" in text)
        assert revised or "It defines one, but does not compute it" in answer
        assert "sigma = 0.3" in answer
        tilted = "exp(t(z)) q(z) / Z" in answer and "from the learned prior" in text
        assert tilted == (name == "latent-ebm")
        mixed = name in ("cooperative", "latent-ebm")
        assert mixed == ("a mixture of 2 normal densities" in text) != ("N(0, I)" in text)
    else:
        chains = Run(run_of(name)).experiment.recipe.chains
        assert answer.strip().startswith("No. It is a sampler")
        assert f"chains of 3 Langevin steps at temperature {chains.temperature:g}" in answer
        aim = "target p^(1/T), here p^1000, whose reference density has the standard deviation "
        assert (f"{aim}0.0221, not 0.7" in answer) == (chains.temperature == 0.001)
        (gap,) = (row for row in text.splitlines() if row.startswith("| gap |"))
        of_f, of_q = (float(v) for v in re.findall(r"(\S+) nats .* that is (\S+) of", gap)[0])
        assert math.isclose(of_q, of_f / chains.temperature, rel_tol=0.01)
    assert ("maximum-likelihood" in said["tags"]) == recipes()[name].persistent
    assert ("for comparison only" in text) == name.endswith("-original")
    data = (
        ("`wall.png`", "| images | 640 crops of one picture,")
        if name == "texture"
        else ("`pictures.npz`", "| images | 5,")
    )
    for row in (*data, "| description | noise |", "not diagnosed"):
        assert row in text
    assert "public domain" in text and "/tmp" not in text


@pytest.mark.parametrize("size, averaged", [(8, False), (16, True)])
def test_a_card_says_on_which_grid_images_are_revised(size, averaged):
    recipe = CooperativeRecipe(size, latent_dim=2, network=GeneratorNetwork(width=4))
    text = make_card(recipe.model(), facts_of(Run(run_of("cooperative")), Licence())).text
    assert ("from f(z), averaged to 8 x 8 pixels; what they move is" in text) is averaged


def test_the_verdict_of_diagnose_is_on_the_card(tmp_path):
    shutil.copytree(run_of("descriptor"), tmp_path / "run")
    model, run = load(tmp_path / "run"), Run(tmp_path / "run")
    manifest = checksum(run.find() / "manifest.json")
    found = {"verdict": "not healthy: gap", "findings": [], "provenance": {"checkpoint": manifest}}
    path = tmp_path / "run" / "diagnosis.json"
    path.write_text(json.dumps(found))
    assert "**not healthy: gap**" in make_card(model, facts_of(run, Licence())).text
    path.write_text(json.dumps(found | {"provenance": {"checkpoint": "another"}}))
    assert "**not diagnosed**" in make_card(model, facts_of(run, Licence())).text
    path.write_text("{")
    with pytest.raises(TigonError, match="diagnosis.json: cannot be read"):
        facts_of(run, Licence())


def test_a_card_is_of_its_checkpoint(tmp_path, pictures):
    recipe = generator_recipe(iterations=6)
    train(Experiment("generator", recipe, str(pictures)), tmp_path / "run", "cpu", 2, keep=9)
    for checkpoint, iterations in (("2", "2"), ("last", "6")):
        run = Run(tmp_path / "run", checkpoint)
        assert facts_of(run, Licence()).measures["iterations"] == iterations
        assert opened(run).context.records[-1]["iteration"] == int(iterations)


def test_a_card_names_no_folders_of_its_author(tmp_path, monkeypatch):
    run = Path(shutil.copytree(run_of("generator"), tmp_path / "run"))
    written = run / "config.toml"
    first, _, rest = written.read_text().split("\n", 2)
    for data, said in (
        ("/home/me/secret/faces", "faces"),
        (f"hf:{tmp_path}", f"hf:{tmp_path.name}"),
        ("hf:someone/public", "hf:someone/public"),
        ("embedded:animal-faces", "embedded:animal-faces"),
    ):
        lines = [first, f'data = "{data}"', 'mask = "/home/me/secret/mask.png"', rest]
        written.write_text("\n".join(lines))
        facts = facts_of(Run(run), Licence())
        assert (facts.data, facts.settings["mask"]) == (said, "mask.png")


def test_a_card_says_which_images_a_model_learned_from():
    images = image_set(60)
    assert said_of(images) == "60"
    whole = hold_out(images)
    assert said_of(mirrored(whole)) == "54 and a mirrored copy of each; 6 others were held out"
    masks = np.full((60, 8, 8, 1), 255, np.uint8)
    masks[0, 0] = 0
    assert said_of(ImageSet(images.pixels, images.names, [], masks=masks)).endswith(
        "60, with values missing"
    )
    assert "512 crops of one picture" in card("texture").text.replace(
        facts_of(Run(run_of("texture")), Licence()).images, "512"
    )


def test_what_nobody_said_is_not_stated():
    text = make_card(load(run_of("generator")), Facts()).text
    assert "Weights: not stated. Training images: not stated." in text
    assert "license" not in ModelCard(text).data.to_dict()


def test_a_licence_is_named_in_the_hub_s_way():
    assert hub_licence("Apache 2.0") == {"license": "apache-2.0"}
    assert hub_licence("CC0") == {"license": "cc0-1.0"}
    own = {"license": "other", "license_name": "our-own-terms"}
    assert hub_licence("Our own terms!") == own
    assert hub_licence("not stated") == hub_licence("  ") == {}


@settings(max_examples=25)
@given(st.text(), st.text(), st.text())
def test_no_text_breaks_the_front_matter_or_becomes_markup(license, data_license, description):
    facts = Facts("a\nb", Licence(license, data_license, description), data=description)
    text = make_card(load_model_once(), facts).text
    data = ModelCard(text).data.to_dict()
    assert set(data) <= {"library_name", "pipeline_tag", "tags", "license", "license_name"}
    assert len(re.findall(r"^#+ ", text, re.MULTILINE)) == 8
    assert "\n# a b\n" in text
    assert not re.search(r"(?<!\\)<", re.sub("`[^`\n]*`", "", text)), "markup"
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert all(row.count("|") - row.count(r"\|") == 3 for row in rows)


@cache
def load_model_once():
    """A model, read once."""
    return load(run_of("generator"))


@pytest.mark.parametrize("name", recipes())
def test_the_card_s_picture_is_what_sample_draws(name):
    model = load(run_of(name))
    count = 64 if recipes()[name].persistent else 16 if name == "texture" else 5
    images = to_uint8(model.sample(count, RowRng(0, 0, range(count), "sample")))
    shown = np.asarray(Image.open(io.BytesIO(card(name).picture)))
    assert np.array_equal(shown, tile(images, min(8, count)))


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_what_a_card_shows_runs(name, tmp_path, monkeypatch, capsys):
    folder = model_folder(name, tmp_path / "model")
    monkeypatch.chdir(folder)
    text = (folder / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    scope = {}
    exec(code, scope)
    assert scope["images"].shape == (16, 3, 8, 8)
    (lines,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in lines.splitlines():
        assert main(line.split()[1:]) == 0
    assert (folder / "images.png").is_file()
