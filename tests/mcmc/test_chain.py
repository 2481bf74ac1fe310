import pytest
import torch

from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA, Langevin
from tigon.streams import make_rng


def quadratic(x):
    return -(x**2).sum(1) / 2


def test_the_trajectory_ends_where_the_chain_ends():
    x = torch.ones(3, 2)
    draws = MCMC(Langevin(0.3), 5).run(quadratic, x, make_rng(0), keep=True)
    assert draws.trajectory.shape == (5, 3, 2)
    assert torch.equal(draws.trajectory[-1], draws.x)
    assert MCMC(Langevin(0.3), 5).run(quadratic, x, make_rng(0)).trajectory is None


def test_log_density_and_acceptance_belong_to_the_points_returned():
    draws = MCMC(MALA(0.8), 5).run(quadratic, torch.ones(4, 2), make_rng(0))
    assert torch.allclose(draws.log_density, quadratic(draws.x))
    assert ((draws.accept_prob > 0) & (draws.accept_prob <= 1)).all()


def test_the_last_step_can_have_a_kernel_of_its_own():
    """Without noise in the last step, the chain ends where the drift takes it."""
    x = torch.ones(3, 2)
    chains = MCMC(Langevin(0.3), 2, final=Langevin(0.3, temperature=0.0))
    draws = chains.run(quadratic, x, make_rng(0), keep=True)
    assert torch.allclose(draws.x, draws.trajectory[0] * (1 - 0.3**2 / 2))


def test_chains_of_no_steps_are_refused():
    with pytest.raises(ValueError, match="at least one step, not 0"):
        MCMC(Langevin(0.3), 0)
