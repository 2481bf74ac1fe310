import torch

from small import measured_model
from tigon.inference.linear_posterior import Near
from tigon.inference.observation import Observation
from tigon.inference.physics import Mask
from tigon.inference.whole import compared
from tigon.random.streams import make_rng

CHAINS, DRAWS = 2, 3


def holed():
    kept = torch.ones(8, 8)
    kept[3:6, 3:6] = 0
    return kept


def completed(residual, always=False):
    """Complete images f(z) + residual (B, 3, 8, 8) in a hole, given their own latents."""
    model, _ = measured_model()
    z = model.latents(len(residual), make_rng("completed", 0), model.plane)
    decoded, physics = model.decode(z), Mask(holed())
    images = decoded + residual
    seen = Observation(physics, physics(images), images, model.image_noise(), 0.0)
    near = Near(z, 1e-4 * torch.eye(2).expand(len(z), 2, 2))  # as if chains were sure of them
    repeated = decoded[:, None, None].expand(-1, DRAWS, CHAINS, -1, -1, -1)
    log_prior = (model.log_prior(z) - model.log_prior_constant)[:, None].expand(-1, CHAINS)
    whole, rng = model.whole_images(), make_rng("completed", 1)
    return model, images, decoded, compared(seen, near, repeated, log_prior, whole, rng, always)


def drawn(model, shares):
    """Draw residuals that are the blend of both kinds with these shares."""
    rng, (_, spread) = make_rng("drawn", 0), model.whole_images()
    like = torch.empty(len(shares), 3, 8, 8)
    first, second = (
        noise.draws(lambda: torch.randn(like.shape, generator=rng))
        for noise in (model.image_noise(), spread)
    )
    shares = torch.tensor(shares).view(-1, 1, 1, 1)
    return (1 - shares).sqrt() * first + shares.sqrt() * second


def test_what_is_left_out_of_an_image_is_completed_by_the_blend_that_it_is():
    model, _ = measured_model()
    shares = [0.0] * 8 + [0.03] * 8
    residual = drawn(model, shares)
    _, images, decoded, found = completed(residual)
    assert (found.evidence > 0).all()
    missing = (holed() == 0).expand(3, 8, 8)
    mean = found.made.means.mean(1)
    errors = (mean - images)[:, missing].square().mean(1)
    without = (decoded - images)[:, missing].square().mean(1)
    assert (errors[:8] < 1.5 * without[:8]).all()  # nothing can be known of white residuals
    assert errors[8:].mean() < 0.3 * without[8:].mean()
    first, second = model.image_noise(), model.whole_images()[1]
    eye = torch.eye(192).view(192, 3, 8, 8)
    chosen = ~missing.flatten()
    for row, share in enumerate(shares):
        covariance = first.product(eye).lerp(second.product(eye), share).flatten(1).double()
        seen = covariance[chosen][:, chosen]
        rest = residual[row].flatten()[chosen].double()
        exact = covariance[~chosen][:, chosen] @ torch.linalg.solve(seen, rest)
        ours = (mean - decoded)[row].flatten()[~chosen].double()
        assert (ours - exact).square().mean() < 0.2 * without[row]


def test_draws_lie_about_their_mean_as_images_do():
    model, _ = measured_model()
    _, images, _, found = completed(drawn(model, [0.03] * 32))
    missing = (holed() == 0).expand(3, 8, 8)
    mean, spread = found.made.images.mean(1), found.made.images.std(1)
    apart = ((images - mean) / spread)[:, missing]
    draws = DRAWS * CHAINS
    wanted = (draws - 1) / (draws - 3) * (1 + 1 / draws)  # of Student's t with draws - 1 degrees
    assert 0.6 * wanted < apart.square().mean() < 1.6 * wanted


def test_all_images_are_completed_by_f_if_that_is_asked():
    model, images = measured_model()
    z = model.latents(4, make_rng("completed", 0), model.plane)
    *_, found = completed(images - model.decode(z))
    *_, always = completed(images - model.decode(z), always=True)
    by_f = found.evidence > 0
    assert torch.equal(found.evidence, always.evidence) and not by_f[2:].any()
    same = (found.made.means == always.made.means).flatten(1).all(1)
    assert torch.equal(same, by_f)
