import pytest
import torch

from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import State, chosen, metropolis, tempered
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.preconditioning import Preconditioned
from tigon.mcmc.tempered import ReplicaExchange
from tigon.streams import make_rng


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
    """Step sizes, tuning, momenta and replicas are those of `no`."""
    which = torch.tensor([True, False, True])

    def state(number):
        event = torch.full((3, 2, 2), number)
        rest = State(event, event[:, 0, 0], event, event[:, 0, 0])
        kept = {"tuning": torch.full((3, 3), number), "momentum": event, "others": (rest,)}
        return rest._replace(**kept)

    yes, no = state(1.0), state(0.0)
    found = chosen(which, yes, no)
    assert torch.equal(found.log_density, which.float())
    assert (found.x == which.float()[:, None, None]).all()
    assert (found.gradient == which.float()[:, None, None]).all()
    assert all(found[k] is no[k] for k in range(3, 7))
