"""Equations (1), (3), (4), (6): values and gradients against independently derived numbers."""

import pytest
import torch
from torch import nn

from tigon.densities.gaussian import Gaussian
from tigon.densities.log_density import evaluated, frozen, mode, value_and_grad
from tigon.models.energy import EnergyModel
from tigon.models.generator import GeneratorModel
from tigon.nn.dcgan import ConvDescriptor


def finite_difference(function, x, step=1e-6):
    """The gradient of a (B,)-valued function, coordinate by coordinate."""
    gradient = torch.zeros_like(x)
    for place in range(x[0].numel()):
        shift = torch.zeros_like(x).flatten(1)
        shift[:, place] = step
        shift = shift.view_as(x)
        gradient.flatten(1)[:, place] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient


def small_generator(rng):
    network = nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Unflatten(1, (3, 2, 2))).double()
    with torch.no_grad():
        network[0].weight.normal_(generator=rng)
    return GeneratorModel(network, 2, sigma=0.3)


def test_gaussian_agrees_with_pytorchs_normal(rng):
    x = torch.randn(5, 3, 2, generator=rng, dtype=torch.float64)
    theirs = torch.distributions.Normal(0.5, 2.0).log_prob(x).sum((1, 2))
    assert torch.allclose(Gaussian(0.5, 2.0).log_prob(x), theirs)


@pytest.mark.parametrize("loc", [0.5, torch.linspace(-1, 1, 4), torch.zeros(3, 1)])
@pytest.mark.parametrize(
    "scale", [2.0, torch.linspace(0.5, 2, 4), torch.tensor([[1.0], [2], [3]])]
)
def test_a_normal_densitys_own_gradient_is_that_of_autograd(loc, scale, rng):
    x = torch.randn(5, 3, 4, generator=rng)
    density = Gaussian(loc, scale)
    theirs = torch.distributions.Normal(torch.as_tensor(loc), scale).log_prob(x).sum((1, 2))
    expected, its = evaluated(density, x)
    value, gradient = density.value_and_grad(x)
    assert torch.allclose(value, theirs, atol=1e-4) and torch.allclose(expected, theirs, atol=1e-4)
    assert torch.allclose(gradient, its, atol=1e-5)


def test_chains_follow_the_density_of_a_subclass(rng):
    class Lit(EnergyModel):
        def forward(self, x):
            return super().forward(x) + 100 * x.flatten(1).sum(1)

    model = Lit(ConvDescriptor(8, 1, 4, rng=rng), starts=torch.zeros(1, 1, 1, 1), image_size=8)
    x = torch.randn(2, 1, 8, 8, generator=rng)
    value, gradient = value_and_grad(model, x)
    assert torch.equal(value, model(x).detach()) and 90 < gradient.mean() < 110


@pytest.mark.parametrize("loc", [0.0, -1.0])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_an_energys_own_gradient_is_that_of_autograd(loc, norm, rng):
    network = ConvDescriptor(8, 1, 4, norm, rng=rng).eval()
    model = EnergyModel(network, 0.3, loc, starts=torch.zeros(1, 1, 1, 1), image_size=8)
    x = torch.randn(5, 1, 8, 8, generator=rng)
    (value, gradient), (expected, its) = model.value_and_grad(x), evaluated(model, x)
    assert torch.allclose(value, expected, rtol=1e-5) and torch.allclose(gradient, its, atol=1e-4)
    assert all(map(torch.equal, value_and_grad(model, x), (value, gradient)))


def test_posterior_gradient_is_that_of_equation_2(rng):
    model = small_generator(rng)
    images = torch.rand(4, 3, 2, 2, generator=rng, dtype=torch.float64)
    z = torch.randn(4, 2, generator=rng, dtype=torch.float64)
    value, gradient = value_and_grad(model.posterior(images), z)

    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: model(one[None])[0].flatten()))(z)
    residual = (images - model(z)).flatten(1)
    expected = torch.einsum("bp,bpd->bd", residual, jacobian) / 0.3**2 - z
    assert torch.allclose(gradient, expected)
    assert torch.allclose(gradient, finite_difference(model.posterior(images), z), rtol=1e-5)
    assert torch.allclose(value, -(residual**2).sum(1) / (2 * 0.09) - (z**2).sum(1) / 2)


def test_a_chains_likelihood_is_a_sum_over_pixels_and_never_an_average_over_the_batch(rng):
    model = small_generator(rng)
    images = torch.rand(1, 3, 2, 2, generator=rng, dtype=torch.float64)
    z = torch.randn(1, 2, generator=rng, dtype=torch.float64)
    _, alone = value_and_grad(model.posterior(images), z)
    _, among = value_and_grad(model.posterior(images.expand(7, -1, -1, -1)), z.expand(7, -1))
    assert torch.allclose(among, alone.expand(7, -1))


def test_a_rows_log_density_does_not_depend_on_the_other_rows(rng):
    model = small_generator(rng)
    images = torch.rand(3, 3, 2, 2, generator=rng, dtype=torch.float64)
    z = torch.randn(3, 2, generator=rng, dtype=torch.float64)
    other = z.clone()
    other[1:] += 1
    value, gradient = value_and_grad(model.posterior(images), z)
    value2, gradient2 = value_and_grad(model.posterior(images), other)
    assert value[0] == value2[0] and torch.equal(gradient[0], gradient2[0])


def test_descriptor_gradient_is_that_of_equation_5(rng):
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)
    )
    model = EnergyModel(network.double(), scale=0.4)
    y = torch.randn(3, 3, 2, 2, generator=rng, dtype=torch.float64)
    _, gradient = value_and_grad(model, y)
    of_network = finite_difference(network, y)
    assert torch.allclose(gradient, -(y / 0.4**2 - of_network), rtol=1e-5)


def test_the_log_density_falls_as_the_network_scores_lower_and_away_from_the_reference_mean():
    model = EnergyModel(lambda x: torch.zeros(len(x)), 0.5, loc=-1.0)
    far = torch.stack([torch.full((1, 1, 1), -1.0), torch.full((1, 1, 1), 1.0)])
    there, away = model(far).tolist()
    assert there - away == pytest.approx(2.0**2 / (2 * 0.25))


def test_a_log_density_that_does_not_return_one_number_a_row_is_refused():
    with pytest.raises(ValueError, match=r"map \(4, 2\) to \(4,\), but this one returned \(\)"):
        value_and_grad(lambda x: x.sum(), torch.zeros(4, 2))


def test_frozen_parameters_get_no_gradient_and_thaw_as_they_were():
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad_(False)
    with pytest.raises(RuntimeError, match="in between"), frozen(layer):
        assert not layer.weight.requires_grad
        raise RuntimeError("in between")
    assert layer.weight.requires_grad and not layer.bias.requires_grad


def test_a_mode_ends_where_it_began_whatever_happens_within():
    whole = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3).eval())
    for training in (False, True):
        with pytest.raises(RuntimeError, match="in between"), mode(whole, training):
            assert all(part.training == training for part in whole.modules())
            raise RuntimeError("in between")
        assert [part.training for part in whole.modules()] == [True, True, False]
