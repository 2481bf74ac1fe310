"""Runs that begin where another run of the same images ended."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learned import run_of
from tigon.cli.main import main
from tigon.learners.noise import Annealing
from tigon.recipes import (
    CooperativeRecipe,
    DescriptorRecipe,
    GeneratorRecipe,
    LatentEBMRecipe,
)
from tigon.recipes.cooperative import RevisionSettings
from tigon.recipes.latent_ebm import TiltSettings
from tigon.recipes.settings import LatentChains
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

KINDS = {
    "cooperative": CooperativeRecipe(iterations=2, revision=RevisionSettings(width=4, steps=2)),
    "latent-ebm": LatentEBMRecipe(iterations=2, tilt=TiltSettings(width=6, steps=2)),
}


@pytest.fixture
def source(tmp_path):
    """A copy of a generator's run."""
    return Path(shutil.copytree(run_of("generator"), tmp_path / "source"))


def begun(name, source, **options):
    recipe, data = replace(KINDS[name], **options), Run(source).experiment.data
    return Experiment(name, recipe, data, origin=str(source)).begun()


@pytest.mark.parametrize("name", KINDS)
def test_a_run_begins_with_the_weights_and_latents_of_another(name, source):
    experiment, before = begun(name, source), Run(source).learner()
    recipe, own = experiment.recipe, Run(source).experiment.recipe
    assert recipe.image_size == 8 and recipe.network == own.network and recipe.latent_dim == 2
    assert recipe.annealing == Annealing(until=0.0) and recipe.iterations == 2
    images = Run(source).images()
    learner = recipe.trainer(images, origin=before).learner
    assert torch.equal(learner.store.points, before.store.points)
    assert learner.step_size == before.step_size
    assert torch.equal(learner.decode(learner.latents()), before.decode(before.latents()))
    added = set(learner.state_dict()) - set(before.state_dict())
    own = recipe.resolved(images).model().state_dict()
    fresh = {f"model.{name}": value for name, value in own.items()}
    assert added and all(torch.equal(learner.state_dict()[n], fresh[n]) for n in added)


@pytest.mark.parametrize("name", KINDS)
def test_a_run_of_the_same_kind_gives_all_of_its_model(name):
    kind, part = type(KINDS[name]), KINDS[name].parts[0]
    found = kind().begun_from(KINDS[name])
    lead = {"lead": 0.0} if name == "cooperative" else {}
    assert getattr(found, part) == replace(getattr(KINDS[name], part), **lead)


def test_other_chains_keep_their_own_step_size(source):
    chains = LatentChains(kernel="langevin", step_size=0.02)
    recipe, before = begun("latent-ebm", source, chains=chains).recipe, Run(source).learner()
    learner = recipe.trainer(Run(source).images(), origin=before).learner
    assert learner.step_size == 0.02 != before.step_size
    assert torch.equal(learner.store.points, before.store.points)


def test_what_is_given_is_not_taken_from_the_other_run(source):
    recipe = begun("cooperative", source, sigma=0.2, revision=RevisionSettings(lead=0.3)).recipe
    assert recipe.sigma == 0.2 and recipe.revision.lead == 0.3
    assert begun("cooperative", source).recipe.revision.lead == 0.0


def test_annealing_that_is_asked_for_is_not_over_since_that_of_the_other_run_is(source):
    recipe = begun("cooperative", source, annealing=Annealing(1.5, 0.5)).recipe
    learner = recipe.trainer(Run(source).images(), origin=Run(source).learner()).learner
    learner.begin(0.0)
    assert learner.chain_sigma == pytest.approx(1.5)


def test_a_lead_that_is_asked_for_is_kept_though_the_other_runs_descriptor_has_begun():
    origin = Run(run_of("cooperative"))
    recipe = begun("cooperative", origin.folder, revision=RevisionSettings(lead=0.5)).recipe
    assert origin.learner().revising and recipe.revision.lead == 0.5
    learner = recipe.trainer(origin.images(), origin=origin.learner()).learner
    assert not learner.revising


def test_latents_that_start_at_the_prior_may_begin_at_a_run_with_a_linear_start(source):
    recipe, before = begun("latent-ebm", source, start="prior").recipe, Run(source).learner()
    learner = recipe.trainer(Run(source).images(), origin=before).learner
    assert learner.model.guess is None and before.model.guess is not None
    assert torch.equal(learner.decode(learner.latents()), before.decode(before.latents()))


def test_a_learned_sigma_keeps_its_floor():
    origin = GeneratorRecipe(sigma="learn", sigma_floor=0.2)
    assert LatentEBMRecipe().begun_from(origin).sigma_floor == 0.2


def test_the_run_knows_its_origin_and_needs_it_no_more_once_it_has_a_checkpoint(source, tmp_path):
    out, experiment = tmp_path / "run", begun("latent-ebm", source)
    train(experiment, out, "cpu")
    assert Run(out).experiment.origin == str(source.resolve())
    origin = str(source)
    shutil.rmtree(source)
    same = Experiment("latent-ebm", KINDS["latent-ebm"], experiment.data, origin=origin)
    train(same.begun(Run(out)), out, "cpu")  # the same command goes on
    again = Run(out).experiment
    longer = replace(again, recipe=replace(again.recipe, iterations=3))
    assert train(longer, out, "cpu", changed=True).iteration == 3


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_there_again(source, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(begun("latent-ebm", source), whole, "cpu")
    killed.mkdir()
    shutil.copy(whole / "config.toml", killed)
    train(Run(killed).experiment, killed, "cpu")
    one, two = (Run(folder).learner() for folder in (whole, killed))
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
    assert torch.equal(one.store.points, two.store.points)


def test_averaged_weights_begin_there_too(source):
    recipe, before = begun("latent-ebm", source, average=0.9).recipe, Run(source).learner()
    trainer = recipe.trainer(Run(source).images(), origin=before)
    with trainer.averaged() as learner:
        assert torch.equal(learner.decode(learner.latents()), before.decode(before.latents()))


def refused(words, capsys):
    assert main([str(word) for word in words]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_what_cannot_begin_there_is_refused_in_a_line(source, tmp_path, capsys):
    out, data = tmp_path / "out", Run(source).experiment.data
    rest = ["--data", data, "--out", out, "--from"]
    line = refused(["train", "descriptor", *rest, source], capsys)
    assert line.endswith(f"--from {source}: a descriptor cannot begin where another run ended")
    words = ["train", "cooperative", *rest, run_of("latent-ebm")]
    assert refused(words, capsys).endswith("begins where a generator or cooperative ended")
    line = refused(["train", "latent-ebm", *rest, tmp_path / "none"], capsys)
    assert line.endswith(f"run {tmp_path / 'none'}: no such folder")
    line = refused(["train", "latent-ebm", *rest, run_of("descriptor")], capsys)
    assert line.endswith("a latent-ebm begins where a generator or latent-ebm ended")
    line = refused(["train", "latent-ebm", "--latent-dim", 3, *rest, source], capsys)
    assert "ended: it has 2 latents for an image, and this model 3" in line
    line = refused(["train", "latent-ebm", "--network.width", 6, *rest, source], capsys)
    assert re.search(r"ended: its model\.network\.\S+ has no place of the same shape", line)
    others = tmp_path / "others.npz"
    np.savez(others, images=np.zeros((5, 8, 8, 3), np.uint8))
    words = ["train", "latent-ebm", "--data", others, "--out", out, "--from", source]
    assert "these are not the images that the run" in refused(words, capsys)
    assert not out.exists()


def test_a_descriptor_cannot_begin_anywhere_in_python_either():
    with pytest.raises(ValueError, match="a descriptor cannot begin where another run ended"):
        DescriptorRecipe().begun_from(LatentEBMRecipe())
    with pytest.raises(ValueError, match="^from is a run folder, as text"):
        Experiment.from_plain({"recipe": "latent-ebm", "data": "photos", "from": 3})
