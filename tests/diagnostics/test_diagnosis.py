"""tigon diagnose on healthy runs, on the original algorithms, and on failed runs."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from small import descriptor_recipe, generator_recipe
from tigon.cli.main import main
from tigon.diagnostics.rules.base import Level
from tigon.recipes import (
    DescriptorRecipe,
    GeneratorRecipe,
    OriginalDescriptorRecipe,
    OriginalGeneratorRecipe,
)
from tigon.recipes.settings import DescriptorNetwork, GeneratorNetwork, LatentChains
from tigon.runs.diagnosis import diagnose
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.guard import Guard
from tigon.training.settings import AdamSettings

FACES = "embedded:animal-faces"


def learned(tmp_path, name, recipe):
    train(Experiment(name, recipe, FACES), tmp_path / name)
    return Run(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("generator", GeneratorRecipe(image_size=16, network=GeneratorNetwork(16))),
        (
            "descriptor",
            DescriptorRecipe(image_size=8, network=DescriptorNetwork(16), iterations=150),
        ),
    ],
)
def test_default_recipes_are_healthy_and_the_verdict_says_what_that_covers(tmp_path, name, recipe):
    diagnosis = diagnose(learned(tmp_path, name, recipe))
    assert diagnosis.healthy, diagnosis.verdict
    words = {
        "generator": "reconstructions explain [5-9][0-9.]+ % of the images' variance",
        "descriptor": "synthesised images are [5-9][0-9.]+ % closer to the training images than",
    }[name]
    assert re.match(rf"healthy \(chains and training\); {words}", diagnosis.verdict)
    assert len(diagnosis.findings) >= 7


def test_a_generator_that_shows_nothing_of_its_images_is_not_healthy(tmp_path):
    recipe = GeneratorRecipe(
        image_size=16,
        network=GeneratorNetwork(16),
        iterations=60,
        optimizer=AdamSettings(1.0),
        guard=Guard(enabled=False),
    )
    assert "reconstructions" in diagnose(learned(tmp_path, "generator", recipe)).verdict


@pytest.mark.slow
def test_the_original_generators_latents_and_coupling_are_named(tmp_path):
    recipe = OriginalGeneratorRecipe(image_size=16, iterations=60)
    recipe = replace(recipe, network=replace(recipe.network, width=16))
    verdict = diagnose(learned(tmp_path, "generator-original", recipe)).verdict
    assert "coupled chains" in verdict
    assert re.search("latents (far from the prior|in a worse mode)", verdict)  # by rounding


def test_the_original_descriptors_gap_and_coupling_are_named(tmp_path):
    recipe = OriginalDescriptorRecipe(image_size=16, iterations=60)
    recipe = replace(recipe, network=replace(recipe.network, width=16))
    verdict = diagnose(learned(tmp_path, "descriptor-original", recipe)).verdict
    assert "gap" in verdict and "coupled chains" in verdict


def test_absurd_chains_are_not_healthy_though_expansion_holds_their_moments(tmp_path):
    chains = LatentChains(kernel="langevin", step_size=2.5)
    recipe = GeneratorRecipe(
        image_size=16,
        network=GeneratorNetwork(16),
        iterations=60,
        chains=chains,
        guard=Guard(False),
    )
    diagnosis = diagnose(learned(tmp_path, "generator", recipe))
    found = {finding.name: finding for finding in diagnosis.findings}
    assert not diagnosis.healthy
    assert found["latents far from the prior"].level is Level.BAD


@pytest.fixture(params=["generator", "descriptor"])
def run(request, tmp_path, pictures):
    """A short run of each recipe."""
    recipe = {"generator": generator_recipe(), "descriptor": descriptor_recipe()}[request.param]
    train(Experiment(request.param, recipe, str(pictures)), tmp_path / "run")
    return Run(tmp_path / "run")


def test_the_command_prints_findings_remedies_and_a_verdict_and_leaves_files(run, capsys):
    assert main(["diagnose", str(run.folder), "--long", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("verdict: run is ")
    assert {line.split()[0] for line in lines[:-1]} <= {"good", "note", "bad", "do:", "figure:"}
    assert (run.folder / "figures" / "diagnosis-long-run.png").is_file()
    assert main(["diagnose", str(run.folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    saved = json.loads((run.folder / "diagnosis.json").read_text())
    assert told["verdict"] == saved["verdict"] and told["healthy"] is saved["healthy"] is False


def test_a_run_of_a_few_iterations_is_too_short_to_judge_and_gets_no_advice_but_that(run):
    diagnosis = diagnose(run)
    assert diagnosis.verdict == "too short to judge (6 iterations)" and not diagnosis.healthy
    found = {finding.name: finding for finding in diagnosis.findings}
    assert found.pop("length").remedy == ("train for longer (tigon resume RUN --iterations N)")
    assert found.pop("independence").level is Level.GOOD
    assert all(f.what.startswith("too short to judge: ") for f in found.values())
    assert all(f.level is Level.NOTE and not f.remedy for f in found.values())


def test_a_run_that_has_not_begun_is_not_healthy(run):
    run.metrics.unlink()
    shutil.rmtree(run.checkpoints)
    diagnosis = diagnose(run)
    assert diagnosis.verdict == "too short to judge (no iterations)" and not diagnosis.healthy


def test_the_same_seed_finds_the_same(run):
    assert diagnose(run, length=2).to_plain() == diagnose(run, length=2).to_plain()


def test_a_run_without_a_checkpoint_or_without_its_images_is_judged_by_its_metrics(run, pictures):
    shutil.move(pictures, pictures.with_name("gone"))
    assert "could not be run" in diagnose(run).findings[0].what + diagnose(run).findings[1].what
    shutil.move(pictures.with_name("gone"), pictures)
    shutil.rmtree(run.checkpoints)
    found = {finding.name: finding for finding in diagnose(run).findings}
    assert "no checkpoint" in found["model"].what and "gradient" in found


def test_what_cannot_be_diagnosed_is_refused_in_one_line(tmp_path, run, capsys):
    assert main(["diagnose", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["diagnose", str(run.folder), "--long", "101"]) == 2
    assert capsys.readouterr().err == "tigon: --long must be 1 to 100, and --seed at least 0\n"
