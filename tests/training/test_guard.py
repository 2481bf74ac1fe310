"""What the guard does about bad runs; each recovers, or stops with its cause."""

import json
import math
from dataclasses import replace

import pytest
import torch

from small import descriptor_recipe, generator_recipe, image_set, parameters
from tigon.cli.main import main
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.errors import DivergenceError
from tigon.recipes import DescriptorRecipe
from tigon.recipes.descriptor import ImageGuard
from tigon.recipes.settings import DescriptorNetwork, ImageChains
from tigon.runs.diagnosis import diagnose
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.guard import Guard, GuardRunner

FACES = "embedded:animal-faces"
SMALL = DescriptorRecipe(image_size=16, grids=1, iterations=80, network=DescriptorNetwork(16))
TOO_FAST = replace(SMALL, optimizer=replace(SMALL.optimizer, learning_rate=0.5))
TOO_FAR = replace(SMALL, chains=replace(SMALL.chains, step_size=1.2))


class Overflowing(torch.nn.Module):
    """A network whose values grow without bound as it learns."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return (20 * self.inner(images)).exp().exp()


def names(diagnosis):
    return [finding.name for finding in diagnosis.findings]


@pytest.mark.parametrize("recipe", [generator_recipe, descriptor_recipe], ids=["gen", "desc"])
def test_a_healthy_run_is_the_same_with_and_without_a_guard(recipe):
    watched = recipe(iterations=25, guard=Guard(every=5)).trainer(image_set())
    alone = recipe(iterations=25, guard=Guard(enabled=False)).trainer(image_set())
    assert not any("event" in record for record in watched.fit())
    alone.fit()
    assert torch.equal(parameters(watched.learner), parameters(alone.learner))


def test_ten_times_the_learning_rate_is_halved_until_the_gap_is_healthy(tmp_path):
    out = tmp_path / "run"
    train(Experiment("descriptor", TOO_FAST, FACES), out)
    events = Run(out).events()
    assert {event["cause"] for event in events} == {"gap"}
    assert events[-1]["rate_factor"] == 0.5 ** len(events) < 1
    records = Run(out).records()
    assert [record["iteration"] for record in records] == list(range(1, 81))
    assert max(abs(record["gap"]) for record in records) < 10
    assert sum(abs(record["gap"]) for record in records[-30:]) / 30 < 1
    diagnosis = diagnose(Run(out))
    assert "guard: gap" in names(diagnosis) and diagnosis.healthy
    assert "learning rate" in diagnosis.findings[names(diagnosis).index("guard: gap")].remedy


def test_the_same_run_without_a_guard_explodes_and_diagnose_says_so(tmp_path):
    recipe = replace(TOO_FAST, guard=ImageGuard(enabled=False))
    train(Experiment("descriptor", recipe, FACES), tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.events() == []
    assert max(abs(record["gap"]) for record in run.records()) > 100
    assert "gap" in diagnose(run).verdict


def test_ten_times_the_step_size_is_halved_until_chains_stay_apart(tmp_path):
    out = tmp_path / "run"
    train(Experiment("descriptor", TOO_FAR, FACES), out)
    events = Run(out).events()
    assert events[0]["cause"] == "collapse" and "step size halved" in events[0]["message"]
    assert all(event["rate_factor"] == 1 for event in events if event["cause"] == "collapse")
    model = Run(out).model()
    assert model.step_factor == 0.5 ** len(events), "a saved model samples with its own steps"
    assert Run(out).records()[-1]["spread"] > 0.3
    assert "guard: collapse" in names(diagnose(Run(out)))


@pytest.mark.parametrize("after", [9, 14, 27])
def test_events_are_reproducible_and_a_stopped_run_continues_through_them(tmp_path, after):
    """Stopped before the first event, right after it, and between good states."""
    recipe = replace(TOO_FAST, iterations=40, guard=ImageGuard(every=5, gap=2.0))
    experiment = Experiment("descriptor", recipe, FACES)
    whole = train(experiment, tmp_path / "whole")
    assert whole.attempts > 1
    asked = iter([False] * after + [True])
    part = train(experiment, tmp_path / "part", stop=lambda: next(asked))
    assert not part.finished
    again = train(experiment, tmp_path / "part")
    assert torch.equal(parameters(again.learner), parameters(whole.learner))
    told = [
        [{**line, "seconds": 0, "gradient_evaluations": 0} for line in Run(out).records()]
        for out in (tmp_path / "whole", tmp_path / "part")
    ]
    assert told[0] == told[1]
    assert Run(tmp_path / "whole").events() == Run(tmp_path / "part").events()


@pytest.mark.parametrize("recipe", ["generator", "descriptor"])
def test_an_image_that_is_not_finite_ends_the_run_and_is_named(
    tmp_path, monkeypatch, capsys, pictures, recipe
):
    read = ImageSet.read

    def planted(self, index=slice(None)):
        images = read(self, index)
        rows = torch.arange(len(self))[index]
        images[rows == 2] = math.nan
        return images

    monkeypatch.setattr(ImageSet, "read", planted)
    words = ["--data", str(pictures), "--out", str(tmp_path / "run"), "--image-size", "8"]
    assert main(["train", recipe, *words, "--iterations", "5"]) == 3
    said = capsys.readouterr().err
    assert "training images hold values that are not finite: 2.png" in said.splitlines()[-1]
    assert "Traceback" not in said
    run = Run(tmp_path / "run")
    assert run.events()[-1]["cause"] == "images"
    monkeypatch.setattr(ImageSet, "read", read)
    assert run.learner() is not None, "the last good state is saved"
    assert diagnose(run).verdict.startswith("not healthy: diverged: images")


def test_a_network_that_overflows_ends_with_status_3_after_the_stated_attempts(
    tmp_path, monkeypatch, capsys, pictures
):
    build = DescriptorRecipe._network
    monkeypatch.setattr(
        DescriptorRecipe, "_network", lambda self, *how: Overflowing(build(self, *how))
    )
    words = ["--data", str(pictures), "--out", str(tmp_path / "run"), "--image-size", "8"]
    assert main(["train", "descriptor", *words, "--guard.attempts", "2"]) == 3
    said = capsys.readouterr().err
    assert "given up after 2 attempts: training diverged" in said and "not finite" in said
    assert main(["diagnose", str(tmp_path / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["healthy"] and "diverged: network" in found["verdict"]
    assert [event["event"] for event in Run(tmp_path / "run").events()][-1] == "stopped"


def test_without_a_guard_diagnose_still_names_the_cause(tmp_path, monkeypatch, pictures):
    build = DescriptorRecipe._network
    monkeypatch.setattr(
        DescriptorRecipe, "_network", lambda self, *how: Overflowing(build(self, *how))
    )
    recipe = descriptor_recipe(guard=ImageGuard(enabled=False))
    with pytest.raises(DivergenceError, match="not finite"):
        train(Experiment("descriptor", recipe, str(pictures)), tmp_path / "run")
    assert not Run(tmp_path / "run").checkpoints.exists()
    assert "diverged: network" in diagnose(Run(tmp_path / "run")).verdict


def test_a_dead_network_is_noticed_and_given_up():
    trainer = descriptor_recipe(iterations=50, guard=ImageGuard(attempts=1)).trainer(image_set())
    with torch.no_grad():
        trainer.learner.model.network.last.weight.zero_()
        trainer.learner.model.network.features[4].weight.zero_()
    with pytest.raises(DivergenceError, match="given up after 1 attempts.* the network is dead"):
        trainer.fit()


def test_lost_chains_start_anew_and_the_others_stay():
    trainer = generator_recipe(iterations=4, guard=Guard(every=2)).trainer(image_set())
    store = trainer.learner.store
    store.write(torch.tensor([3]), torch.tensor([[300.0, 0.0]]))
    trainer.learner.expand = False
    events = [record for record in trainer.fit() if "event" in record]
    assert [event["event"] for event in events] == ["restart"]
    assert "rows [3]" in events[0]["message"]
    assert (store.points.abs() < 20).all()


def record(**values):
    usual = {"gradient_norm": 1.0, "gap": 0.1, "saturation": 0.0, "spread": 0.5}
    return usual | {"start_spread": 0.2} | values


@pytest.mark.parametrize(
    ("values", "cause", "after"),
    [
        ({"gap": -11.0}, "gap", 1),
        ({"gradient_norm": 101.0}, "gradient", 1),
        ({"saturation": 0.6}, "chains", 1),
        ({"spread": 0.01}, "collapse", 5),
        ({"gradient_norm": 0.0}, "dead", 5),
        ({"spread": 0.01, "start_spread": 0.05}, None, 10),
        ({"gap": 9.0, "gradient_norm": 90.0, "saturation": 0.4}, None, 10),
    ],
)
def test_trouble_is_told_by_the_stated_limits(values, cause, after):
    watch = GuardRunner(ImageGuard())
    for _ in range(20):
        assert watch.trouble(record()) is None
    for _ in range(after - 1):
        assert watch.trouble(record(**values)) is None
    assert watch.trouble(record(**values)) == cause


def test_a_run_goes_further_back_where_the_newest_good_state_leads_to_the_same():
    trainer = descriptor_recipe(iterations=50, guard=ImageGuard(every=5)).trainer(image_set())
    watch = trainer.guard
    for _ in range(12):
        watch.step(trainer)
    assert [state.iteration for state in watch.good] == [5, 10]
    for expected in (10, 5, 5):
        watch._go_back(trainer, "gap", "it exploded", "it exploded", 13)
        assert trainer.iteration == expected


@pytest.mark.parametrize(
    "build",
    [
        lambda: Guard(attempts=-1),
        lambda: Guard(every=0),
        lambda: ImageGuard(gap=0.0),
        lambda: Guard(gradient=1.0),
        lambda: ImageGuard(saturation=0.0),
        lambda: ImageGuard(collapse=1.0),
        lambda: Guard(patience=0),
    ],
)
def test_limits_that_make_no_sense_are_refused(build):
    with pytest.raises(ValueError, match="guard"):
        build()


def test_faces_are_there_to_be_learned_from():
    assert len(load_images(FACES, 16)) == 10 and ImageChains().step_size < TOO_FAR.chains.step_size
