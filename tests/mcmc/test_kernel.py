import pytest
import torch

from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import State, chosen, metropolis, target_of, tempered
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.preconditioning import Preconditioned
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import make_rng


def states(count, new_gradient=1.0):
    old = State(
        torch.zeros(count, 2), torch.zeros(count), torch.zeros(count, 2), torch.ones(count)
    )
    new = State(
        torch.ones(count, 2),
        torch.ones(count),
        torch.full((count, 2), new_gradient),
        torch.ones(count),
    )
    return old, new


def test_rows_are_accepted_as_often_as_their_ratio_says():
    old, new = states(20000)
    ratio = torch.full((20000,), 0.3).log()
    state, info = metropolis(old, new, ratio, make_rng(0))
    assert torch.allclose(info.accept_prob, torch.tensor(0.3))
    accepted = state.x[:, 0]
    assert abs(accepted.mean() - 0.3) < 5 * (0.3 * 0.7 / 20000) ** 0.5


def test_point_log_density_and_gradient_of_a_row_are_taken_together():
    old, new = states(100)
    state, _ = metropolis(old, new, torch.full((100,), 0.5).log(), make_rng(0))
    for part in (state.x[:, 1], state.gradient[:, 0], state.gradient[:, 1]):
        assert torch.equal(part, state.log_density)
    assert torch.equal(state.x[:, 0], state.log_density)


def test_a_proposal_that_is_not_finite_is_rejected_and_says_so():
    old, new = states(3)
    ratio = torch.tensor([float("nan"), float("inf"), 0.0])
    state, info = metropolis(old, new, ratio, make_rng(0))
    assert info.accept_prob.tolist() == [0, 0, 1]
    assert state.log_density.tolist() == [0, 0, 1]
    for gradient in (float("nan"), float("inf"), -float("inf")):
        old, new = states(3, new_gradient=gradient)
        state, info = metropolis(old, new, torch.zeros(3), make_rng(0))
        assert info.accept_prob.tolist() == [0, 0, 0]
        assert torch.equal(state.gradient, old.gradient)


def test_from_a_point_of_density_zero_every_finite_proposal_is_accepted_and_no_other():
    nan, inf = float("nan"), float("inf")
    values = torch.tensor([-2.0, 3.0, -inf, inf, nan, 0.0])
    old, new = states(6)
    old = old._replace(log_density=torch.full((6,), -inf))
    gradient = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, nan])[:, None].expand(6, 2)
    new = new._replace(log_density=values, gradient=gradient)
    state, info = metropolis(old, new, values - old.log_density, make_rng(0))
    assert info.accept_prob.tolist() == [1, 1, 0, 0, 0, 0]
    assert state.log_density.tolist() == [-2, 3, -inf, -inf, -inf, -inf]
    lost, _ = metropolis(old._replace(log_density=values * nan), new, values * nan, make_rng(0))
    assert lost.log_density.isnan().all()


@pytest.mark.parametrize("kernel", [Langevin(0.3), UnderdampedLangevin(0.3)])
@pytest.mark.parametrize(
    "around",
    [
        lambda kernel: kernel,
        lambda kernel: Preconditioned(kernel, torch.ones(2)),
        lambda kernel: ReplicaExchange(Preconditioned(kernel, torch.ones(2)), (1.0, 2.0)),
    ],
)
def test_a_kernel_that_takes_every_proposal_has_no_acceptance_to_aim_at(kernel, around):
    with pytest.raises(ValueError, match=f"^{type(kernel).__name__} accepts every proposal, "):
        target_of(around(kernel))


def test_the_acceptance_to_aim_at_is_the_kernels_own_or_that_of_the_one_inside():
    class Around(Preconditioned):
        target_accept = 0.4

    class Silent:
        pass

    assert target_of(Preconditioned(HMC(), torch.ones(2))) == HMC.target_accept
    assert target_of(Around(Langevin(), torch.ones(2))) == 0.4
    assert target_of(Silent()) == MALA.target_accept


@pytest.mark.parametrize("kernel", [Langevin, MALA, HMC, UnderdampedLangevin])
def test_tempering_multiplies_a_kernels_temperature_and_changes_nothing_else(kernel):
    before = kernel(step_size=0.3, temperature=0.5)
    after = tempered(before, 4.0)
    assert after == kernel(step_size=0.3, temperature=2.0)
    assert before.temperature == 0.5


def test_tempering_reaches_through_kernels_around_kernels():
    inside = Preconditioned(MALA(0.3, 0.5), torch.ones(2))
    around = tempered(ReplicaExchange(inside, (1.0, 3.0)), 4.0)
    assert around.kernel.kernel == MALA(0.3, 2.0)
    assert around.temperatures == (1.0, 3.0) and around.kernel.scale is inside.scale


def test_tempering_what_has_no_temperature_is_an_error():
    with pytest.raises(TypeError):
        tempered(object(), 2.0)


def test_points_are_chosen_row_by_row_and_all_else_stays():
    """Step sizes, adaptation_state, momenta and replicas are those of `no`."""
    which = torch.tensor([True, False, True])

    def state(number):
        event = torch.full((3, 2, 2), number)
        rest = State(event, event[:, 0, 0], event, event[:, 0, 0])
        kept = {
            "adaptation_state": torch.full((3, 3), number),
            "momentum": event,
            "others": (rest,),
        }
        return rest._replace(**kept)

    yes, no = state(1.0), state(0.0)
    found = chosen(which, yes, no)
    assert torch.equal(found.log_density, which.float())
    assert (found.x == which.float()[:, None, None]).all()
    assert (found.gradient == which.float()[:, None, None]).all()
    assert all(found[k] is no[k] for k in range(3, 7))
