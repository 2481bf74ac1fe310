import torch

from tigon.mcmc.kernel import State, metropolis
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
    old, new = states(3, new_gradient=float("nan"))
    state, info = metropolis(old, new, torch.zeros(3), make_rng(0))
    assert info.accept_prob.tolist() == [0, 0, 0]
    assert torch.equal(state.gradient, old.gradient)
