import pytest
import torch
from torch.nn import functional

from small import generator_learner
from tigon.data.batches import Batch
from tigon.models.generator import GeneratorModel
from tigon.models.image_noise import Correlated, White
from tigon.models.residuals import DEVIATION, Residuals
from tigon.random.streams import make_rng


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
    model.residuals.update(Batch(images, torch.arange(4)), decoded, 4)
    model.save_pretrained(tmp_path / "model")
    loaded = GeneratorModel.from_pretrained(tmp_path / "model")
    found = loaded.image_noise()
    assert isinstance(found, Correlated)
    assert torch.equal(found.variances, model.image_noise().variances)
    mean, noise = loaded.whole_images()
    assert torch.allclose(mean, images.mean(0)) and isinstance(noise, Correlated)
    squares = (images - images.mean(0)).square().mean(0)
    assert torch.allclose(model.residuals.whole.squares, squares)


@pytest.mark.parametrize("missing", [0.5, 0.7, "block"])
def test_of_incomplete_images_they_are_those_of_complete_ones(missing):
    """Residuals of known covariance, half of which, or most, are never seen."""
    rng, count, shape = make_rng(4), 400, (1, 12, 12)
    place = torch.arange(12.0)
    spectrum = 30 / (1 + (place[:, None] ** 2 + place**2))
    deviations = (0.1 + 0.3 * torch.linspace(0, 1, 12)).expand(1, 12, 12)
    truth = Correlated(deviations, (spectrum / spectrum.mean()).clamp(min=0.02)[None])
    images = 0.3 + truth.draws(lambda: torch.randn(count, *shape, generator=rng))
    mask = torch.ones(count, *shape)
    for one in mask:
        if missing == "block":
            top, left = torch.randint(0, 5, (2,), generator=rng).tolist()
            one[:, top : top + 8, left : left + 8] = 0
        else:
            one *= torch.rand(shape, generator=rng) >= missing
    hidden = torch.where(mask > 0, images, torch.nan)
    found, complete = Residuals(shape), Residuals(shape)
    decoded = torch.full((40, *shape), 0.3)
    for update in range(600):
        index = torch.randperm(count, generator=rng)[:40]
        found.update(Batch(hidden[index], index, mask[index]), decoded, count)
        if update % 6 == 0:
            complete.update(Batch(images[index], index), decoded, count)
    for part in (lambda kept: kept.noise(), lambda kept: kept.whole.noise()):
        eye = torch.eye(144).view(144, *shape)
        own, other, exact = (
            noise.product(eye).flatten(1) for noise in (part(found), part(complete), truth)
        )
        assert (other - exact).norm() < 0.12 * exact.norm()
        assert (own - exact).norm() < 0.2 * exact.norm()
    assert (found.whole.mean - 0.3).square().mean() < 0.1 * deviations.square().mean()


def test_images_without_holes_count_whole_though_there_is_a_mask():
    images, decoded = torch.randn(2, 9, 3, 4, 4, generator=make_rng(5))
    found, wanted = Residuals((3, 4, 4)), Residuals((3, 4, 4))
    found.update(Batch(images, torch.arange(9), torch.ones(9, 1, 4, 4)), decoded, 9)
    wanted.update(Batch(images, torch.arange(9)), decoded, 9)
    for own, other in zip(found.buffers(), wanted.buffers(), strict=True):
        assert torch.equal(own, other)
