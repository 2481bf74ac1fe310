import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tigon.densities.conjugate_gradients import conjugate_gradients
from tigon.errors import TigonError
from tigon.inference.observation import Observation
from tigon.inference.physics import Blur, Downsample, Grey, Mask
from tigon.inference.solving import factorised, log_quadratic
from tigon.models.image_noise import Correlated
from tigon.random.streams import make_rng

SIDE = 32
LIKE = torch.empty(2, 3, SIDE, SIDE, dtype=torch.float64)


def natural():
    """Residuals whose spectrum falls as that of pictures, in an aligned set."""
    place = torch.arange(SIDE).double()
    far = (place[:, None] ** 2 + place**2).sqrt()
    variances = (20 / (1 + (far / 3) ** 2)).clamp(min=0.02).expand(3, SIDE, SIDE)
    return Correlated(0.1 + 0.1 * torch.rand(3, SIDE, SIDE, generator=make_rng(0)), variances)


def hole():
    kept = torch.ones(SIDE, SIDE)
    kept[8:16, 8:16] = 0
    return Mask(kept)


def half():
    return Mask((torch.rand(SIDE, SIDE, generator=make_rng(5)) < 0.5).float())


PHYSICS = {
    "hole": hole(),
    "half": half(),
    "down": Downsample(2),
    "grey": Grey(),
    "blur": Blur(1.0),
}


FRACTIONS = {"hole": 0.15, "half": 0.5, "down": 0.5, "grey": 0.5, "blur": 0.5}


@pytest.mark.parametrize("name", PHYSICS)
def test_preconditioned_gradients_find_the_same_solution_in_far_fewer_products(name):
    physics, noise, rng = PHYSICS[name], natural(), make_rng(name, 1)
    images = noise.draws(lambda: torch.randn(LIKE.shape, generator=rng, dtype=LIKE.dtype))
    seen = Observation(physics, physics(images), LIKE, noise, 0.02)
    taken = []

    def product(r):
        taken.append(1)
        return seen.observe(noise.product(seen.adjoint(r))) + 0.0004 * r

    right, ones = physics(images), torch.ones(2, 1, 1, 1, dtype=LIKE.dtype)
    plain = conjugate_gradients(product, right, 1e-4).solution
    without = len(taken)
    near = seen.preconditioner(ones, 0.0004 * ones)
    quick = conjugate_gradients(product, right, 1e-4, near).solution
    assert torch.allclose(quick * seen.seen, plain * seen.seen, rtol=0.02, atol=0.02 * plain.std())
    assert len(taken) - without < FRACTIONS[name] * without


@pytest.mark.parametrize("name", ["hole", "down", "grey"])
def test_scale_and_noise_of_an_image_are_estimated_from_what_was_observed(name):
    physics, noise, rng = PHYSICS[name], natural(), make_rng(name, 2)
    levels, scales = torch.tensor([0.05, 0.1]), torch.tensor([2.0, 0.5])
    images = noise.draws(lambda: torch.randn(LIKE.shape, generator=rng, dtype=LIKE.dtype))
    clean = physics(scales.sqrt().view(2, 1, 1, 1) * images)
    y = clean + levels.view(2, 1, 1, 1) * torch.randn(clean.shape, generator=rng)
    seen = Observation(physics, y * (clean != 0), LIKE, noise, None)
    seen.fit(torch.zeros_like(LIKE))
    assert torch.allclose(seen.noise.float(), levels, atol=0.025)
    assert torch.allclose(seen.scale.float(), scales, rtol=0.4)
    known = Observation(physics, y * (clean != 0), LIKE, noise, 0.05)
    known.fit(torch.zeros_like(LIKE))
    assert known.scale[0].item() == pytest.approx(2.0, rel=0.35) and known.noise[
        0
    ] == pytest.approx(0.05)


@pytest.mark.parametrize("name", ["hole", "down"])
def test_what_is_small_is_solved_as_what_is_large(name, monkeypatch):
    noise = Correlated(0.2 * torch.ones(1, 8, 8), torch.rand(1, 8, 8, generator=make_rng(3)) + 0.1)
    kept = torch.ones(2, 1, 8, 8)
    kept[0, :, 2:5] = kept[1, :, :, 3:] = 0
    physics, like = Mask(kept) if name == "hole" else Downsample(2), torch.empty(2, 1, 8, 8)
    y = physics(torch.rand(2, 1, 8, 8, generator=make_rng(4)))
    small = Observation(physics, y, like, noise, 0.1)
    monkeypatch.setattr("tigon.inference.observation.DENSE", 0)
    large = Observation(physics, y, like, noise, 0.1)
    values = y.repeat_interleave(3, 0) * torch.rand(6, 1, 1, 1, generator=make_rng(5))
    small.scale = large.scale = torch.tensor([0.5, 2.0])
    extra = torch.tensor([0.1, 0.3]).repeat_interleave(3).view(-1, 1, 1, 1)
    assert small.gram is not None and large.gram is None
    for ridge in (None, extra):
        wanted, found = large.solve(values, ridge), small.solve(values, ridge)
        assert torch.allclose(
            wanted * large.seen.repeat_interleave(3, 0), found, rtol=5e-3, atol=5e-3
        )


def test_a_ridge_below_the_rounding_of_the_gram_matrix_still_gives_factors():
    y = torch.rand(2, 1, 8, 8, generator=make_rng(4))
    noise = Correlated(0.2 * torch.ones(1, 8, 8), torch.rand(1, 8, 8, generator=make_rng(3)) + 0.1)
    blurred = Observation(Blur(3.0), Blur(3.0)(y), torch.empty(2, 1, 8, 8), noise, 1e-6)
    found = blurred.solve(blurred.y)
    assert blurred.gram is not None and found.isfinite().all()
    ones = torch.eye(4).double()[None]
    seen = torch.ones(1, 4)
    exact = factorised(ones, torch.ones(1), torch.full((1,), 1e-9), seen)
    assert torch.equal(exact, torch.linalg.cholesky(ones * (1 + 1e-9)))
    with pytest.raises(TigonError, match="the noise is too small"):
        factorised(-ones, torch.ones(1), torch.zeros(1), seen)


@given(st.integers(1, 4), st.integers(1, 10), st.integers(0, 2**30))
def test_logarithms_are_those_of_eigenvalues(rows, size, seed):
    rng = make_rng("logarithms", seed)
    halves = torch.randn(rows, size, size, generator=rng, dtype=torch.float64)
    systems = halves @ halves.mT + 0.1 * torch.eye(size)
    systems[0] = 2.0 * torch.eye(size)  # one eigenvalue, whatever the probe
    probes = torch.randn(rows, size, generator=rng, dtype=torch.float64)
    found = log_quadratic(lambda v: (systems @ v[:, :, None]).squeeze(2), probes)
    values, vectors = torch.linalg.eigh(systems)
    wanted = ((vectors.mT @ probes[:, :, None]).squeeze(2).square() * values.log()).sum(1)
    assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["hole", "down"])
def test_a_large_determinant_is_near_that_of_the_matrix_and_nearer_between_two(name, monkeypatch):
    physics, like, found, exact = PHYSICS[name], torch.empty(1, 3, SIDE, SIDE), [], []
    white = Correlated(0.3 * torch.ones(3, SIDE, SIDE), torch.ones(3, SIDE, SIDE))
    for noise in (natural(), white):
        y = physics(noise.draws(lambda: torch.randn(like.shape, generator=make_rng(6))))
        monkeypatch.setattr("tigon.inference.observation.DENSE", 10_000)
        exact.append(Observation(physics, y, like, noise, 0.01).log_determinant().item())
        monkeypatch.setattr("tigon.inference.observation.DENSE", 0)
        found.append(Observation(physics, y, like, noise, 0.01).log_determinant().item())
    assert found == pytest.approx(exact, abs=0.03 * y.numel())
    assert found[0] - found[1] == pytest.approx(exact[0] - exact[1], abs=0.02 * y.numel())
