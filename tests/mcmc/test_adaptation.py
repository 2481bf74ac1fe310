import pytest
import torch

from tigon.mcmc.adaptation import StepSizeAdaptation, StepSizeDecay
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin
from tigon.streams import make_rng


@pytest.mark.parametrize("first", [1e-3, 1.0])
def test_each_chain_finds_the_step_size_of_its_own_density(first):
    """Chains on N(0, 1) and on N(0, 0.01): a tenth of the scale wants a tenth of the step."""
    scale = torch.tensor([1.0, 0.1]).repeat(200)[:, None]

    def log_density(x):
        return -((x / scale) ** 2).sum(1) / 2

    x = torch.zeros(400, 5)
    found = MCMC(MALA(first), 300, StepSizeAdaptation()).run(log_density, x, make_rng(0))
    wide, narrow = found.step_size[::2].mean(), found.step_size[1::2].mean()
    assert abs(narrow / wide - 0.1) < 0.01
    frozen = MCMC(MALA(), 200).run(log_density, found.x, make_rng(1), found.step_size)
    assert abs(frozen.accept_prob.mean() - 0.574) < 0.05


def test_the_change_of_the_logarithm_is_gain_times_the_surplus():
    kernel = MALA(0.5)
    state = kernel.init(lambda x: -(x**2).sum(1), torch.zeros(2, 1))
    _, info = kernel.step(lambda x: -(x**2).sum(1), state, make_rng(0))
    info = info._replace(accept_prob=torch.tensor([1.0, 0.0]))
    adapted = StepSizeAdaptation(target=0.6, gain=0.5).update(state, info)
    change = (adapted.step_size / 0.5).log()
    assert torch.allclose(change, torch.tensor([0.5 * 0.4, -0.5 * 0.6]))


def test_step_sizes_stay_within_their_limits():
    kernel = MALA(0.5)
    state = kernel.init(lambda x: -(x**2).sum(1), torch.zeros(2, 1))
    _, info = kernel.step(lambda x: -(x**2).sum(1), state, make_rng(0))
    info = info._replace(accept_prob=torch.tensor([1.0, 0.0]))
    adapted = StepSizeAdaptation(gain=100, smallest=0.1, largest=0.9).update(state, info)
    assert torch.allclose(adapted.step_size, torch.tensor([0.9, 0.1]))


def test_decaying_steps_go_geometrically_from_the_first_to_the_last():
    """Without noise, x' = (1 - s^2/2) x on N(0, 1): the product of the steps' factors."""
    chains = MCMC(Langevin(0.8, temperature=0.0), 3, StepSizeDecay(0.5))
    draws = chains.run(lambda x: -(x**2).sum(1) / 2, torch.ones(1, 1), make_rng(0))
    expected = (1 - 0.8**2 / 2) * (1 - 0.4**2 / 2) * (1 - 0.2**2 / 2)
    assert torch.allclose(draws.x, torch.tensor(expected))
