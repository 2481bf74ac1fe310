"""The recipe of a generator whose prior is learned."""

import pytest

from small import image_set
from tigon.recipes.latent_ebm import LatentEBMRecipe, TiltSettings


@pytest.mark.parametrize("name, value", [("width", 0), ("rate", 0.0), ("steps", 0)])
def test_a_bad_setting_is_named_as_its_option_is(name, value):
    with pytest.raises(ValueError, match=rf"^tilt\.{name} must be "):
        TiltSettings(**{name: value})


def test_the_tilt_learns_at_its_part_of_the_decoders_rate():
    trainer = LatentEBMRecipe(latent_dim=2, iterations=1).trainer(image_set(8))
    decoder, tilt = trainer.optimizer.param_groups
    assert tilt["lr"] == pytest.approx(0.2 * decoder["lr"]) and decoder["lr"] == 2e-3
    assert tilt["betas"] == decoder["betas"] == LatentEBMRecipe().optimizer.betas
    of_tilt = set(trainer.learner.prior.parameters())
    assert set(tilt["params"]) == of_tilt and not of_tilt & set(decoder["params"])
