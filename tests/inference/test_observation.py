import pytest
import torch

from tigon.errors import TigonError
from tigon.inference.observation import Observation
from tigon.inference.physics import Blur, Downsample, Mask
from tigon.models.image_noise import Correlated, White
from tigon.random.streams import make_rng

LIKE = torch.empty(2, 1, 4, 4, dtype=torch.float64)


def observation(physics, noise=0.2):
    images = torch.rand(LIKE.shape, generator=make_rng(0), dtype=LIKE.dtype)
    return Observation(physics, physics(images), LIKE, White(0.3), noise)


def matrix(physics):
    return physics(torch.eye(16, dtype=LIKE.dtype).view(16, 1, 4, 4)).flatten(1).T


@pytest.mark.parametrize("physics", [Mask(torch.ones(4, 4).tril()), Blur(0.7), Downsample(2)])
def test_likelihood_and_gradient_are_those_of_the_whole_covariance(physics):
    seen, a = observation(physics), matrix(physics)
    images = torch.rand(6, 1, 4, 4, generator=make_rng(1), dtype=LIKE.dtype)
    whole = 0.09 * a @ a.T + 0.04 * torch.eye(len(a))

    def wanted(x):
        residual = seen.y.flatten(1).repeat_interleave(3, 0) - physics(x).flatten(1)
        return -(residual * torch.linalg.solve(whole, residual.T).T).sum(1) / 2

    x, y = images.clone().requires_grad_(), images.clone().requires_grad_()
    found, exact = seen.log_likelihood(x), wanted(y)
    assert seen.linear and torch.allclose(found, exact, rtol=1e-4)
    found.sum().backward()
    exact.sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=1e-3, atol=1e-4)


def test_evidence_is_the_density_at_the_scale_that_suits_what_was_observed_best():
    kept = torch.ones(4, 4)
    kept[1:3, 1:3] = 0
    noise = Correlated(
        0.1 + torch.rand(1, 4, 4, generator=make_rng(3), dtype=LIKE.dtype),
        torch.rand(1, 4, 4, generator=make_rng(4), dtype=LIKE.dtype) + 0.1,
    )
    images = torch.rand(LIKE.shape, generator=make_rng(0), dtype=LIKE.dtype)
    seen = Observation(Mask(kept), Mask(kept)(images), LIKE, noise, 0.0)
    residual = seen.residual(LIKE.zero_())
    chosen = kept.flatten() == 1
    whole = noise.product(torch.eye(16, dtype=LIKE.dtype).view(16, 1, 4, 4)).flatten(1)
    part, values = whole[chosen][:, chosen], residual.flatten(1)[:, chosen]

    def density(scale):
        mean = torch.zeros(12, dtype=LIKE.dtype)
        return torch.distributions.MultivariateNormal(mean, scale * part).log_prob(values)

    scales = torch.logspace(-2, 2, 2001, dtype=LIKE.dtype)
    best = torch.stack([density(scale) for scale in scales]).amax(0)
    assert torch.allclose(seen.log_evidence(residual), best, atol=1e-3)


def test_one_mask_for_each_image_belongs_to_its_image():
    kept = torch.stack([torch.ones(1, 4, 4), torch.ones(1, 4, 4).tril()]).double()
    seen = observation(Mask(kept))
    images = torch.rand(6, 1, 4, 4, generator=make_rng(1), dtype=LIKE.dtype)
    assert torch.equal(seen.observe(images), images * kept.repeat_interleave(3, 0))


def test_what_is_not_linear_is_told_from_what_is():
    assert not observation(lambda x: x.clamp(-0.1, 0.1)).linear
    assert not observation(lambda x: x + 1).linear
    seen = observation(torch.tanh)
    assert torch.equal(seen.completed(LIKE.zero_()), LIKE)
    values = torch.ones(2, 1, 4, 4, dtype=LIKE.dtype)
    assert torch.allclose(seen.solve(values), values / 0.13)


def test_without_noise_what_was_observed_is_kept_as_it_is():
    seen = observation(Downsample(2), noise=0.0)
    decoded = torch.rand(4, 1, 4, 4, generator=make_rng(1), dtype=LIKE.dtype)
    for images in (seen.completed(decoded), seen.drawn(decoded, make_rng(2))):
        assert torch.allclose(seen.observe(images), seen.y.repeat_interleave(2, 0), atol=1e-4)


@pytest.mark.parametrize(
    ("physics", "said"),
    [
        (lambda x: x[:, :, :2], r"makes \(2, 1, 2, 4\) of images \(2, 1, 4, 4\), but what was"),
        (lambda x: x @ torch.ones(3, 3), r"fails for images \(2, 1, 4, 4\)"),
        (lambda x: x / 0, "values that are not finite"),
        (lambda x: x + torch.rand(()), "differs from call to call: leave out its own noise"),
    ],
)
def test_a_physics_that_does_not_fit_is_refused(physics, said):
    with pytest.raises(TigonError, match=said):
        Observation(physics, LIKE.zero_(), LIKE, White(0.3), 0.0)


def test_observations_that_cannot_be_are_refused():
    kept = torch.ones(4, 4).tril()
    with pytest.raises(TigonError, match="not 0 where the physics always makes 0"):
        Observation(Mask(kept), torch.ones_like(LIKE), LIKE, White(0.3), 0.0)
    with pytest.raises(TigonError, match="not finite"):
        Observation(Mask(kept), torch.full_like(LIKE, torch.nan), LIKE, White(0.3), 0.0)


def test_what_cannot_be_solved_is_an_error_and_not_a_number():
    noise = Correlated(torch.ones(1, 64, 64), torch.full((1, 64, 64), 1e-12).double())
    noise.variances[0, 0, 0] = 1.0
    like = torch.empty(1, 1, 64, 64)
    seen = Observation(Blur(8.0), torch.randn(like.shape, generator=make_rng(1)), like, noise, 0.0)
    with pytest.raises(TigonError, match="give a higher noise level"):
        seen.solve(seen.y)
