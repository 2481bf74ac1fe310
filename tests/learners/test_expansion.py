"""Parameter expansion: what it must not change, and what it must."""

import pytest
import torch
from torch import nn

from small import generator_learner, image_set
from tigon.learners.expansion import absorb, moments


def correlated_latents(count, dim, rng):
    mix = torch.randn(dim, dim, generator=rng, dtype=torch.float64)
    return 3 + torch.randn(count, dim, generator=rng, dtype=torch.float64) @ mix


def test_latents_get_the_priors_mean_and_covariance(rng):
    z = correlated_latents(40, 3, rng)
    new = moments(lambda: [z]).affine.apply(z)
    assert new.mean(0).abs().max() < 1e-12
    assert torch.allclose(new.T @ new / 40, torch.eye(3, dtype=torch.float64))


def test_few_latents_are_scaled_axis_by_axis(rng):
    z = correlated_latents(4, 3, rng)
    affine = moments(lambda: [z]).affine
    new = affine.apply(z)
    assert torch.equal(affine.root, affine.root.diagonal().diag())
    assert torch.allclose(new.var(0, correction=0), torch.ones(3, dtype=torch.float64))


def test_one_latent_and_an_axis_without_variation_keep_their_scale():
    one = torch.tensor([[2.0, -1.0]])
    assert torch.equal(moments(lambda: [one]).affine.root, torch.eye(2))
    assert torch.equal(moments(lambda: [one]).affine.apply(one), torch.zeros(1, 2))
    still = torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 4.0]])
    assert moments(lambda: [still]).affine.root[0, 0] == 1
    assert torch.isfinite(moments(lambda: [still]).affine.apply(still)).all()


@pytest.mark.parametrize("count", [4, 40])
def test_the_layers_output_does_not_change(count, rng):
    layer = nn.Linear(3, 7).double()
    z = correlated_latents(count, 3, rng)
    before = layer(z)
    affine = moments(lambda: [z]).affine
    absorb(affine, layer, None)
    assert torch.allclose(layer(affine.apply(z)), before, atol=1e-10)


def test_images_and_likelihood_do_not_change_and_the_prior_term_grows(rng):
    images = image_set(9).read()
    learner = generator_learner(9)
    model = learner.double().model
    images = images.double()
    fresh = correlated_latents(9, 2, rng)
    learner.store.replace(lambda _: fresh)
    before = model(fresh), fresh
    likelihood = model.log_likelihood(images, learner.store.points)
    learner.measure_latents()
    learner.after_update(torch.optim.Adam(learner.parameters()))
    after = model(learner.store.points), learner.store.points
    assert not torch.allclose(before[1], after[1])
    assert torch.allclose(before[0], after[0], atol=1e-10)
    assert torch.allclose(model.log_likelihood(images, after[1]), likelihood, rtol=1e-10)
    assert (after[1] ** 2).sum() < (before[1] ** 2).sum()


def test_adams_first_moment_becomes_that_of_the_new_coordinates(rng):
    """Moments are sums of gradients, so the gradient itself must transform as they do."""
    layer = nn.Linear(3, 7).double()
    z = correlated_latents(40, 3, rng)
    optimizer = torch.optim.Adam(layer.parameters(), betas=(0.0, 0.5))

    def gradients(latents):
        layer.zero_grad()
        torch.tanh(layer(latents)).pow(2).sum().backward()
        return layer.weight.grad.clone(), layer.bias.grad.clone()

    gradients(z)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    affine = moments(lambda: [z]).affine
    absorb(affine, layer, optimizer)
    weight, bias = gradients(affine.apply(z))
    assert torch.allclose(optimizer.state[layer.weight]["exp_avg"], weight, rtol=1e-8)
    assert torch.allclose(optimizer.state[layer.bias]["exp_avg"], bias, rtol=1e-8)


def test_adams_second_moment_scales_as_the_square_of_the_gradient():
    """On a diagonal map without shift nothing is approximate."""
    layer = nn.Linear(2, 3).double()
    z = torch.tensor([[2.0, 5.0], [-2.0, 5.0], [2.0, -5.0], [-2.0, -5.0]]).double()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.0)
    layer(z).pow(2).sum().backward()
    optimizer.step()
    before = optimizer.state[layer.weight]["exp_avg_sq"].clone()
    absorb(moments(lambda: [z]).affine, layer, optimizer)
    expected = before / torch.tensor([4.0, 25.0]).double()
    assert torch.allclose(optimizer.state[layer.weight]["exp_avg_sq"], expected)


def test_moments_of_a_latent_whose_scale_vanishes_do_not_overflow(rng):
    layer = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        layer(torch.randn(8, 2, generator=rng)).pow(2).sum().backward()
        optimizer.step()
        narrow = torch.randn(8, 2, generator=rng) * torch.tensor([1.0, 0.1])
        absorb(moments(lambda: [narrow]).affine, layer, optimizer)  # noqa: B023
    for state in optimizer.state.values():
        assert state["exp_avg"].isfinite().all() and state["exp_avg_sq"].isfinite().all()
    assert all(parameter.isfinite().all() for parameter in layer.parameters())


def test_step_sizes_follow_the_volume(rng):
    z = 4 * torch.randn(1000, 2, generator=rng)
    affine = moments(lambda: [z]).affine
    assert torch.allclose(affine.shrink(torch.ones(3)), torch.tensor(0.25), rtol=0.1)


def test_step_sizes_of_the_learner_are_kept_in_the_new_coordinates(rng):
    learner = generator_learner(9)
    learner.store.replace(lambda points: 3 * points + 1)
    sizes = learner.store.step_size.clone()
    learner.measure_latents()
    learner.after_update(torch.optim.Adam(learner.parameters()))
    assert torch.allclose(learner.store.step_size, sizes / 3, rtol=1e-4)
