"""Annealed importance sampling between N(0, I) and a target."""

import math

import pytest
import torch

from targets import Bimodal
from tigon.errors import TigonError
from tigon.mcmc.annealed import AIS, Plan
from tigon.random.streams import RowRng, make_rng


def bent(u):
    """A target that is no Gaussian: exp(-|u|^4 / 4) on the line, up to a constant."""
    return -(u**4).sum(1) / 4


LOG_Z = math.log(2 * 4**0.25 * math.gamma(1.25))
LIKE = torch.zeros(1, 1, dtype=torch.float64)


def test_a_constant_is_found_from_both_sides():
    found = AIS(200, 20).bracket(bent, LIKE, make_rng(0))
    for end in (found.below, found.above):
        assert abs(end.value - LOG_Z) < 4.5 * end.error < 0.1
        assert 100 < end.ess <= 200
    assert found.lower < LOG_Z < found.upper < found.lower + 0.3
    assert 0.5 < found.accept < 0.95


def test_ends_of_a_mode_that_chains_do_not_find_are_far_apart():
    """Exact draws of two far modes lie above log Z, and chains that see one of them below."""
    target, rng = Bimodal(0.5, 30.0), make_rng(1)
    shifted = target.turned(torch.tensor([[30.0, 0.0]], dtype=torch.float64))
    draws = target.sample(8, rng)

    def near_one(u):
        return target(u + shifted)

    found = AIS(8, 10).bracket(near_one, torch.zeros(1, 2).double(), rng, draws - shifted)
    exact = math.log(2 * math.pi)
    assert abs(found.below.value - (exact - math.log(2))) < 0.1
    assert found.above.value > exact - math.log(4)
    assert found.lower < exact < found.upper


def test_more_temperatures_bring_the_ends_together():
    widths = []
    for count in (2, 40):
        how, found = AIS(4, count), []
        for seed in range(5):
            draws = make_rng(seed)
            end = how.bracket(lambda u: 4 * bent(u - 3), LIKE, draws)
            found.append(abs(end.above.value - end.below.value))
        widths.append(sum(found))
    assert widths[1] < 0.5 * widths[0]


def test_chains_have_streams_of_their_own():
    """What one estimate finds does not depend on which streams stand beside its own."""
    how = AIS(4, 3)
    alone = how.bracket(bent, LIKE, RowRng(0, 0, range(4, 8)))
    again = how.bracket(bent, LIKE, RowRng(0, 0, range(4, 8)))
    other = how.bracket(bent, LIKE, RowRng(0, 0, range(4)))
    assert alone == again and alone != other


def test_a_plan_has_as_many_temperatures_as_are_asked_for():
    betas = torch.tensor([0.0, 0.01, 0.1, 1.0], dtype=torch.float64)
    plan = Plan(betas, torch.tensor([1.0, 1.0, 0.5, 0.1], dtype=torch.float64))
    for count in (1, 2, 3, 7, 100):
        found = plan.of(count)
        assert len(found.betas) == count + 1 == len(found.steps()) + 1
        assert found.betas[0] == 0 and found.betas[-1] == 1
        assert (found.betas.diff() > 0).all()
        assert found.step_sizes[-1].item() == pytest.approx(0.1)
    assert torch.equal(plan.of(3).betas, betas)


def test_chains_that_start_at_no_draws_of_the_target_make_the_ends_cross():
    """Where they go back from, at a distance of 20, the target has no probability."""
    far = torch.full((8, 1), 20.0, dtype=torch.float64)
    found = AIS(8, 2).bracket(lambda u: -(u**2).sum(1), LIKE, make_rng(1), far)
    assert found.upper < found.lower


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (lambda u: u.sum(1) * math.nan, "not finite where the chains go"),
        (lambda u: -1e30 * (u.sum(1) - 1e9) ** 2, "not reached from its reference"),
    ],
)
def test_a_target_without_a_constant_is_refused(target, said, monkeypatch):
    monkeypatch.setattr("tigon.mcmc.annealed.MOST", 20)
    with pytest.raises(TigonError, match=said):
        AIS(2, 2).bracket(target, LIKE, make_rng(0))


@pytest.mark.parametrize("wrong", [{"chains": 1}, {"temperatures": 0}, {"leapfrog_steps": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        AIS(**wrong)


def test_draws_that_do_not_divide_the_chains_are_refused():
    for count in (0, 3):
        with pytest.raises(ValueError, match=f"{count} draws do not divide 4 chains"):
            AIS(4, 2).bracket(bent, LIKE, make_rng(0), torch.zeros(count, 1).double())
