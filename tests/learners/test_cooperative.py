"""A generator whose images a descriptor revises."""

import pytest
import torch

import tigon
from small import image_set
from tigon.learners.cooperative import CooperativeLearner, Reviser
from tigon.learners.generator import GeneratorLearner
from tigon.models.energy import short_run


def learner_of(images, **options):
    network = tigon.DCGANGenerator(2, 8, width=4, rng=tigon.make_rng(1))
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


@pytest.mark.parametrize("teach", [0.0, 0.5])
def test_each_network_has_the_gradient_of_its_own_learning(teach):
    images = image_set(6)
    learner = learner_of(images, lead=0.0, teach=teach)
    model = learner.model
    batch, samples, metrics = step(learner, images)
    of_generator, of_descriptor = gradients(model.network), gradients(model.descriptor.network)
    latents, proposed, revised = learner._revision
    assert torch.equal(proposed, model.decode(latents)) and not torch.equal(proposed, revised)
    learner.zero_grad()
    loss = GeneratorLearner.forward(learner, batch, samples)[0]
    if teach:
        loss = loss + teach * (revised - model(latents)).square().sum() / 6 / (2 * 0.3**2)
    f = model.descriptor.network
    contrast = (f(revised) - f(batch.images)).mean()
    (loss + contrast).backward()
    for one, two in zip(
        of_generator + of_descriptor,
        gradients(model.network) + gradients(f),
        strict=True,
    ):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-5)
    assert torch.allclose(metrics["gap"], contrast.detach() / proposed[0].numel(), atol=1e-6)
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


def test_the_step_sizes_of_both_kinds_of_chains_are_scaled():
    learner = learner_of(image_set(3))
    before = learner.step_size, learner.model.descriptor.step_size
    learner.scale_steps(0.5)
    assert learner.step_size == 0.5 * before[0]
    assert learner.model.descriptor.step_size == pytest.approx(0.5 * before[1])


def test_what_is_diagnosed_starts_at_proposals():
    learner = learner_of(image_set(3))
    index = torch.tensor([4, 0])
    trace = Reviser(learner.model).sample_chain(index, tigon.RowRng(0, 0, range(2)), keep=1)
    again = Reviser(learner.model).sample_chain(
        index.flip(0), tigon.RowRng(0, 0, range(2)), keep=1
    )
    first = [one.trajectory[0] for one in (trace, again)]
    assert (first[0] - first[1].flip(0)).abs().max() < 0.5
    assert not torch.equal(trace.x[0], trace.x[1])


@pytest.mark.parametrize("numbers", [{"lead": 1.0}, {"lead": -0.1}, {"teach": -1.0}])
def test_bad_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="lead is in"):
        learner_of(image_set(3), **numbers)


def test_a_model_without_a_descriptor_is_refused():
    network = tigon.DCGANGenerator(2, 8, width=4)
    with pytest.raises(ValueError, match="is a GeneratorModel, not a CooperativeModel"):
        CooperativeLearner(tigon.GeneratorModel(network, 2), 3)
