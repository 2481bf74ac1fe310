from dataclasses import dataclass, replace

import pytest
import torch

from targets import correlated_gaussian
from tigon.mcmc.adaptation import ADAPTATION_SIZE, DualAveraging, StepSizeAdaptation, StepSizeDecay
from tigon.mcmc.chain import MCMC, warm_up
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import Info, start
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.preconditioning import Preconditioned
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import make_rng

SCALE = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
KERNELS = pytest.mark.parametrize(
    "kernel",
    [
        Langevin(0.3),
        MALA(0.5),
        HMC(0.3, 3),
        UnderdampedLangevin(0.3),
        Preconditioned(MALA(0.5), SCALE),
        ReplicaExchange(HMC(0.3, 2), (1.0, 2.0, 4.0)),
        ReplicaExchange(Preconditioned(UnderdampedLangevin(0.2), SCALE), (1.0, 3.0)),
    ],
    ids=["Langevin", "MALA", "HMC", "Underdamped", "Preconditioned", "Replicas", "both"],
)


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


def test_steps_taken_one_by_one_are_those_of_a_run():
    last = Langevin(0.3, temperature=0.0)
    chains = MCMC(Langevin(0.3), 4, StepSizeDecay(0.8), last, evaluate_end=False)
    x, rng = torch.ones(3, 2), make_rng(0)
    state = chains.kernel.init(quadratic, x)
    for number in range(4):
        state, _ = chains.step(number, quadratic, state, rng)
    assert torch.equal(state.x, chains.run(quadratic, x, make_rng(0)).x)
    assert torch.equal(state.log_density, quadratic(state.x))  # here, though `run` leaves it out
    assert chains.kernel_of(3) is last and chains.kernel_of(2) is chains.kernel


def test_chains_of_no_steps_are_refused():
    with pytest.raises(ValueError, match="at least one step, not 0"):
        MCMC(Langevin(0.3), 0)


def test_every_so_manieth_state_is_kept_with_its_log_density():
    x = torch.ones(3, 2)
    chains = MCMC(MALA(0.8), 11)
    all_of_them = chains.run(quadratic, x, make_rng(0), keep=1)
    some = chains.run(quadratic, x, make_rng(0), keep=4)
    assert torch.equal(some.trajectory, all_of_them.trajectory[[3, 7]])
    assert torch.equal(some.log_densities, all_of_them.log_densities[[3, 7]])
    assert torch.allclose(all_of_them.log_densities[5], quadratic(all_of_them.trajectory[5]))
    none = chains.run(quadratic, x, make_rng(0), keep=12)
    assert none.trajectory is None and none.log_densities is None


@KERNELS
def test_the_evaluations_announced_are_those_that_are_made(kernel):
    target, chains = correlated_gaussian(), MCMC(kernel, 6)
    chains.run(target, torch.zeros(2, 3, dtype=torch.float64), make_rng(0), keep=1)
    assert target.calls == chains.gradient_evaluations == 1 + 6 * kernel.gradient_evaluations


@KERNELS
def test_a_state_goes_on_where_it_was_without_another_evaluation(kernel):
    """Ten steps are four and six: points, gradients, momenta and all replicas."""
    target, x = correlated_gaussian(), torch.zeros(4, 3, dtype=torch.float64)
    whole = MCMC(kernel, 10).run(target, x, make_rng(0))
    calls, rng = target.calls, make_rng(0)
    first = MCMC(kernel, 4).run(target, x, rng)
    second = MCMC(kernel, 6).run(target, first.state, rng)
    assert target.calls == 2 * calls
    assert torch.equal(second.before, first.log_density)
    for one, other in zip(
        [second.state, *second.state.others], [whole.state, *whole.state.others], strict=True
    ):
        assert torch.equal(one.x, other.x) and torch.equal(one.gradient, other.gradient)
        assert torch.equal(one.log_density, other.log_density)


def test_before_is_the_log_density_where_the_run_began_and_acceptance_the_mean():
    x = torch.randn(5, 2, generator=make_rng(0))
    chains, rng = MCMC(MALA(0.9), 3), make_rng(1)
    draws = chains.run(quadratic, x, rng)
    assert torch.allclose(draws.before, quadratic(x))
    state, rng, accepted = MALA(0.9).init(quadratic, x), make_rng(1), 0
    for _ in range(3):
        state, info = MALA(0.9).step(quadratic, state, rng)
        accepted = accepted + info.accept_prob
    assert torch.equal(draws.x, state.x) and torch.allclose(draws.accept_prob, accepted / 3)


@dataclass(frozen=True)
class Constant:
    """A user's kernel, which may reject for all that is known."""

    step_size: float = 1.0
    gradient_evaluations: int = 1

    def init(self, log_density, x, step_size=None):
        return start(log_density, x, self.step_size, step_size)

    def step(self, log_density, state, rng):
        return state, Info(torch.ones(len(state.x)))


@pytest.mark.parametrize("precondition", [False, True])
def test_a_warm_up_finds_step_sizes_to_keep_and_scales_where_they_are_asked_for(precondition):
    """From a round ensemble, on deviations of 0.2, 1 and 4: with scales, steps go much further."""
    scale = torch.tensor([0.2, 1.0, 4.0], dtype=torch.float64)

    def log_density(x):
        return -((x / scale) ** 2).sum(1) / 2

    x = torch.randn(50, 3, generator=make_rng(0), dtype=torch.float64)
    warm = warm_up(MALA(0.01), log_density, x, make_rng(1), 500, precondition=precondition)
    assert isinstance(warm.kernel, Preconditioned if precondition else MALA)
    draws = MCMC(warm.kernel, 200).run(log_density, warm.x, make_rng(2), warm.step_size, keep=1)
    assert torch.equal(draws.step_size, warm.step_size)
    assert abs(draws.accept_prob.mean() - 0.574) < 0.05
    moved = (draws.trajectory[1:] - draws.trajectory[:-1])[..., 2].std() / scale[2]
    if precondition:
        assert torch.allclose(warm.kernel.scale, scale / scale.log().mean().exp(), rtol=0.2)
        assert moved > 0.5
    else:
        assert moved < 0.1


def test_a_warm_up_takes_another_rule_of_adaptation():
    x = torch.randn(50, 3, generator=make_rng(0), dtype=torch.float64)
    warm = warm_up(MALA(0.5), quadratic, x, make_rng(1), 300, DualAveraging(target=0.9))
    draws = MCMC(MALA(), 200).run(quadratic, warm.x, make_rng(2), warm.step_size)
    assert abs(draws.accept_prob.mean() - 0.9) < 0.03


@pytest.mark.parametrize("rule", [DualAveraging(), StepSizeAdaptation()])
@pytest.mark.parametrize(
    "kernel",
    [
        Langevin(0.3),
        UnderdampedLangevin(0.3),
        ReplicaExchange(Preconditioned(Langevin(0.3), SCALE), (1.0, 2.0)),
    ],
    ids=["Langevin", "Underdamped", "both"],
)
def test_step_sizes_are_adapted_to_no_acceptance_where_every_proposal_is_taken(kernel, rule):
    """They would grow until points are not finite."""
    for make in (
        lambda: MCMC(kernel, 5, rule),
        lambda: MCMC(MALA(0.3), 5, rule, final=kernel),
        lambda: warm_up(kernel, quadratic, torch.zeros(2, 3), make_rng(0)),
        lambda: warm_up(kernel, quadratic, torch.zeros(2, 3), make_rng(0), adaptation=rule),
    ):
        with pytest.raises(ValueError, match="Langevin accepts every proposal, so its step size"):
            make()
    assert MCMC(kernel, 5, StepSizeDecay(0.9)).adaptation and MCMC(kernel, 5).kernel is kernel
    assert MCMC(Constant(), 5, rule).adaptation is rule  # which may reject


@KERNELS
def test_step_sizes_and_tuning_beside_a_state_are_used_and_replace_the_states(kernel):
    """As the same points would go on with them; the state keeps what it has without."""
    target, x = correlated_gaussian(), torch.zeros(4, 3, dtype=torch.float64)
    state = MCMC(kernel, 4).run(target, x, make_rng(0)).state
    sizes, adaptation_state = (
        torch.rand(4).double() / 9 + 0.1,
        torch.rand(4, ADAPTATION_SIZE).double(),
    )
    draws = MCMC(kernel, 3).run(target, state, make_rng(1), sizes, adaptation_state)
    by_hand = state._replace(
        step_size=sizes, others=tuple(o._replace(step_size=sizes) for o in state.others)
    )
    same = MCMC(kernel, 3).run(target, by_hand, make_rng(1))
    assert torch.equal(draws.x, same.x) and torch.equal(draws.adaptation_state, adaptation_state)
    for one in (draws.state, *draws.state.others):
        assert torch.equal(one.step_size, sizes)
    kept = MCMC(kernel, 3).run(target, draws.state, make_rng(1))
    assert torch.equal(kept.step_size, sizes) and torch.equal(
        kept.adaptation_state, adaptation_state
    )


def test_an_end_that_is_not_evaluated_is_the_same_point_by_one_gradient_less():
    asked = []

    def density(x):
        asked.append(len(x))
        return -(x**2).sum(1)

    final = Langevin(0.5, 0.0)
    chains = MCMC(Langevin(0.5), 5, StepSizeDecay(0.9), final)
    short = replace(chains, evaluate_end=False)
    whole = chains.run(density, torch.ones(3, 2), make_rng(0))
    assert len(asked) == chains.gradient_evaluations == 6
    asked.clear()
    ended = short.run(density, torch.ones(3, 2), make_rng(0))
    assert len(asked) == short.gradient_evaluations == 5
    assert torch.equal(ended.x, whole.x) and torch.equal(ended.step_size, whole.step_size)
    assert ended.log_density.isnan().all() and ended.state.gradient.isnan().all()
    kept = short.run(density, torch.ones(3, 2), make_rng(0), keep=1)
    assert torch.equal(kept.log_densities[-1], whole.log_density)


def test_chains_that_judge_their_end_cannot_leave_it_unevaluated():
    with pytest.raises(ValueError, match="MALA needs the density at the end of its chains"):
        MCMC(MALA(0.5), 5, evaluate_end=False)
