import pytest
import torch

from tigon.mcmc.adaptation import (
    ADAPTATION_SIZE,
    DualAveraging,
    StepSizeAdaptation,
    StepSizeDecay,
    averaged_step_size,
)
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import Info, State
from tigon.mcmc.langevin import MALA, Langevin
from tigon.mcmc.tempered import ReplicaExchange
from tigon.random.streams import make_rng


@pytest.mark.parametrize("first", [1e-3, 1.0])
@pytest.mark.parametrize("jitter", [0.0, 0.9])
def test_chains_that_share_their_acceptances_find_the_step_size_of_their_density(first, jitter):
    """Pools of 200 chains, on N(0, 1) and on N(0, 0.01): a tenth of the scale, and of the step."""
    scale = torch.tensor([1.0, 0.1]).repeat_interleave(200)[:, None]

    def log_density(x):
        return -((x / scale) ** 2).sum(1) / 2

    kernel, x = MALA(first, jitter=jitter), torch.zeros(400, 5)
    found = MCMC(kernel, 300, StepSizeAdaptation(pool=200)).run(log_density, x, make_rng(0))
    assert len(found.step_size.unique()) == 2
    assert abs(found.step_size[-1] / found.step_size[0] - 0.1) < 0.01
    frozen = MCMC(kernel, 200).run(log_density, found.x, make_rng(1), found.step_size)
    assert abs(frozen.accept_prob.mean() - 0.574) < 0.02


def adapted(accepted, adaptation, counts=None):
    """Return step sizes and what is remembered after a step of chains at 0.5 accepted (B,)."""
    state = at(torch.full_like(accepted, 0.5))
    if counts is not None:
        state = state._replace(adaptation_state=torch.stack([counts, counts, counts], 1))
    return adaptation.update(state, Info(accepted))


def test_the_logarithm_changes_by_gain_times_the_mean_surplus_of_the_pool():
    accepted = torch.tensor([1.0, 0.4, 0.2, 0.0])
    new = adapted(accepted, StepSizeAdaptation(0.6, 0.5, pool=2))
    change = (new.step_size / 0.5).log()
    assert torch.allclose(change, 0.5 * torch.tensor([0.1, 0.1, -0.5, -0.5]))
    everyone = adapted(accepted, StepSizeAdaptation(0.6, 0.5))
    assert torch.allclose((everyone.step_size / 0.5).log(), torch.tensor(-0.5 * 0.2))


def test_the_gain_falls_with_the_steps_that_a_chain_has_made():
    adaptation = StepSizeAdaptation(0.5, 0.4, delay=10, decay=0.75)
    new = adapted(torch.ones(2), adaptation, torch.tensor([0.0, 150.0]))
    change = (new.step_size / 0.5).log()
    assert torch.allclose(change, 0.5 * 0.4 * torch.tensor([1.0, 1 / 8]))
    assert torch.equal(new.adaptation_state[:, 0], torch.tensor([1.0, 151.0]))
    assert adaptation.adapted(0.5, 1.0, 150) == pytest.approx(new.step_size[1].item())


def test_step_sizes_stay_within_their_limits():
    adaptation = StepSizeAdaptation(gain=100, pool=1, smallest=0.1, largest=0.9)
    new = adapted(torch.tensor([1.0, 0.0]), adaptation)
    assert torch.allclose(new.step_size, torch.tensor([0.9, 0.1]))
    assert adaptation.adapted(0.5, 1.0, 0) == 0.9 and adaptation.adapted(0.5, 0.0, 0) == 0.1


@pytest.mark.parametrize("wrong", [{"target": 1.0}, {"decay": 0.5}, {"delay": 0.0}])
def test_an_adaptation_that_would_never_settle_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StepSizeAdaptation(**wrong)


def test_decaying_steps_go_geometrically_from_the_first_to_the_last():
    """Without noise, x' = (1 - s^2/2) x on N(0, 1): the product of the steps' factors."""
    chains = MCMC(Langevin(0.8, temperature=0.0), 3, StepSizeDecay(0.5))
    draws = chains.run(lambda x: -(x**2).sum(1) / 2, torch.ones(1, 1), make_rng(0))
    expected = (1 - 0.8**2 / 2) * (1 - 0.4**2 / 2) * (1 - 0.2**2 / 2)
    assert torch.allclose(draws.x, torch.tensor(expected))


def at(sizes):
    """Return a state with these step sizes, (B,)."""
    return State(torch.zeros(len(sizes), 1), torch.zeros(len(sizes)), torch.zeros(1), sizes)


@pytest.mark.parametrize("kernel, target", [(MALA(0.02), 0.574), (HMC(2.0, 4), 0.651)])
def test_each_chain_settles_where_its_own_density_accepts_as_wanted(kernel, target):
    """On N(0, 1) and on N(0, 0.01); frozen, the settled step sizes give the target within 0.03."""
    scale = torch.tensor([1.0, 0.1], dtype=torch.float64).repeat(100)[:, None]

    def log_density(x):
        return -((x / scale) ** 2).sum(1) / 2

    x = scale * torch.randn(200, 5, generator=make_rng(0), dtype=torch.float64)
    found = MCMC(kernel, 600, DualAveraging(target)).run(log_density, x, make_rng(1))
    sizes = averaged_step_size(found.step_size, found.adaptation_state)
    assert abs(sizes[1::2].mean() / sizes[::2].mean() - 0.1) < 0.01
    assert sizes[::2].std() / sizes[::2].mean() < 0.2
    frozen = MCMC(kernel, 150).run(log_density, found.x, make_rng(2), sizes)
    assert torch.equal(frozen.step_size, sizes)
    for chains in (slice(0, None, 2), slice(1, None, 2)):
        assert abs(frozen.accept_prob[chains].mean() - target) < 0.03


@pytest.mark.parametrize("rule", [DualAveraging(), StepSizeAdaptation()])
def test_every_replica_finds_a_step_size_of_its_own(rule):
    """On a Gaussian the same at every temperature, since the noise is s sqrt(T)."""
    kernel = ReplicaExchange(MALA(0.3), (1.0, 16.0))
    x = torch.randn(100, 3, generator=make_rng(0), dtype=torch.float64)
    state = MCMC(kernel, 300, rule).run(lambda x: -(x**2).sum(1) / 2, x, make_rng(1)).state
    cold, hot = (
        averaged_step_size(s.step_size, s.adaptation_state).log().mean()
        for s in (state, state.others[0])
    )
    assert abs(hot - cold) < 0.1 and hot.exp() > 1.2


@pytest.mark.parametrize("kernel", [MALA(0.3), ReplicaExchange(MALA(0.3), (1.0, 2.0))])
def test_runs_in_pieces_are_one_run_where_the_state_is_handed_on(kernel):
    x = torch.zeros(6, 2, dtype=torch.float64)

    def log_density(x):
        return -(x**2).sum(1) / 2

    whole = MCMC(kernel, 30, DualAveraging()).run(log_density, x, make_rng(0))
    rng, piece = make_rng(0), MCMC(kernel, 10, DualAveraging())
    state = x
    for _ in range(3):
        state = piece.run(log_density, state, rng).state
    assert torch.equal(state.x, whole.x) and torch.equal(
        state.adaptation_state, whole.adaptation_state
    )
    assert torch.equal(state.step_size, whole.step_size)


def test_runs_in_pieces_are_one_run_where_points_sizes_and_tuning_are_handed_on():
    """As a chain store hands them on: the first log-density is evaluated again, no more."""
    x = torch.zeros(6, 2, dtype=torch.float64)

    def log_density(x):
        return -(x**2).sum(1) / 2

    whole = MCMC(MALA(0.3), 30, DualAveraging()).run(log_density, x, make_rng(0))
    rng, piece = make_rng(0), MCMC(MALA(0.3), 10, DualAveraging())
    draws = piece.run(log_density, x, rng)
    for _ in range(2):
        draws = piece.run(log_density, draws.x, rng, draws.step_size, draws.adaptation_state)
    assert torch.allclose(draws.x, whole.x, rtol=1e-12)
    assert torch.allclose(draws.adaptation_state, whole.adaptation_state, rtol=1e-12)


def test_what_is_remembered_stays_right_when_coordinates_are_rescaled():
    """All lengths twelve times as long in the middle of a run: all step sizes are too."""
    rule = DualAveraging(smallest=1e-30, largest=1e30)
    accepted = torch.rand(60, 4, generator=make_rng(0), dtype=torch.float64)
    plain = scaled = at(torch.full((4,), 0.2, dtype=torch.float64))
    for m in range(60):
        if m == 25:
            scaled = scaled._replace(step_size=12 * scaled.step_size)
        plain, scaled = (rule.update(state, Info(accepted[m])) for state in (plain, scaled))
    assert torch.allclose(scaled.step_size, 12 * plain.step_size)
    assert torch.allclose(
        averaged_step_size(scaled.step_size, scaled.adaptation_state),
        12 * averaged_step_size(plain.step_size, plain.adaptation_state),
    )


@pytest.mark.parametrize("accept, limit", [(0.0, 1e-4), (1.0, 1e2)])
def test_step_sizes_end_at_their_limit_and_stay_numbers_however_long(accept, limit):
    rule, state = DualAveraging(smallest=1e-4, largest=1e2), at(torch.full((3,), 0.1))
    for _ in range(2000):
        state = rule.update(state, Info(torch.full((3,), accept)))
        assert state.step_size.isfinite().all() and state.adaptation_state.isfinite().all()
    assert torch.allclose(state.step_size, torch.tensor(limit))
    average = averaged_step_size(state.step_size, state.adaptation_state)
    assert average.isfinite().all() and (average > 0).all()


def test_nothing_is_settled_where_nothing_is_remembered():
    sizes = torch.tensor([0.1, 0.4])
    assert averaged_step_size(sizes, None) is sizes
    assert torch.equal(averaged_step_size(sizes, torch.zeros(2, ADAPTATION_SIZE)), sizes)


@pytest.mark.parametrize(
    "numbers",
    [{"target": 0.0}, {"target": 1.0}, {"gamma": 0.0}, {"decay": 0.5}, {"smallest": 0.0}],
)
def test_numbers_out_of_their_range_are_refused_by_name(numbers):
    with pytest.raises(ValueError, match=next(iter(numbers))):
        DualAveraging(**numbers)
