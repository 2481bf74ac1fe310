"""Learning is ordinary PyTorch: optimizers, schedulers, clipping, callbacks, averages."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from small import (
    descriptor_learner,
    descriptor_recipe,
    generator_learner,
    generator_recipe,
    image_set,
    parameters,
)
from tigon import (
    Budget,
    DCGANGenerator,
    GeneratorLearner,
    GeneratorModel,
    Run,
    Trainer,
    callbacks,
    make_rng,
)
from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.errors import DivergenceError, TigonError
from tigon.learners.expansion import Affine, undo
from tigon.recipes.settings import LatentChains
from tigon.runs.experiment import train
from tigon.runs.run import Experiment
from tigon.training.guard import Guard
from tigon.training.settings import Cosine, WarmUp

ADAM, SGD = torch.optim.Adam, torch.optim.SGD


def one_optimizer(average=None, guard=None):
    """SGD with momentum, a scheduler of torch, and clipping."""
    learner = generator_learner()
    sgd = SGD(learner.parameters(), 1e-2, momentum=0.9)
    return Trainer(
        learner,
        image_set(),
        sgd,
        StepLR(sgd, 2, 0.5),
        clip=0.5,
        guard=guard,
        budget=Budget(8),
        batch_size=2,
        average=average,
    )


def two_optimizers():
    """Two by name, each with a scheduler, and a warm-up for both."""
    learner = descriptor_learner(image_set())
    network = learner.model.network
    features = ADAM(network.features.parameters(), 1e-2)
    last = SGD([{"params": [network.last.weight], "lr": 1e-3}, {"params": [network.last.bias]}], 1)
    named = {"features": features, "last": last}
    return Trainer(
        learner,
        image_set(),
        named,
        [WarmUp(3), StepLR(features, 3), ReduceLROnPlateau(last, patience=1)],
        budget=Budget(8),
        batch_size=2,
    )


TRAINERS = pytest.mark.parametrize(
    "make",
    [
        one_optimizer,
        two_optimizers,
        lambda: one_optimizer(average=0.9),
        lambda: one_optimizer(guard=Guard(every=2)),
        lambda: Trainer(generator_learner(), image_set(), budget=Budget(8)),
    ],
    ids=["one", "two", "average", "guard", "default"],
)


@TRAINERS
def test_a_trainer_goes_on_bit_by_bit_from_its_checkpoint(make, tmp_path):
    whole, part = make(), make()
    expected = whole.fit()
    part.callbacks = [callbacks.Checkpoints(tmp_path)]
    before = part.fit(stop=lambda: part.iteration == 5)
    again = make().restore(tmp_path)
    assert again.iteration == 5
    for a, b in zip(before + again.fit(), expected, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    assert torch.equal(parameters(again.learner), parameters(whole.learner))
    if whole.average:
        for name, value in whole.average.weights.items():
            assert torch.equal(again.average.weights[name], value)


def test_one_step_of_sgd_is_the_closed_form():
    trainer = one_optimizer()
    trainer.learner.expand = False
    before = parameters(trainer.learner)
    record = trainer.step()
    gradient = torch.cat([p.grad.flatten() for p in trainer.learner.parameters()])
    assert gradient.norm().item() == pytest.approx(0.5, rel=1e-3) and record["gradient_norm"] > 0.5
    assert torch.allclose(parameters(trainer.learner), before - 1e-2 * gradient, atol=1e-7)


def test_a_scheduler_of_torch_and_one_that_is_a_function_set_the_rates():
    rates = [record["learning_rate"] for record in one_optimizer().fit()]
    assert rates == [1e-2 / 2 ** (k // 2) for k in range(8)]
    learner = generator_learner()
    adam = ADAM(
        [
            {"params": [p], "lr": lr}
            for p, lr in zip(learner.parameters(), (1, 2, 3, 4), strict=False)
        ][:4]
    )
    trainer = Trainer(learner, image_set(), adam, [WarmUp(2), Cosine(0.5)], budget=Budget(4))
    record = trainer.step()
    assert record["learning_rate"] == [0.5, 1.0, 1.5, 2.0][: len(adam.param_groups)]
    assert [group["lr"] for group in adam.param_groups] == [1, 2, 3, 4][: len(adam.param_groups)]


def test_several_optimizers_each_move_their_own_parameters():
    trainer = two_optimizers()
    rates = trainer.step()["learning_rate"]
    assert rates == pytest.approx([1e-2 / 3, 1e-3 / 3, 1 / 3])
    for optimizer in trainer.optimizer.values():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                assert gradient is not None
    assert set(trainer.state_dict()["optimizer"]) == {"features", "last"}


@pytest.mark.parametrize("make", [one_optimizer, two_optimizers])
def test_the_guard_halves_all_rates_and_leaves_groups_and_schedulers_as_they_are(make):
    plain, halved = make(), make()
    halved.rate_factor = 0.5
    for _ in range(4):
        expected, found = plain.step()["learning_rate"], halved.step()["learning_rate"]
        factor = torch.tensor(found) / torch.tensor(expected)
        assert torch.equal(factor, torch.full_like(factor, 0.5))
    groups = [[g["lr"] for g in trainer.optimizers.groups] for trainer in (plain, halved)]
    assert groups[0] == groups[1]


def test_a_rollback_takes_scheduler_average_and_momentum_back(tmp_path):
    trainer = one_optimizer(average=0.9, guard=Guard(every=2))
    trainer.fit(stop=lambda: trainer.iteration == 2)
    snapshot, rate = trainer.snapshot(), trainer.optimizer.param_groups[0]["lr"]
    averaged = {name: value.clone() for name, value in trainer.average.weights.items()}
    record = trainer.step()
    trainer.step()
    trainer.put_back(snapshot)
    assert trainer.optimizer.param_groups[0]["lr"] == rate and trainer.average.count == 2
    assert all(torch.equal(averaged[n], v) for n, v in trainer.average.weights.items())
    again = trainer.step()
    drop = {"seconds": 0, "gradient_evaluations": 0}
    assert again | drop == record | drop


def test_rates_halved_by_the_guard_are_halved_after_a_resume(tmp_path):
    trainer = one_optimizer(guard=Guard())
    trainer.fit(stop=lambda: trainer.iteration == 3)
    trainer.rate_factor = 0.25
    trainer.callbacks = [callbacks.Checkpoints(tmp_path, every=4)]
    trainer.fit(stop=lambda: trainer.iteration == 4)
    again = one_optimizer(guard=Guard()).restore(tmp_path)
    assert again.step()["learning_rate"] == 0.25 * 1e-2 / 4


@pytest.mark.parametrize("other", [two_optimizers, None], ids=["learner", "optimizer"])
def test_another_trainers_state_is_refused(other, tmp_path):
    one_optimizer().fit(stop=lambda: False)
    trainer = one_optimizer()
    trainer.callbacks = [callbacks.Checkpoints(tmp_path)]
    trainer.fit()
    learner = generator_learner()
    again = other() if other else Trainer(learner, image_set(), ADAM(learner.parameters(), 1e-2))
    with pytest.raises(TigonError, match="does not fit"):
        again.restore(tmp_path)


def test_momentum_of_another_shape_is_refused():
    trainer = one_optimizer()
    trainer.step()
    state = trainer.state_dict()
    state["optimizer"]["state"][0]["momentum_buffer"] = torch.ones(7)
    with pytest.raises(ValueError, match="moments have different shapes"):
        one_optimizer().load_state_dict(state)


@pytest.mark.parametrize("recipe", [generator_recipe, descriptor_recipe], ids=["gen", "desc"])
def test_the_average_is_the_closed_form(recipe):
    options = {"expand": False, "sigma": "learn", "start": "prior"}  # else its guess is fitted
    options = options if recipe is generator_recipe else {}
    trainer, decay = recipe(average=0.8, iterations=5, **options).trainer(image_set()), 0.8
    seen = []
    trainer.callbacks = [
        lambda t, _: seen.append({n: v.clone() for n, v in t.learner.state_dict().items()})
    ]
    trainer.fit()
    for name, found in trainer.average.weights.items():
        parts = [decay ** (4 - k) * weights[name].double() for k, weights in enumerate(seen)]
        expected = (1 - decay) / (1 - decay**5) * sum(parts)
        assert torch.allclose(found.double(), expected, atol=1e-6), name


def test_what_is_given_is_not_averaged():
    trainer = generator_recipe(average=0.9, iterations=3).trainer(image_set())
    trainer.fit()
    longer = generator_recipe(average=0.9, iterations=6, sigma=0.2).trainer(image_set())
    longer.load_state_dict(trainer.state_dict())
    for _ in range(2):
        with longer.averaged() as learner:
            assert learner.model.sigma.item() == pytest.approx(0.2)
        longer.step()


def test_step_sizes_that_the_guard_lowered_are_those_of_the_averaged_model_too():
    trainer = descriptor_recipe(average=0.9, iterations=8).trainer(image_set())
    good = trainer.snapshot()
    trainer.step()
    trainer.step_factor = 0.25
    trainer.put_back(good)
    own = trainer.learner.model.step_factor.item()
    with trainer.averaged() as learner:
        assert own == pytest.approx(0.25) and learner.model.step_factor.item() == own


def test_a_step_size_that_is_changed_is_used():
    recipe = generator_recipe(iterations=3, chains=LatentChains(kernel="langevin", step_size=0.3))
    trainer = recipe.trainer(image_set())
    trainer.fit()
    other = LatentChains(kernel="langevin", step_size=0.01)
    longer = replace(recipe, chains=other).trainer(image_set())
    longer.load_state_dict(trainer.state_dict())
    assert longer.learner.step_size == pytest.approx(trainer.learner.step_size / 30)


def test_an_adapted_step_size_is_not_that_of_chains_that_do_not_adapt():
    trainer = generator_recipe(iterations=3).trainer(image_set())
    trainer.fit()
    given = LatentChains(kernel="langevin", step_size=0.05)
    longer = generator_recipe(iterations=6, chains=given).trainer(image_set())
    longer.load_state_dict(trainer.state_dict())
    assert longer.learner.step_size == 0.05 != trainer.learner.step_size


def test_dropout_draws_what_it_drew_in_an_uninterrupted_run():
    def fresh():
        network = nn.Sequential(DCGANGenerator(2, 8, width=4, rng=make_rng(1)), nn.Dropout())
        learner = GeneratorLearner(GeneratorModel(network, 2), 3)
        return Trainer(learner, image_set(3), budget=Budget(4))

    torch.manual_seed(1)
    expected = [record | {"seconds": 0} for record in fresh().fit()]
    begun, resumed = fresh(), fresh()
    begun.step()
    resumed.load_state_dict(begun.state_dict())
    before = torch.get_rng_state()
    assert [record | {"seconds": 0} for record in resumed.fit()] == expected[1:]
    assert torch.equal(torch.get_rng_state(), before)


def test_an_average_leaves_the_run_itself_as_it_is():
    ends = []
    for average in (None, 0.9):
        trainer = generator_recipe(average=average).trainer(image_set())
        ends.append([record | {"seconds": 0} for record in trainer.fit()])
    assert ends[0] == ends[1]


def test_the_average_is_what_a_run_shows_and_samples_and_learning_goes_on_without(
    tmp_path, pictures
):
    recipe = descriptor_recipe(average=0.9)
    experiment = Experiment("descriptor", recipe, str(pictures))
    trainer = train(experiment, tmp_path / "run")
    found = Run(tmp_path / "run").learner().state_dict()
    for name, value in trainer.average.weights.items():
        assert torch.equal(found[name], value)
    assert not torch.equal(
        parameters(trainer.learner), parameters(Run(tmp_path / "run").learner())
    )
    (_, shown) = Run(tmp_path / "run").snapshots()[-1]
    with trainer.averaged() as learner:
        pixels = (learner.show(5).clamp(-1, 1) + 1) * 127.5
    assert (pixels.permute(0, 2, 3, 1) - torch.from_numpy(shown).float()).abs().max() <= 0.51
    longer = replace(experiment, recipe=replace(recipe, iterations=9))
    more = train(longer, tmp_path / "run", changed=True)
    straight = train(longer, tmp_path / "straight")
    assert more.average.count == straight.average.count == 9


def test_averaged_latents_follow_the_maps_of_parameter_expansion():
    """The averaged first layer sees mapped latents as it saw them before."""
    torch.manual_seed(0)
    weight, bias, z = torch.randn(4, 2), torch.randn(4), torch.randn(5, 2)
    affine = Affine(torch.tensor([0.3, -0.2]), torch.tensor([[1.2, 0.0], [0.4, 0.7]]))
    before = z @ weight.T + bias
    undo(affine, weight, bias)
    assert torch.allclose(affine.apply(z) @ weight.T + bias, before, atol=1e-5)
    trainer = generator_recipe(average=0.5, expand=True).trainer(image_set())
    trainer.step()  # of one update the average is the weights, mapped alike
    for name, value in trainer.learner.state_dict().items():
        assert torch.allclose(trainer.average.weights[name], value, atol=1e-6)


class Noted(callbacks.Callback):
    def __init__(self, name, seen):
        self.name, self.seen = name, seen

    def on_begin(self, trainer):
        self.seen.append((self.name, "begin", trainer.iteration))

    def on_iteration(self, trainer, record):
        self.seen.append((self.name, "iteration", trainer.iteration))

    def on_event(self, trainer, event):
        self.seen.append((self.name, event["event"], trainer.iteration))

    def on_end(self, trainer, error):
        self.seen.append((self.name, "end", type(error).__name__))


def test_callbacks_are_called_in_order_at_each_moment():
    seen = []
    trainer = generator_recipe(iterations=2).trainer(image_set())
    trainer.callbacks = [
        Noted("a", seen),
        lambda t, r: seen.append(r["iteration"]),
        Noted("b", seen),
    ]
    trainer.fit()
    assert seen == [
        ("a", "begin", 0), ("b", "begin", 0),
        ("a", "iteration", 1), 1, ("b", "iteration", 1),
        ("a", "iteration", 2), 2, ("b", "iteration", 2),
        ("a", "end", "NoneType"), ("b", "end", "NoneType"),
    ]  # fmt: skip


def test_callbacks_hear_of_a_run_that_diverges_before_the_error_is_raised():
    seen = []
    trainer = descriptor_recipe(guard=Guard(attempts=0)).trainer(image_set())
    with torch.no_grad():
        trainer.learner.model.network.last.bias.fill_(float("nan"))
    trainer.callbacks = [Noted("a", seen)]
    with pytest.raises(DivergenceError):
        trainer.fit()
    assert seen == [("a", "begin", 0), ("a", "stopped", 0), ("a", "end", "DivergenceError")]


def test_a_run_that_held_images_out_goes_on_with_those_that_it_learned_from(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=pixels)
    recipe = generator_recipe(held_out=0.1)
    train(Experiment("generator", recipe, str(tmp_path / "data.npz")), tmp_path / "run")
    run = Run(tmp_path / "run")
    images = run.images()
    learned = ImageSet(to_uint8(images.read()), [*images.names], [])
    assert learned.held_out is None and len(learned) == 54
    assert run.trainer(images=learned).iteration == run.trainer().iteration


def test_a_run_goes_on_in_python_to_the_end_that_it_has_on_the_command_line(tmp_path, pictures):
    experiment = Experiment("generator", generator_recipe(average=0.9), str(pictures))
    whole = train(experiment, tmp_path / "whole")
    train(experiment, tmp_path / "part", stop=iter([False, False, True]).__next__)
    trainer = Run(tmp_path / "part").trainer()
    assert trainer.iteration == 2
    trainer.fit()
    assert torch.equal(parameters(trainer.learner), parameters(whole.learner))
