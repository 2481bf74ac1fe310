"""log p of images: what is refused, and that each image stands alone."""

import math

import pytest
import torch

import tigon
from small import descriptor_learner, generator_learner, image_set
from tigon.errors import TigonError
from tigon.inference.brackets import together
from tigon.inference.likelihood import (
    bits_per_dimension,
    log_likelihood,
    log_partition,
    simulated,
)
from tigon.mcmc.annealed import AIS, Bracket
from tigon.mcmc.weights import MISS, Side, known, least, most
from tigon.models.abilities import HasLikelihood, HasReference
from tigon.models.cooperative import CooperativeModel
from tigon.models.energy import EnergyModel, short_run
from tigon.random.streams import RowRng, make_rng

HOW = AIS(2, 3)


def test_an_image_has_the_same_bracket_whichever_others_are_asked_about():
    model = generator_learner().model
    images, latents = simulated(model, 3, make_rng(0))
    every = log_likelihood(model, images, RowRng(0, 0, range(6)), HOW, latents)
    last = log_likelihood(model, images[2:], RowRng(0, 0, range(4, 6)), HOW, latents[2:])
    for both, one in zip(every[:-1], last[:-1], strict=True):
        assert torch.allclose(both[2:], one, rtol=1e-5)


def test_both_starts_find_the_same_number():
    """An untrained decoder of two latents: the bracket is narrow from wherever chains start."""
    model = generator_learner().model
    images, latents = simulated(model, 2, make_rng(0))
    near = log_likelihood(model, images, make_rng(1), AIS(8, 10), latents)
    far = log_likelihood(model, images, make_rng(2), AIS(8, 60), latents, "prior")
    assert ((near.above - near.below).abs() < 0.2).all() and (near.ess > 7).all()
    for end, error in ((far.below, far.below_error), (far.above, far.above_error)):
        assert ((end - near.below).abs() < 4.5 * error).all() and (error < 2).all()
    assert (far.lower < near.below).all() and (near.below < far.upper).all()


def test_a_likelihood_is_that_of_its_sigma():
    """Of a decoder that decodes everything to grey, images are N(0, sigma^2 I)."""
    model = generator_learner().model
    for part in model.network.parameters():
        torch.nn.init.zeros_(part)
    model.sigma.fill_(0.5)
    images = image_set(2).read()
    found = log_likelihood(model, images, make_rng(0), HOW)
    expected = tigon.Gaussian(0.0, 0.5).log_prob(images.double())
    assert torch.allclose(found.below, expected, atol=1e-3)
    assert torch.allclose(found.above, expected, atol=1e-3)
    assert (found.lower < expected).all() and (expected < found.upper).all()


def test_bits_per_dimension_depend_on_the_unit():
    """A uniform density on [-1, 1]^D has one bit, and log2 255 on [0, 255]^D."""
    nats = -12 * math.log(2)
    assert bits_per_dimension(nats, 12) == pytest.approx(1)
    assert bits_per_dimension(nats, 12, 255) == pytest.approx(math.log2(255))


def one_grid(temperature):
    """A descriptor of 8 x 8 images whose chains are at this temperature."""
    chains = short_run(3, 0.05, temperature)
    return descriptor_learner(image_set(), chains=chains).model


def test_a_density_of_images_lacks_one_constant():
    model = one_grid(1.0)
    found = log_partition(model, make_rng(0), AIS(4, 20))
    images = image_set(3).read()
    of = log_likelihood(model, images, make_rng(1), constant=found)
    expected = model.log_density(images).double().detach()
    assert torch.allclose(of.above, expected - found.below.value)
    assert torch.allclose(of.below, expected - found.above.value)
    assert torch.allclose(of.upper, expected - found.lower)
    assert torch.allclose(of.lower, expected - found.upper)
    assert of.mean.upper - of.mean.lower == pytest.approx(found.upper - found.lower)


def test_a_constant_that_is_estimated_widens_every_bracket():
    """Each of the two has half of the chance to be wrong, and so more room than on its own."""
    side = Side(1.0, 0.1, 4.0, 0.9, 4)
    found = [Bracket(side, side.shifted(0.2), 0.8)] * 3
    exactly = together(found, Bracket(known(1.0), known(1.0), 1.0)).mean
    estimated = together(found, Bracket(side, side, 0.8)).mean
    assert exactly.below == pytest.approx(estimated.below) == pytest.approx(0.0)
    assert estimated.below_error == pytest.approx(math.hypot(0.1 / 3**0.5, 0.1))
    assert exactly.lower == pytest.approx(least([side] * 3) - 1)
    half = MISS / 2
    assert estimated.lower == pytest.approx(least([side] * 3, half) - most([side], half))
    assert estimated.upper == pytest.approx(most([side] * 3, half) + 0.2 - least([side], half))


def test_no_images_have_no_mean():
    found = log_likelihood(generator_learner().model, torch.zeros(0, 3, 8, 8), make_rng(0), HOW)
    assert found.lower.shape == (0,) and math.isnan(found.mean.lower)


def revised():
    model = generator_learner().model
    return CooperativeModel(model.network, one_grid(1.0), 2)


def by_grids():
    network = one_grid(1.0).network
    return EnergyModel(network, image_size=8, coarser=one_grid(1.0), chains=short_run(3, 0.1, 1.0))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: one_grid(0.001), "temperature 0.001 and not 1, which makes it a sampler"),
        (by_grids, "grid by grid"),
        (revised, "short chains come to, a sampler and not a density"),
        (lambda: torch.nn.Linear(1, 1), "no likelihood that can be estimated"),
    ],
    ids=["tempered", "grids", "revised", "no model"],
)
@pytest.mark.parametrize("task", [log_likelihood, log_partition, simulated])
def test_a_sampler_has_no_likelihood(model, said, task):
    some = {log_likelihood: (image_set(1).read(),), simulated: (1,), log_partition: ()}[task]
    with pytest.raises(TigonError, match=said):
        task(model(), *some, make_rng(0))


def test_models_say_what_they_can_do():
    generator, descriptor = generator_learner().model, one_grid(1.0)
    assert isinstance(generator, HasLikelihood) and not isinstance(generator, HasReference)
    assert isinstance(descriptor, HasReference) and not isinstance(descriptor, HasLikelihood)
    with pytest.raises(TigonError, match="cannot be drawn exactly"):
        simulated(descriptor, 1, make_rng(0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": torch.zeros(1, 3, 4, 4)}, "images"),
        ({"latents": torch.zeros(2, 2)}, "there are 2 for 1 images"),
        ({"latents": torch.zeros(1, 3)}, "latents"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(change, said):
    given = {"images": torch.zeros(1, 3, 8, 8), "rng": make_rng(0), "how": HOW} | change
    with pytest.raises(TigonError, match=said):
        log_likelihood(generator_learner().model, **given)


def test_a_decoder_of_numbers_that_are_not_finite_is_refused():
    model = generator_learner().model
    with torch.no_grad():
        model.network.first.bias.fill_(torch.nan)
    with pytest.raises(TigonError, match="not finite"):
        log_likelihood(model, image_set(1).read(), make_rng(0), HOW)


def test_images_that_a_model_draws_are_its_decoded_latents_and_noise():
    """Latents are those that the images were decoded from."""
    model = generator_learner().model
    images, latents = simulated(model, 400, make_rng(0))
    noise = (images - model.decode(latents)) / model.sigma
    assert noise.std().item() == pytest.approx(1, abs=0.01)
