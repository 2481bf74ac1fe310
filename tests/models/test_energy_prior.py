"""A prior that is a tilted normal density."""

import copy

import pytest
import torch
from torch import nn

import tigon
from tigon.models.config import register_part


@register_part
class Quadratic(nn.Module):
    """f(z) = a z - z P z / 2, so that exp(f) N(0, I) is normal: N((I + P)^-1 a, (I + P)^-1)."""

    def __init__(self, linear, precision):
        super().__init__()
        self.linear = nn.Parameter(torch.tensor(linear))
        self.root = nn.Parameter(torch.tensor(precision))

    def forward(self, z):
        return z @ self.linear - 0.5 * ((z @ self.root) * z).sum(1)

    def config(self):
        return {"linear": self.linear.tolist(), "precision": self.root.tolist()}


def tilted():
    return Quadratic([1.0, -0.5, 0.0], [[2.0, 0.6, 0.0], [0.6, 0.5, 0.0], [0.0, 0.0, -0.4]])


def test_the_log_density_is_the_tilt_times_the_normal_density():
    prior, z = tigon.EnergyPrior(tilted(), 3), torch.randn(5, 3, generator=tigon.make_rng(0))
    expected = prior.network(z) - z.square().sum(1) / 2
    assert torch.equal(prior.log_density(z), expected)


def test_an_untrained_tilt_is_the_normal_density():
    prior = tigon.EnergyPrior(tigon.LatentTilt(4, 8, tigon.make_rng(0)), 4)
    z = torch.randn(6, 4, generator=tigon.make_rng(1))
    assert torch.equal(prior.tilt(z), torch.zeros(6))
    assert prior.tilt(z[:0]).shape == (0,)


def test_draws_of_a_row_depend_on_its_stream_alone():
    prior = tigon.EnergyPrior(tilted(), 3)
    whole = prior.sample(torch.empty(6, 3), tigon.RowRng(0, 0, range(6)))
    part = prior.sample(torch.empty(2, 3), tigon.RowRng(0, 0, range(3, 5)))
    assert torch.allclose(whole[3:5], part, atol=1e-6)
    assert all(p.requires_grad for p in prior.parameters()) and not whole.requires_grad


def test_a_model_with_it_is_saved_and_loaded_whole(tmp_path):
    network = tigon.DCGANGenerator(3, 8, width=4, rng=tigon.make_rng(0))
    prior = tigon.EnergyPrior(tigon.LatentTilt(3, 5, tigon.make_rng(1)), 3)
    nn.init.ones_(prior.network.last.weight)
    model = tigon.GeneratorModel(network, prior=prior)
    assert model.latent_dim == 3
    model.save_pretrained(tmp_path / "model")
    again = tigon.GeneratorModel.from_pretrained(tmp_path / "model")
    for one in (again, copy.deepcopy(model)):
        drawn = [m.sample(4, tigon.make_rng(2)) for m in (model, one)]
        assert torch.equal(*drawn)
    moved = model.latents(4, tigon.make_rng(2), model.plane)
    normal = torch.randn(4, 3, generator=tigon.make_rng(2))
    assert not torch.allclose(moved, normal, atol=0.1)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="latent_dim must be at least 1, not 0"):
        tigon.EnergyPrior(tilted(), 0)
