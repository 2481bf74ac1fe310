import torch
from hypothesis import given
from hypothesis import strategies as st

from tigon.densities.conjugate_gradients import conjugate_gradients
from tigon.random.streams import make_rng


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**30))
def test_conjugate_gradients_solve_what_a_factorisation_solves(rows, size, seed):
    rng = make_rng("systems", seed)
    halves = torch.randn(rows, size, size, generator=rng, dtype=torch.float64)
    systems = halves @ halves.mT + 0.5 * torch.eye(size)
    right = torch.randn(rows, size, generator=rng, dtype=torch.float64)
    found = conjugate_gradients(lambda u: (systems @ u[:, :, None])[:, :, 0], right, 1e-10)
    assert found.precise
    assert torch.allclose(found.solution, torch.linalg.solve(systems, right), rtol=1e-6, atol=1e-8)


def test_a_row_of_zeros_is_solved_by_zeros():
    right = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    assert torch.allclose(conjugate_gradients(lambda u: 2 * u, right).solution, right / 2)


def test_what_has_no_solution_is_said_not_to_be_precise():
    def singular(u):
        return u * torch.tensor([1.0, 0.0])

    assert not conjugate_gradients(singular, torch.ones(1, 2)).precise
    assert not conjugate_gradients(lambda u: u * torch.nan, torch.ones(1, 2), longest=3).precise
