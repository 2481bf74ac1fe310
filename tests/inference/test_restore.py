import pytest
import torch

from small import descriptor_learner, generator_learner, image_set, measured_model
from tigon.errors import TigonError
from tigon.inference.physics import Grey, Mask
from tigon.inference.restore import Draws, resampled, restore, restoring
from tigon.random.streams import RowRng, make_rng

QUICK = Draws(4, temperatures=2, steps=3, settle=4, draws=2, apart=2)


def half():
    kept = torch.ones(8, 8)
    kept[:, 4:] = 0
    return Mask(kept)


def test_shapes_and_what_is_kept():
    learner = generator_learner(3)
    images = learner.show(3)
    physics = half()
    y, rng = physics(images), make_rng(0)
    found = restore(learner.model, y, physics, rng, smooth=True, how=QUICK)
    assert found.samples.shape == (3, 8, 3, 8, 8) and found.latents.shape == (3, 8, 2)
    assert found.mean.shape == found.spread.shape == images.shape and found.accept.shape == (3,)
    assert torch.allclose(found.mean[..., :4], images[..., :4], atol=1e-4)
    assert found.spread[..., :4].max() < 1e-4 and found.spread[..., 4:].min() > 0.05
    assert torch.allclose(found.samples.mean(1), found.mean, atol=1e-6)


def test_an_image_of_the_model_is_found_from_its_half():
    learner = generator_learner(2)
    learner.model.sigma.fill_(0.05)
    images, physics = learner.show(2), half()
    found = restore(learner.model, physics(images), physics, make_rng(0), how=Draws(4))
    error = (found.mean - images).square()[..., 4:].mean()
    assert error < 0.1 * (images.mean(0) - images).square()[..., 4:].mean()


def test_watched_chains_are_those_of_restore():
    learner, physics = generator_learner(2), half()
    y = physics(learner.show(2))
    seen = list(restoring(learner.model, y, physics, RowRng(0, 0, range(8)), how=QUICK))
    wanted = restore(learner.model, y, physics, RowRng(0, 0, range(8)), how=QUICK)
    assert [one.step for one in seen if one.latents is not None] == list(
        range(1, QUICK.length + 1)
    )
    assert [one.step for one in seen if one.drawn] == [QUICK.length - 2, QUICK.length]
    first, last = (one.found for one in seen if one.drawn)
    assert torch.equal(first.samples, wanted.samples[:, :4])
    torch.testing.assert_close(tuple(last), tuple(wanted), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(seen[-1].latents.view(2, 4, -1), wanted.latents[:, -4:])


def test_what_an_image_becomes_does_not_depend_on_the_others():
    learner = generator_learner(3)
    images, kept = learner.show(3), torch.ones(3, 1, 8, 8)
    kept[0, :, 2:] = kept[1, :, :, 4:] = 0
    physics, own = Mask(kept), Mask(kept[1])
    together = restore(learner.model, physics(images), physics, RowRng(0, 0, range(12)), how=QUICK)
    rng = RowRng(0, 0, range(4, 8))
    alone = restore(learner.model, own(images[1:2]), own, rng, how=QUICK)
    assert torch.allclose(together.samples[1], alone.samples[0], atol=1e-4)


def test_gradient_evaluations_are_those_that_are_taken():
    learner, physics = generator_learner(1), half()
    y, taken = physics(learner.show(1)), []
    learner.model.network.register_forward_hook(
        lambda module, given, made: taken.append(len(made) if made.requires_grad else 0)
    )
    restore(learner.model, y, physics, make_rng(0), how=QUICK)
    assert sum(taken) == QUICK.gradient_evaluations


def test_images_that_f_cannot_make_are_restored_without_it_and_those_that_it_makes_with_it():
    model, images = measured_model()
    kept = torch.ones(8, 8)
    kept[3:6, 3:6] = 0
    physics = Mask(kept)
    found = restore(model, physics(images), physics, RowRng(0, 0, range(16)), how=Draws(4))
    assert ((found.evidence > 0) == torch.tensor([True, True, False, False])).all()
    with_f = restore(
        model, physics(images), physics, RowRng(0, 0, range(16)), how=Draws(4), gaussian=False
    )
    assert with_f.evidence.isnan().all()
    assert torch.equal(found.mean[:2], with_f.mean[:2])
    errors = ((one.mean - images).square()[2:, :, 3:6, 3:6].mean() for one in (found, with_f))
    assert next(errors) < 0.5 * next(errors)
    mean, noise = model.whole_images()
    covariance = noise.product(torch.eye(192).view(192, 3, 8, 8)).flatten(1).double()
    seen = kept.expand(3, 8, 8).flatten() == 1
    gain = torch.linalg.solve(covariance[seen][:, seen], covariance[seen][:, ~seen])
    left = (images[2:] - mean).flatten(1).double()[:, seen]
    exact = mean.flatten().double()[~seen] + left @ gain
    assert torch.allclose(found.mean[2:].flatten(1)[:, ~seen].double(), exact, atol=0.01)
    rest = covariance[~seen][:, ~seen] - covariance[~seen][:, seen] @ gain
    spread = found.spread[2:].flatten(1)[:, ~seen].double()
    ratio = (spread / rest.diagonal().sqrt()).mean(1)
    assert (ratio > 0.5).all() and (ratio < 2).all()  # each image has its own scale


def test_draws_spread_as_is_said_and_smooth_ones_without_f_are_all_the_same():
    model, images = measured_model()
    kept = torch.ones(8, 8)
    kept[3:6, 3:6] = 0
    physics = Mask(kept)
    y, streams, how = physics(images), (RowRng(0, 0, range(16)) for _ in "12"), Draws(4)
    drawn, smooth = (
        restore(model, y, physics, rng, smooth=s, how=how)
        for rng, s in zip(streams, (False, True), strict=True)
    )
    assert torch.equal(drawn.mean, smooth.mean) and torch.equal(drawn.spread, smooth.spread)
    assert torch.allclose(drawn.samples.std(1), drawn.spread)
    assert torch.allclose(drawn.samples[..., :3, :], y[:, None, :, :3], atol=1e-3)
    without = smooth.samples[smooth.evidence < 0]
    assert len(without) == 2
    assert torch.allclose(without, without[:, :1].expand_as(without), atol=1e-5)


def test_chains_are_resampled_by_their_weights():
    weights = torch.tensor([[0.1, 0.2, 0.7, 0.0], [0.25, 0.25, 0.25, 0.25]])
    counts = torch.zeros(2, 4)
    for seed in range(500):
        chosen = resampled(weights.log().flatten(), 4, make_rng("chosen", seed))
        assert ((chosen // 4) == torch.tensor([0] * 4 + [1] * 4)).all()
        counts += torch.bincount(chosen, minlength=8).view(2, 4)
    assert torch.allclose(counts / 2000, weights, atol=0.015)


def test_a_descriptor_draws_what_a_mask_hides_by_its_own_chains():
    model, kept = descriptor_learner(image_set()).model, torch.ones(1, 8, 8)
    kept[:, :, 4:] = 0
    images = image_set().read()[:2]

    def physics(x):  # as other libraries' objects
        return x * kept

    found = restore(model, physics(images), physics, RowRng(0, 0, range(6)), how=Draws(3))
    assert found.samples.shape == (2, 3, 3, 8, 8) and found.latents.shape == (2, 3, 0)
    assert torch.equal(found.samples[..., :4], images[:, None, ..., :4].expand(-1, 3, -1, -1, -1))
    assert found.spread[..., :4].max() < 1e-6 < 1e-4 < found.spread[..., 4:].min()
    assert torch.allclose(found.mean, found.samples.mean(1)) and found.accept.isnan().all()
    alone = restore(model, physics(images[1:]), physics, RowRng(0, 0, range(3, 6)), how=Draws(3))
    assert torch.allclose(found.samples[1], alone.samples[0], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"noise": -0.1}, "noise level must be at least 0"),
        ({"model": "descriptor", "physics": lambda x: x / 2}, "restores what a mask hides"),
        ({"model": "descriptor", "noise": 0.1}, "restores what a mask hides, without noise"),
        ({"model": "descriptor", "physics": Grey()}, r"the physics makes \(1, 1, 8, 8\) of"),
        ({"physics": Grey()}, r"the physics makes \(1, 1, 8, 8\) of images \(1, 3, 8, 8\)"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, said):
    model = generator_learner(1).model
    if change.pop("model", None):
        model = descriptor_learner(image_set()).model
    physics = change.pop("physics", half())
    with pytest.raises(TigonError, match=said) as caught:
        restore(model, torch.zeros(1, 3, 8, 8), physics, make_rng(0), how=QUICK, **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["generator", "descriptor"])
@pytest.mark.parametrize(
    ("y", "said"),
    [
        (lambda y: y.numpy(), "what was observed is a ndarray: give a tensor"),
        (lambda y: y[:0], r"what was observed is of shape \(0, 3, 8, 8\): give"),
        (lambda y: y.sum(), r"what was observed is of shape \(\): give"),
        (lambda y: y + 0j, "what was observed is complex"),
        (lambda y: half()(127.5 * image_set().read()[:2] + 127.5), "as x / 127.5 - 1 does"),
    ],
)
def test_observations_that_are_none_are_refused_in_one_line(model, y, said):
    images, physics = image_set().read()[:2], half()
    model = descriptor_learner(image_set()).model if model == "descriptor" else None
    model = model or generator_learner(2).model
    with pytest.raises(TigonError, match=said) as caught:
        restore(model, y(physics(images)), physics, make_rng(0), how=QUICK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "numbers", [{"chains": 0}, {"settle": 1}, {"hottest": 0.5}, {"start": "nowhere"}]
)
def test_numbers_without_a_meaning_are_refused(numbers):
    with pytest.raises((ValueError, TigonError), match="must be"):
        Draws(**numbers)
