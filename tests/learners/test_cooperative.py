"""A generator whose images a descriptor revises."""

import pytest
import torch

import tigon
from small import image_set
from tigon.data.pixels import reduced
from tigon.learners.cooperative import CooperativeLearner, Reviser
from tigon.learners.generator import GeneratorLearner
from tigon.models.energy import short_run


def learner_of(images, size=8, **options):
    network = tigon.DCGANGenerator(2, size, width=4, rng=tigon.make_rng(1))
    descriptor = tigon.EnergyModel(
        tigon.ConvDescriptor(8, width=4, rng=tigon.make_rng(2)),
        chains=short_run(4, 0.1, 0.001),
        starts=torch.zeros(1, 3, 1, 1),
        image_size=8,
    )
    model = tigon.CooperativeModel(network, descriptor, 2)
    return CooperativeLearner(model, len(images), **options)


def step(learner, images):
    """One iteration's loss and metrics, with gradients."""
    batch = images.batch(torch.arange(len(images)))
    samples = learner.run_chains(batch, tigon.RowRng(0, 0, range(len(images))))
    learner.zero_grad()
    loss, metrics = learner(batch, samples)
    loss.backward()
    return batch, samples, metrics


def gradients(module):
    return [p.grad.clone() for p in module.parameters()]


@pytest.mark.parametrize("size, teach", [(8, 0.0), (8, 0.5), (16, 0.5)])
def test_each_network_has_the_gradient_of_its_own_learning(size, teach):
    """The descriptor's grid is 8 x 8, that of the images or half as fine."""
    images = image_set(6, size)
    learner = learner_of(images, size, lead=0.0, teach=teach)
    model = learner.model
    batch, samples, metrics = step(learner, images)
    of_generator, of_descriptor = gradients(model.network), gradients(model.descriptor.network)
    latents, proposed, ends, revised = learner._revision
    assert torch.equal(proposed, model.decode(latents)) and not torch.equal(proposed, revised)
    assert torch.equal(revised, model.carried(proposed, ends))
    learner.zero_grad()
    loss = GeneratorLearner.forward(learner, batch, samples)[0]
    if teach:
        loss = loss + teach * (revised - model(latents)).square().sum() / 6 / (2 * 0.3**2)
    f = model.descriptor.network
    contrast = (f(ends) - f(reduced(batch.images, (8, 8)))).mean()
    (loss + contrast).backward()
    for one, two in zip(
        of_generator + of_descriptor,
        gradients(model.network) + gradients(f),
        strict=True,
    ):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-5)
    assert torch.allclose(metrics["gap"], contrast.detach() / ends[0].numel(), atol=1e-6)
    assert torch.allclose(metrics["moved"], (revised - proposed).square().mean())


def test_the_descriptor_waits_for_the_lead():
    images = image_set(6)
    learner = learner_of(images, lead=0.5)
    learner.begin(0.49)
    alone = learner.evaluations_per_example
    _, _, metrics = step(learner, images)
    assert "gap" not in metrics
    assert all((g == 0).all() for g in gradients(learner.model.descriptor))
    learner.begin(0.5)
    _, _, metrics = step(learner, images)
    assert "gap" in metrics and any(g.any() for g in gradients(learner.model.descriptor))
    assert learner.evaluations_per_example == alone + 4 + 2
    assert learner.gradient_evaluations == 6 * (2 * alone + 6)


def test_a_pass_on_a_coarser_grid_counts_by_its_pixels_from_the_first():
    """So that a budget of evaluations ends where it did, in a run that was interrupted, too."""
    learner = learner_of(image_set(6, 16), 16, lead=0.0)
    expected = GeneratorLearner.evaluations_per_example.fget(learner) + (4 + 2) / 4
    assert learner.evaluations_per_example == expected
    step(learner, image_set(6, 16))
    assert learner.evaluations_per_example == expected


def test_the_step_sizes_of_both_kinds_of_chains_are_scaled():
    learner = learner_of(image_set(3))
    before = learner.step_size, learner.model.descriptor.step_size
    learner.scale_steps(0.5)
    assert learner.step_size == 0.5 * before[0]
    assert learner.model.descriptor.step_size == pytest.approx(0.5 * before[1])


def test_what_is_diagnosed_starts_at_proposals():
    learner = learner_of(image_set(3))
    model = learner.model
    streams = tigon.RowRng(0, 0, [4, 0], "proposals")
    _, proposed = model.propose(2, streams)
    trace = Reviser(learner).sample_chain(torch.tensor([4, 0]), tigon.RowRng(0, 0, range(2)))
    assert torch.equal(trace.x, model.revise(proposed, tigon.RowRng(0, 0, range(2))))


def test_what_is_diagnosed_is_on_the_descriptors_grid():
    learner = learner_of(image_set(3, 16), 16)
    trace = Reviser(learner).sample_chain(torch.tensor([0]), tigon.RowRng(0, 0, [0]), keep=2)
    assert trace.x.shape == (1, 3, 8, 8) and trace.trajectory.shape == (2, 1, 3, 8, 8)


def trainer_of(images, lead, iterations=8, **options):
    learner = learner_of(images, lead=lead)
    groups = [
        {"params": list(learner.model.network.parameters()), "lr": 1e-3},
        {"params": list(learner.model.descriptor.parameters()), "lr": 0.02, **options},
    ]
    budget = tigon.Budget(iterations)
    return tigon.Trainer(learner, images, torch.optim.Adam(groups), budget=budget)


@pytest.mark.parametrize("betas", [(0.5, 0.95), (0.5, 0.999)])
def test_the_descriptors_first_step_is_as_long_as_any_first_step_of_adam(betas):
    trainer = trainer_of(image_set(6), lead=0.5, betas=betas)
    for _ in range(4):
        trainer.step()
    descriptor = trainer.learner.model.descriptor
    before = [p.detach().clone() for p in descriptor.parameters()]
    trainer.step()
    moved = [(p - old).abs().max() for p, old in zip(descriptor.parameters(), before, strict=True)]
    assert max(moved).item() == pytest.approx(0.02, rel=1e-3)


def test_a_run_that_stopped_while_the_generator_led_goes_on_as_if_it_had_not():
    images = image_set(6)
    whole, stopped = (trainer_of(images, lead=0.5) for _ in range(2))
    expected = [record | {"seconds": 0} for record in whole.fit()]
    for _ in range(3):
        stopped.step()
    resumed = trainer_of(images, lead=0.5)
    resumed.load_state_dict(stopped.state_dict())
    assert [record | {"seconds": 0} for record in resumed.fit()] == expected[3:]


def test_the_cost_of_an_iteration_is_known_before_the_descriptor_begins():
    trainer = trainer_of(image_set(6), lead=0.5)
    for _ in range(4):
        trainer.step()
    before, cost = trainer.evaluations, trainer._cost()
    trainer.step()
    assert trainer.learner.revising and trainer.evaluations == before + cost


def test_with_products_in_bfloat16_images_are_those_that_are_revised_in_training():
    learner = learner_of(image_set(6), lead=0.0)
    learner.precision = "bfloat16"
    drawn = learner.sample(3, tigon.RowRng(0, 0, range(3)))
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, learner.revision(3, tigon.RowRng(0, 0, range(3))).revised)


def test_a_longer_run_goes_on_with_the_descriptor(tmp_path):
    images = image_set(6)
    trainer = trainer_of(images, lead=0.5)
    assert "gap" in trainer.fit()[-1]
    longer = trainer_of(images, lead=0.5, iterations=80)
    assert not longer.learner.revising
    longer.load_state_dict(trainer.state_dict())
    assert "gap" in longer.step() and longer.progress < 0.5


def test_revised_images_that_ran_away_are_told_from_a_bad_network():
    images = image_set(6)
    trainer = trainer_of(images, lead=0.0)
    trainer.learner.model.descriptor.scale_steps(1e12)
    with pytest.raises(tigon.DivergenceError) as caught:
        trainer.step()
    assert caught.value.cause == "chains"


def test_a_process_may_have_no_image_of_a_batch():
    images = image_set(6)
    learner = learner_of(images, lead=0.0)
    whole = images.batch(torch.arange(4))
    empty = whole._replace(images=whole.images[:0], index=whole.index[:0], total=4)
    samples = learner.run_chains(empty, tigon.RowRng(0, 0, []))
    loss, metrics = learner(empty, samples)
    loss.backward()
    assert loss.item() == 0 and metrics["gap"] == 0


@pytest.mark.parametrize("numbers", [{"lead": 1.0}, {"lead": -0.1}, {"teach": -1.0}])
def test_bad_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="lead is in"):
        learner_of(image_set(3), **numbers)


def test_a_model_without_a_descriptor_is_refused():
    network = tigon.DCGANGenerator(2, 8, width=4)
    with pytest.raises(ValueError, match="is a GeneratorModel, not a CooperativeModel"):
        CooperativeLearner(tigon.GeneratorModel(network, 2), 3)
