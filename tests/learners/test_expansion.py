"""Parameter expansion: what it must not change, and what it must."""

import pytest
import torch
from torch import nn

from small import generator_learner, image_set
from tigon.learners.expansion import absorb, moments, require_first


def correlated_latents(count, dim, rng):
    mix = torch.randn(dim, dim, generator=rng, dtype=torch.float64)
    return 3 + torch.randn(count, dim, generator=rng, dtype=torch.float64) @ mix


def whole(z):
    """Return the map that gives latents (N, d) the prior's moments all at once."""
    return moments(lambda: [z]).affine(1.0)


def test_with_weight_1_latents_get_the_priors_mean_and_covariance(rng):
    z = correlated_latents(40, 3, rng)
    new = whole(z).apply(z)
    assert new.mean(0).abs().max() < 1e-12
    assert torch.allclose(new.T @ new / 40, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("weight", [0.1, 0.7])
def test_the_map_is_to_a_running_average_of_first_and_second_moments(weight, rng):
    """In the coordinates of the last map the average was (0, I)."""
    z = correlated_latents(40, 3, rng)
    affine = moments(lambda: [z]).affine(weight)
    first = weight * z.mean(0)
    second = weight * z.T @ z / 40 + (1 - weight) * torch.eye(3, dtype=torch.float64)
    assert torch.allclose(affine.mean, first)
    assert torch.allclose(affine.root @ affine.root.T, second - torch.outer(first, first))


def test_the_weight_is_small_where_n_is_not_much_larger_than_d(rng):
    def weight(count, dim, moved=1.0):
        return moments(lambda: [torch.randn(count, dim, generator=rng)]).weight(moved)

    assert weight(10, 2) == pytest.approx(0.25)
    assert weight(50, 64) < 0.08 and weight(2000, 2) > 0.98
    one, ten = weight(100, 5, 0.1), weight(100, 5)
    assert 1 - (1 - one) ** 10 == pytest.approx(ten)  # ten tenths are the whole
    assert weight(10, 2, 0.0) == 0


def test_one_latent_and_axes_without_variation_are_mapped_to_finite_places():
    for z in (torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 4.0]])):
        found = moments(lambda: [z])  # noqa: B023
        assert found.affine(found.weight(1.0)).apply(z).isfinite().all()


def test_a_layer_without_a_bias_keeps_the_mean_and_takes_the_second_moment(rng):
    layer = nn.Linear(3, 7, bias=False).double()
    z = correlated_latents(40, 3, rng)
    before = layer(z)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.0)
    layer(z).pow(2).sum().backward()
    optimizer.step()
    affine = moments(lambda: [z]).affine(1.0, centred=False)
    absorb(affine, layer, optimizer)
    new = affine.apply(z)
    assert torch.allclose(layer(new), before)
    assert torch.allclose(new.T @ new / 40, torch.eye(3, dtype=torch.float64))


class Skipping(nn.Module):
    """A network whose latents go past its first layer too."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 4), nn.Linear(6, 3)

    def forward(self, z):
        return self.last(torch.cat([self.first(z), z], 1))


def test_a_network_that_sees_latents_elsewhere_too_is_refused_and_stays_as_it_was():
    network = Skipping()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match="only through its `.first`"):
        require_first(network, 2)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("bias", [True, False])
def test_a_network_that_sees_latents_by_its_first_layer_alone_is_taken(bias):
    network = nn.Sequential()
    network.first = nn.Linear(2, 4, bias=bias)
    network.last = nn.Linear(4, 3)
    assert require_first(network, 2) is network.first


@pytest.mark.parametrize("count", [4, 40])
def test_the_layers_output_does_not_change(count, rng):
    layer = nn.Linear(3, 7).double()
    z = correlated_latents(count, 3, rng)
    before = layer(z)
    affine = whole(z)
    absorb(affine, layer, None)
    assert torch.allclose(layer(affine.apply(z)), before, atol=1e-10)


def test_images_and_likelihood_do_not_change_and_the_prior_term_grows(rng):
    images = image_set(9).read()
    learner = generator_learner(9, expand=True)
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
    affine = whole(z)
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
    absorb(whole(z), layer, optimizer)
    expected = before / torch.tensor([4.0, 25.0]).double()
    assert torch.allclose(optimizer.state[layer.weight]["exp_avg_sq"], expected)


def test_rmsprops_centred_squares_stay_above_the_mean_gradients_square(rng):
    layer = nn.Linear(3, 7).double()
    z = correlated_latents(40, 3, rng)
    optimizer = torch.optim.RMSprop(layer.parameters(), lr=0.0, centered=True)
    for _ in range(30):  # by then the mean gradient is the gradient
        optimizer.zero_grad()
        layer(z).pow(2).sum().backward()
        optimizer.step()
    absorb(whole(z), layer, optimizer)
    state = optimizer.state[layer.weight]
    assert (state["square_avg"] >= state["grad_avg"] ** 2).all()
    gradient = torch.autograd.grad(layer(whole(z).apply(z)).pow(2).sum(), layer.weight)[0]
    share = 1 - 0.99**30
    assert torch.allclose(state["grad_avg"], share * gradient)


def test_moments_of_a_latent_whose_scale_vanishes_do_not_overflow(rng):
    layer = nn.Linear(2, 3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        layer(torch.randn(8, 2, generator=rng)).pow(2).sum().backward()
        optimizer.step()
        narrow = torch.randn(8, 2, generator=rng) * torch.tensor([1.0, 0.1])
        absorb(whole(narrow), layer, optimizer)  # noqa: B023
    for state in optimizer.state.values():
        assert state["exp_avg"].isfinite().all() and state["exp_avg_sq"].isfinite().all()
    assert all(parameter.isfinite().all() for parameter in layer.parameters())


def test_step_sizes_follow_the_volume(rng):
    z = 4 * torch.randn(1000, 2, generator=rng)
    assert whole(z).scale == pytest.approx(0.25, rel=0.1)


def test_the_step_size_of_the_learner_is_kept_in_the_new_coordinates(rng):
    learner = generator_learner(9, expand=True)
    learner.store.replace(lambda points: 3 * points + 1)
    size = learner.step_size
    learner.measure_latents()
    scale = learner.moments.affine(learner.moments.weight(1.0)).scale
    learner.after_update(torch.optim.Adam(learner.parameters()))
    assert learner.step_size == pytest.approx(size * scale) and scale < 0.9
