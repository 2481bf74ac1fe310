import math

import pytest
import torch
from scipy.fft import dctn
from torch.nn import functional

from small import generator_learner
from tigon.models.generator import GeneratorModel
from tigon.models.residuals import DEVIATION, Blended, Correlated, Residuals, White, transformed
from tigon.random.streams import make_rng

SHAPE = 3, 6, 8


def correlated(seed):
    deviations, variances = 0.5 + torch.rand(
        2, *SHAPE, generator=make_rng(seed), dtype=torch.float64
    )
    return Correlated(deviations, variances)


def test_the_transform_is_the_orthonormal_cosine_transform():
    x = torch.randn(2, *SHAPE, generator=make_rng(0), dtype=torch.float64)
    wanted = dctn(x.numpy(), axes=(1, 2, 3), norm="ortho")
    assert torch.allclose(transformed(x), torch.from_numpy(wanted))
    assert torch.allclose(transformed(transformed(x), back=True), x)


@pytest.mark.parametrize("kind", ["white", "correlated"])
def test_draws_have_the_covariance_that_products_are_of(kind):
    values = math.prod(SHAPE)
    noise = White(0.4) if kind == "white" else correlated(1)
    eye = torch.eye(values, dtype=torch.float64)
    covariance = noise.product(eye.unflatten(1, SHAPE)).flatten(1)
    root = noise.draws(lambda: eye.unflatten(1, SHAPE)).flatten(1)
    assert torch.allclose(root.T @ root, covariance) and torch.allclose(covariance, covariance.T)
    if kind == "white":
        assert noise.variance == pytest.approx(covariance.diagonal().mean().item())


def test_a_blend_has_the_covariance_of_each_image_s_own_share():
    shares, parts = torch.tensor([0.0, 0.2, 1.0]), (correlated(1), correlated(2))
    blend, eye = Blended(*parts, shares), torch.eye(math.prod(SHAPE), dtype=torch.float64)
    products = blend.product(eye.unflatten(1, SHAPE).repeat(3, 1, 1, 1)).unflatten(0, (3, -1))
    first, second = (part.product(eye.unflatten(1, SHAPE)) for part in parts)
    for share, product in zip(shares, products, strict=True):
        assert torch.allclose(product, (1 - share) * first + share * second)
    zero = torch.zeros_like(eye)
    halves = iter([torch.cat([eye, zero]), torch.cat([zero, eye])])  # of two independent noises
    root = blend.draws(lambda: next(halves).unflatten(1, SHAPE).repeat(3, 1, 1, 1))
    for one, product in zip(root.unflatten(0, (3, -1)).flatten(2), products, strict=True):
        assert torch.allclose(one.T @ one, product.flatten(1), atol=1e-6)


def test_what_was_measured_is_the_covariance_of_smooth_residuals_that_are_larger_in_places():
    rng, residuals = make_rng(2), Residuals((1, 16, 16))
    place = torch.linspace(0.2, 1.0, 16).expand(1, 16, 16)

    def drawn(count):
        noise = functional.pad(
            torch.randn(count, 1, 16, 16, generator=rng), (1,) * 4, mode="reflect"
        )
        return place * functional.avg_pool2d(noise, 3, 1) * 3

    assert not residuals.measured
    for _ in range(200):
        residuals.add(drawn(64), 64, 10_000)
    found = residuals.noise().product(torch.eye(256).view(256, 1, 16, 16)).flatten(1)
    exact = torch.cov(drawn(20_000).flatten(1).T)
    scale = exact.diagonal().sqrt()
    assert residuals.measured
    assert ((found.diagonal() / exact.diagonal()).log().abs().mean()) < 0.25
    apart = (found - exact) / torch.outer(scale, scale)
    correlations = exact / torch.outer(scale, scale) - torch.eye(256)
    assert apart.square().mean() < 0.15 * correlations.square().mean()  # 1 for white noise


def test_parts_of_a_batch_in_several_processes_are_one_batch_and_the_first_counts_whole():
    residuals = Residuals((1, 4, 4))
    residuals.add(torch.full((2, 1, 4, 4), 0.5), 2, 2)
    assert torch.allclose(residuals.squares, torch.tensor(0.25))
    residuals.add(torch.zeros(2, 1, 4, 4), 2, 2)
    share = 0.02 / (1 - 0.98**2)
    assert torch.allclose(residuals.squares, torch.tensor(0.25 * (1 - share)))
    residuals.squares.zero_()
    assert torch.equal(residuals.deviations(), torch.full((1, 4, 4), DEVIATION))


def test_a_learner_measures_them_and_a_model_folder_keeps_them(tmp_path):
    learner = generator_learner(4)
    network, shape = learner.model.network, learner.model.image_shape
    assert isinstance(learner.model.image_noise(), White)
    model = GeneratorModel(network, 2, 0.3, residuals=Residuals(shape))
    assert model.whole_images() is None
    images, decoded = torch.randn(2, 4, *shape, generator=make_rng(3))
    model.residuals.update(images, decoded, 4, 4)
    model.save_pretrained(tmp_path / "model")
    loaded = GeneratorModel.from_pretrained(tmp_path / "model")
    found = loaded.image_noise()
    assert isinstance(found, Correlated)
    assert torch.equal(found.variances, model.image_noise().variances)
    mean, noise = loaded.whole_images()
    assert torch.allclose(mean, images.mean(0)) and isinstance(noise, Correlated)
    squares = (images - images.mean(0)).square().mean(0)
    assert torch.allclose(model.residuals.whole.squares, squares)
