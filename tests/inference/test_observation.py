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


@pytest.mark.parametrize(
    ("physics", "said"),
    [
        (lambda x: x.detach() / 2, "autograd cannot go through the physics: make it of torch"),
        (lambda x: torch.from_numpy(x.numpy() / 2), "autograd cannot go through the physics"),
        (torch.no_grad()(torch.tanh), "autograd cannot go through the physics"),
    ],
)
def test_a_physics_without_a_gradient_is_refused_in_one_line(physics, said):
    with pytest.raises(TigonError, match=said) as caught:
        Observation(physics, LIKE.zero_(), LIKE, White(0.3), 0.0)
    assert "\n" not in str(caught.value)


def patches(x):
    """Sums of 2 x 2 pixels, and differences of neighbours: rows of several sizes and signs."""
    sums = 4 * torch.nn.functional.avg_pool2d(x, 2)
    return torch.cat([sums.flatten(1), (x[..., 1:] - x[..., :-1]).flatten(1)], 1)


@pytest.mark.parametrize("physics", [Mask(torch.ones(4, 4).tril()), Downsample(2), patches])
def test_observations_of_images_on_another_scale_are_refused(physics):
    images = torch.rand(LIKE.shape, generator=make_rng(0), dtype=LIKE.dtype)
    images[1] = 2 * images[1] - 1
    for noise in (0.0, 0.3):
        Observation(physics, physics(images), LIKE, White(0.3), noise)
        images[1, 0, 2, 0] = 100.0
        with pytest.raises(TigonError, match="of image 2 of 2 has a value of size .* at most"):
            Observation(physics, physics(images), LIKE, White(0.3), noise)
        images[1, 0, 2, 0] = 1.0


def test_large_values_that_may_be_are_taken():
    noise = 30 * torch.randn(LIKE.shape, generator=make_rng(0), dtype=LIKE.dtype)
    Observation(Downsample(2), Downsample(2)(noise), LIKE, White(0.3), 15.0)  # they are noise
    bright = torch.full_like(LIKE, 0.9)
    Observation(lambda x: 500 * x, 500 * bright, LIKE, White(0.3), 0.0)  # A makes them
    Observation(lambda x: 500 * torch.tanh(x), 500 * bright, LIKE, White(0.3), 0.0)


def test_values_that_unknown_noise_may_make_are_taken_unless_none_is_below_0():
    image_noise = Correlated(torch.ones(1, 4, 4), torch.ones(1, 4, 4).double())
    y = 30 * torch.randn(LIKE.shape, generator=make_rng(0), dtype=LIKE.dtype)
    assert Observation(Blur(0.7), y, LIKE, image_noise, None).linear
    with pytest.raises(TigonError, match="of image 1 of 2 has a value of size"):
        Observation(Blur(0.7), y.abs(), LIKE, image_noise, None)


def test_what_cannot_be_solved_is_an_error_and_not_a_number():
    noise = Correlated(torch.ones(1, 64, 64), torch.full((1, 64, 64), 1e-12).double())
    noise.variances[0, 0, 0] = 1.0
    like = torch.empty(1, 1, 64, 64)
    seen = Observation(Blur(8.0), torch.randn(like.shape, generator=make_rng(1)), like, noise, 0.0)
    with pytest.raises(TigonError, match="give a higher noise level"):
        seen.solve(seen.y)
