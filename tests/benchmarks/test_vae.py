"""The variational auto-encoder that generators are held against."""

import torch

import vae
from small import image_set
from tigon.nn.dcgan import DCGANGenerator
from tigon.random.streams import make_rng


def test_a_new_encoder_gives_about_the_prior_for_any_image():
    decoder = DCGANGenerator(3, (8, 16), 1, width=4, rng=make_rng(0))
    mean, log_deviation = vae.Encoder(decoder, make_rng(1))(torch.rand(5, 1, 8, 16) * 2 - 1)
    assert mean.shape == log_deviation.shape == (5, 3)
    assert mean.abs().max() < 0.1 and log_deviation.abs().max() < 0.1


def test_it_learns_until_the_time_is_up_and_decodes_the_means_of_its_encoder():
    images = image_set(20)
    found, updates = vae.learn(images, 0.02, 2, 4, 0.3, 0)
    assert updates >= 1 and not found.training
    y = images.read()
    shown = found.infer(found.model, y)
    assert torch.equal(shown.latents, found.encoder(y)[0])
    assert torch.equal(shown.images, found.model.decode(shown.latents))
    assert torch.allclose(shown.errors, (shown.images - y).square().mean((1, 2, 3)))
