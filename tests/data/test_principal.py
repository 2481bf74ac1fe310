"""Principal components are those of a singular value decomposition, and the linear model's."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from tigon.data import principal
from tigon.data.images import ImageSet
from tigon.data.principal import components_of, principal_components
from tigon.random.streams import make_rng


def pictures(count, size=8, seed=0):
    numbers = np.random.default_rng(seed)
    basis = numbers.normal(size=(5, size * size * 3)) * np.array([40, 30, 20, 10, 5])[:, None]
    flat = 128 + numbers.normal(size=(count, 5)) @ basis / 3
    pixels = flat.clip(0, 255).round().astype(np.uint8).reshape(count, size, size, 3)
    return ImageSet(pixels, [str(k) for k in range(count)], [])


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "sketched"])
def test_components_are_those_of_the_singular_value_decomposition(exact, monkeypatch):
    monkeypatch.setattr(principal, "EXACT", 10_000 if exact else 10)
    images = pictures(60)
    found = principal_components(images, 4)
    y = images.read().flatten(1).double()
    _, singular, right = torch.linalg.svd(y - y.mean(0), full_matrices=False)
    assert torch.allclose(found.deviations.double(), singular[:4] / 60**0.5, rtol=1e-3)
    overlaps = (found.directions.double() * right[:4]).sum(1).abs()
    assert (overlaps > 0.999).all()
    scores = found.scores(images.read())
    assert torch.allclose(scores.T @ scores / 60, torch.eye(4), atol=1e-3)


def test_all_components_reconstruct_the_images_and_there_are_no_more_than_images():
    images = pictures(6)
    found = principal_components(images, 100)
    assert len(found.deviations) <= 5
    assert torch.allclose(found.reconstruct(images.read()), images.read(), atol=1e-3)


def test_samples_have_the_scores_moments():
    found = principal_components(pictures(60), 3)
    scores = found.scores(found.sample(4000, make_rng(0)))
    assert scores.mean(0).abs().max() < 0.06
    assert torch.allclose(torch.cov(scores.T), torch.eye(3), atol=0.08)


def test_images_that_are_all_the_same_are_refused():
    same = ImageSet(np.full((4, 8, 8, 3), 7, np.uint8), list("abcd"), [])
    with pytest.raises(ValueError, match="all the same"):
        principal_components(same, 2)


def test_the_density_of_probabilistic_pca_is_scikit_learns():
    """At its own sigma, and where sigma swallows components; they want more images than values."""
    images = pictures(60, 4)
    y = images.read()
    found, theirs = principal_components(images, 4), PCA(4).fit(y.flatten(1).double().numpy())
    shrink = 59 / 60  # their variances are over n - 1
    assert found.sigma_of(y) == pytest.approx((theirs.noise_variance_ * shrink) ** 0.5, rel=1e-3)
    theirs.explained_variance_ *= shrink
    for sigma in (found.sigma_of(y), 1.5 * found.deviations[2].item()):
        theirs.noise_variance_ = sigma**2
        theirs.explained_variance_ = np.maximum(theirs.explained_variance_, sigma**2 * (1 + 1e-9))
        expected = theirs.score_samples(y.flatten(1).double().numpy())
        assert np.allclose(found.log_prob(y, sigma).numpy(), expected, rtol=1e-4)


def test_the_own_sigma_of_probabilistic_pca_has_the_greatest_likelihood():
    images = pictures(60)
    y, found = images.read(), principal_components(images, 4)
    best = found.sigma_of(y)
    scores = [found.log_prob(y, factor * best).mean() for factor in (0.97, 1.0, 1.03)]
    assert scores[1] > max(scores[0], scores[2])


@pytest.mark.parametrize("seed", range(12))
def test_components_of_two_incomplete_pictures_of_noise_are_finite(seed):
    rng = torch.Generator().manual_seed(seed)
    mask = (torch.rand(2, 1, 8, 8, generator=rng) < 0.3).float()
    mask[:, 0, 0, 0] = 1
    hidden = (torch.rand(2, 1, 8, 8, generator=rng) * 2 - 1) * mask
    found = components_of(hidden.flatten(1), (1, 8, 8), 2, mask=mask)
    assert found.deviations.isfinite().all()


@pytest.mark.parametrize(("seen", "noise"), [(0.7, 0.005), (0.3, 0.2)])
def test_components_of_incomplete_images_have_the_scale_of_complete_ones(seen, noise):
    rng, rank, count = torch.Generator().manual_seed(0), 6, 400
    weights = torch.randn(rank, 64, generator=rng) * torch.linspace(2, 1, rank)[:, None]
    flat = torch.randn(count, rank, generator=rng) @ weights
    flat += noise * torch.randn(count, 64, generator=rng)
    mask = (torch.rand(count, 1, 8, 8, generator=rng) < seen).float()
    whole = components_of(flat.clone(), (1, 8, 8), rank)
    hidden = torch.where(mask.flatten(1) > 0, flat, 0)
    found = components_of(hidden.clone(), (1, 8, 8), rank, mask=mask)
    assert torch.allclose(found.deviations, whole.deviations, rtol=0.08)
    scores = found.scores(hidden.unflatten(1, (1, 8, 8)), mask)
    assert torch.allclose(scores.std(0), torch.ones(rank), atol=0.08)
