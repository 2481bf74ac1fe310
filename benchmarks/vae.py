"""A variational auto-encoder with the generator's decoder, as a good user would write it.

The decoder and sigma are those of the recipe `generator`, the prior is N(0, I), which is that of
`generator --components 1`, and so is the density; only inference differs: an encoder of the
mirrored sizes gives a mean and a deviation for each latent (Kingma and Welling, 2014). Adam at
1e-3 falls to 0 along a cosine, as the time that is given passes, and the weight of the divergence
from the prior rises from 0 to 1 in the first tenth. Batches are as large as the generator's: of
clothes, 16 images gave better reconstructions and draws in ten minutes than 64 did.
Reconstructions are the decoded means. `rivals.py` learns and measures it.
"""

import math

import torch
from torch import Tensor, nn

from measuring import until
from tigon.data.batches import even_rows
from tigon.data.images import ImageSet
from tigon.models.base import Model
from tigon.models.cold_start import Reconstruction
from tigon.models.generator import GeneratorModel
from tigon.nn.dcgan import SLOPE, DCGANGenerator
from tigon.random.streams import make_rng
from tigon.training.settings import Cosine

BATCH, RATE, WARM_UP, SEEN = 16, 1e-3, 0.1, 500  # images that the mean colour is of


class Encoder(nn.Module):
    """Images (B, C, H, W) to means and log-deviations of d latents, (B, d) each.

    Arguments:
        like: a decoder, whose sizes and widths it mirrors
    """

    def __init__(self, like: DCGANGenerator, rng: torch.Generator) -> None:
        super().__init__()
        widths = [
            layer.in_channels for layer in like.rest if isinstance(layer, nn.ConvTranspose2d)
        ]
        channels = int(like.config()["channels"])  # type: ignore[call-overload]
        layers: list[nn.Module] = []
        for before, after in zip([channels, *reversed(widths)], reversed(widths), strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.last = nn.Linear(math.prod(like.seed_shape), 2 * like.first.in_features)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                gain = 2 / (1 + SLOPE**2)
                deviation = (gain / layer.weight[0].numel()) ** 0.5
                nn.init.normal_(layer.weight, std=deviation, generator=rng)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.normal_(self.last.weight, std=1e-3, generator=rng)  # starts at the prior
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-deviations."""
        mean, log_deviation = self.last(self.features(images)).chunk(2, 1)
        return mean, log_deviation


class VAE(nn.Module):
    """A generator's model, and the encoder that infers its latents."""

    def __init__(self, model: GeneratorModel, encoder: Encoder) -> None:
        super().__init__()
        self.model, self.encoder = model, encoder

    def infer(self, _: Model, images: Tensor) -> Reconstruction:
        """Return the means of the latents of images (B, C, H, W), decoded."""
        with torch.no_grad():
            latents = torch.cat([self.encoder(part)[0] for part in images.split(BATCH)])
        shown = self.model.decode(latents)
        return Reconstruction(latents, shown, (shown - images).square().flatten(1).mean(1))


def learn(
    images: ImageSet,
    minutes: float,
    latent_dim: int,
    width: int,
    sigma: float,
    seed: int,
    batch_size: int = BATCH,
) -> tuple[VAE, int]:
    """Learn for so many minutes.

    Returns:
        the model, and how many updates were made
    """
    network = DCGANGenerator(
        latent_dim, images.image_size, images.channels, width, rng=make_rng("weights", seed)
    )
    some = images.read(even_rows(len(images), SEEN))
    network.begin_at(some.mean((0, 2, 3)))
    encoder = Encoder(network, make_rng("encoder", seed))
    vae = VAE(GeneratorModel(network, latent_dim, sigma), encoder)
    optimizer = torch.optim.Adam(vae.parameters(), RATE)
    order = images.order(batch_size, seed)
    noise, like = make_rng("noise", seed), next(vae.parameters()).detach()
    updates, cosine = 0, Cosine()
    for passed in until(minutes):
        y = order.read(images, updates, like).images
        mean, log_deviation = encoder(y)
        z = mean + log_deviation.exp() * torch.randn(mean.shape, generator=noise)
        error = (y - network(z)).square().sum() / (2 * sigma**2)
        divergence = (mean**2 + (2 * log_deviation).exp() - 1 - 2 * log_deviation).sum() / 2
        loss = (error + min(1.0, passed / WARM_UP) * divergence) / len(y)
        optimizer.param_groups[0]["lr"] = RATE * cosine(updates, passed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updates += 1
    return vae.eval(), updates
