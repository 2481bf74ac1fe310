import pytest
import torch

from targets import correlated_gaussian
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import tempered
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.preconditioning import Preconditioned, estimate_scale, rescaled
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import RowRng, make_rng

SCALE = torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64)
KERNELS = pytest.mark.parametrize(
    "kernel",
    [
        Langevin(0.3),
        MALA(0.3),
        HMC(0.3, 3),
        UnderdampedLangevin(0.3),
        ReplicaExchange(MALA(0.3), (1.0, 3.0)),
    ],
)


def test_one_langevin_step_has_the_drift_and_the_noise_that_the_scales_give():
    target, s = correlated_gaussian(), 0.3
    x = torch.randn(4, 3, generator=make_rng(0), dtype=torch.float64)
    kernel = Preconditioned(Langevin(s), SCALE)
    state, _ = kernel.step(target, kernel.init(target, x), make_rng(1))
    noise = torch.randn(4, 3, generator=make_rng(1), dtype=torch.float64)
    gradient = -(x - target.mean) @ torch.linalg.inv(target.covariance)
    expected = x + s**2 / 2 * SCALE**2 * gradient + s * SCALE * noise
    assert torch.allclose(state.x, expected, rtol=1e-12)
    there = -(state.x - target.mean) @ torch.linalg.inv(target.covariance)
    assert torch.allclose(state.gradient, there) and torch.allclose(
        state.log_density, target(state.x)
    )


@KERNELS
def test_a_preconditioned_kernel_does_on_a_wide_density_what_the_plain_one_does_on_it_scaled(
    kernel,
):
    """Two runs, so that gradient, momentum and replicas are carried over."""
    target, outer = correlated_gaussian(), Preconditioned(kernel, SCALE)
    u = torch.randn(5, 3, generator=make_rng(0), dtype=torch.float64)
    plain = MCMC(kernel, 6).run(target, u, make_rng(1))
    plain = MCMC(kernel, 6).run(target, plain.state, make_rng(2))
    wide, chains = (lambda x: target(x / SCALE)), MCMC(outer, 6)
    draws = chains.run(wide, u * SCALE, make_rng(1))
    draws = chains.run(wide, draws.state, make_rng(2))
    assert torch.allclose(draws.x / SCALE, plain.x, rtol=1e-9)
    assert torch.allclose(draws.accept_prob, plain.accept_prob, rtol=1e-9)
    assert torch.allclose(draws.state.gradient * SCALE, plain.state.gradient, rtol=1e-9)


@KERNELS
def test_preconditioning_costs_no_evaluation(kernel):
    target = correlated_gaussian()
    chains = MCMC(Preconditioned(kernel, SCALE), 5)
    chains.run(target, torch.zeros(2, 3, dtype=torch.float64), make_rng(0))
    assert target.calls == chains.gradient_evaluations == MCMC(kernel, 5).gradient_evaluations


@KERNELS
def test_a_chain_does_not_depend_on_the_other_rows(kernel):
    target, chains = correlated_gaussian(), MCMC(Preconditioned(kernel, SCALE), 10)
    x = torch.randn(3, 3, generator=make_rng(0), dtype=torch.float64)
    together = chains.run(target, x, RowRng(0, 0, [4, 8, 6]))
    assert torch.equal(together.x[[2]], chains.run(target, x[[2]], RowRng(0, 0, [6])).x)


def test_rescaling_there_and_back_changes_nothing_and_leaves_momenta():
    kernel = ReplicaExchange(MALA(0.3), (1.0, 2.0))
    state = kernel.init(correlated_gaussian(), torch.ones(2, 3, dtype=torch.float64))
    state = state._replace(momentum=torch.ones(2, 3))
    there = rescaled(state, SCALE)
    assert torch.equal(there.others[0].x, SCALE * state.x) and (there.momentum == 1).all()
    back = rescaled(there, 1 / SCALE)
    assert torch.allclose(back.x, state.x) and torch.allclose(back.gradient, state.gradient)


def test_a_temperature_reaches_the_kernel_inside():
    kernel = tempered(Preconditioned(MALA(0.3, 2.0), SCALE), 3.0)
    assert kernel.kernel == MALA(0.3, 6.0) and kernel.scale is SCALE


def test_estimated_scales_are_the_deviations_up_to_a_factor_of_geometric_mean_1():
    deviations = torch.tensor([[0.1, 1.0], [20.0, 3.0]], dtype=torch.float64)
    noise = torch.randn(20000, 2, 2, generator=make_rng(0), dtype=torch.float64)
    found = estimate_scale(7 + deviations * noise)
    assert torch.allclose(found.log().sum(), torch.zeros(()).double(), atol=1e-12)
    assert torch.allclose(found / found[0, 0], deviations / 0.1, rtol=0.03)


def test_a_coordinate_that_does_not_vary_gets_the_narrowest_scale():
    points = torch.tensor([[0.0, 5.0, 0.0], [1.0, 5.0, 4.0]])
    found = estimate_scale(points)
    assert found[1] == found[0] < found[2]


@pytest.mark.parametrize(
    "points", [torch.ones(5, 2), torch.rand(1, 2), torch.tensor([[0.0], [float("inf")]])]
)
def test_scales_are_not_made_up_where_points_tell_none(points):
    with pytest.raises(ValueError, match="cannot be estimated"):
        estimate_scale(points)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_scales_that_are_not_above_0_are_refused(scale):
    with pytest.raises(ValueError, match="above 0"):
        Preconditioned(MALA(), torch.tensor([1.0, scale]))
