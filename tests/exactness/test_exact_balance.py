"""Detailed balance: transitions from i to j are as frequent as from j to i."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from targets import Banana, two_wells
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import Info, State, metropolis, start
from tigon.mcmc.langevin import MALA
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import make_rng

pytestmark = pytest.mark.exactness

CHANCES = torch.tensor([0.1, 0.3, 0.05, 0.35, 0.2], dtype=torch.float64)
PROPOSALS = torch.tensor(
    [
        [0.2, 0.5, 0.1, 0.1, 0.1],
        [0.1, 0.1, 0.6, 0.1, 0.1],
        [0.3, 0.2, 0.1, 0.3, 0.1],
        [0.1, 0.1, 0.1, 0.2, 0.5],
        [0.6, 0.1, 0.1, 0.1, 0.1],
    ],
    dtype=torch.float64,
)


def counted(before, after, states):
    """How many went from i to j, (states, states)."""
    pairs = torch.bincount(before * states + after, minlength=states**2)
    return pairs.view(states, states).double()


def assert_symmetric(flows):
    """Flows in both directions agree within 4.5 standard errors of their difference."""
    error = (flows + flows.T).clamp(min=1).sqrt()
    assert ((flows - flows.T).abs() / error).max() < 4.5
    assert (flows - flows.diag().diag()).sum() > 0.05 * flows.sum()


def discrete(state):
    """The kernel's state of chains at whole numbers (B,)."""
    x = state.double()[:, None]
    return State(x, CHANCES.log()[state], torch.zeros_like(x), torch.ones_like(x[:, 0]))


def test_metropolis_on_five_states_has_the_exact_transition_matrix():
    """P_ij = Q_ij min(1, pi_j Q_ji / (pi_i Q_ij)), from every state equally often."""
    each, rng = 100000, make_rng(0)
    before = torch.arange(5).repeat_interleave(each)
    proposed = torch.multinomial(PROPOSALS, each, True, generator=rng).flatten()
    old, new = discrete(before), discrete(proposed)
    log_ratio = new.log_density - old.log_density
    log_ratio += (PROPOSALS[proposed, before] / PROPOSALS[before, proposed]).log()
    moved, _ = metropolis(old, new, log_ratio, rng)
    found = counted(before, moved.x[:, 0].long(), 5) / each

    flow = CHANCES[:, None] * PROPOSALS
    exact = torch.minimum(flow, flow.T) / CHANCES[:, None]
    exact = exact + (1 - exact.sum(1)).diag()
    error = (exact * (1 - exact) / each).sqrt()
    assert ((found - exact).abs() < 4.5 * error).all()
    flow = CHANCES[:, None] * exact
    assert torch.allclose(flow, flow.T) and torch.allclose(flow.sum(0), CHANCES)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize(
    "kernel",
    [lambda t: MALA(0.9, t), lambda t: HMC(0.6, 3, 0.3, t), lambda t: HMC(0.6, 3, 0.0, t)],
    ids=["MALA", "HMC", "HMC-no-jitter"],
)
def test_as_many_chains_cross_from_bin_to_bin_as_back(kernel, temperature):
    target, bins, count = two_wells(), 8, 200000
    at = target.at(temperature)
    x = at.sample(count, make_rng(0))
    draws = MCMC(kernel(temperature), 1).run(target, x, make_rng(1))
    before, after = ((bins * at.cumulative(y)).long() for y in (x, draws.x))
    assert_symmetric(counted(before, after, bins))


@dataclass(frozen=True)
class Still:
    """A kernel that does not move, so that only exchanges do."""

    step_size: float = 1.0
    temperature: float = 1.0
    gradient_evaluations: int = 0

    def init(self, log_density, x, step_size=None):
        """Start."""
        return start(log_density, x, self.step_size, step_size)

    def step(self, log_density, state, rng):
        """Stay."""
        return state, Info(torch.ones_like(state.log_density))


@pytest.mark.parametrize("own", [1.0, 0.5])
def test_exchanges_between_two_temperatures_are_in_balance(own):
    target, count, hot = Banana(), 100000, 3.0
    cold_at, hot_at = target.at(own), target.at(own * hot)
    kernel = ReplicaExchange(Still(temperature=own), (1.0, hot))
    cold, warm = cold_at.sample(count, make_rng(0)), hot_at.sample(count, make_rng(1))
    state = kernel.init(target, cold)._replace(others=(kernel.init(target, warm),))
    new, info = kernel.step(target, state, make_rng(2))

    swapped = (new.x == warm).all(1)
    assert torch.equal(torch.where(swapped[:, None], cold, warm), new.others[0].x)
    assert torch.equal(torch.where(swapped[:, None], warm, cold), new.x)
    log_ratio = cold_at(warm) + hot_at(cold) - cold_at(cold) - hot_at(warm)
    chance = log_ratio.clamp(max=0).exp()
    assert torch.allclose(info.swap_prob[:, 0], chance)
    error = (chance * (1 - chance)).sum().sqrt()
    assert abs(swapped.sum() - chance.sum()) < 4.5 * error

    bins = 4

    def pair(one, other):
        """The bins of log-densities, cold times bins plus hot."""
        edges = np.quantile(target(cold).numpy(), [0.25, 0.5, 0.75])
        first, second = (torch.bucketize(target(x), torch.from_numpy(edges)) for x in (one, other))
        return bins * first + second

    assert_symmetric(counted(pair(cold, warm), pair(new.x, new.others[0].x), bins**2))
