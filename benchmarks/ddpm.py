"""A small diffusion model (DDPM) from diffusers.

`UNet2DModel` predicts the noise of `DDPMScheduler` (Ho, Jain and Abbeel, 2020; the cosine schedule
of Nichol and Dhariwal, 2021); AdamW with a warm-up and a cosine, averaged weights, 100 of 1000
steps to draw with. Needs the extra `bench`. `rivals.py` learns and measures it.
"""

from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor

from measuring import until
from tigon.data.images import ImageSet
from tigon.models.base import Model
from tigon.random.streams import Rng, make_rng, normal
from tigon.sizes import sides
from tigon.training.settings import Cosine

BATCH, RATE, WARM_UP, DECAY, STEPS = 16, 1e-3, 0.05, 0.995, 100
WIDTHS = (32, 64, 64, 128)


class Diffusion(Model):
    """The network with averaged weights, and the chain that draws its images.

    Arguments:
        image_size: side of the images; channels: of them
    """

    def __init__(self, image_size: int, channels: int) -> None:
        super().__init__()
        self.network = UNet2DModel(
            sample_size=image_size,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=WIDTHS,
            down_block_types=(*["DownBlock2D"] * (len(WIDTHS) - 1), "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", *["UpBlock2D"] * (len(WIDTHS) - 1)),
            norm_num_groups=8,
        )
        self.schedule = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
        self.shape = channels, image_size, image_size

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.shape

    @torch.no_grad()
    def sample(self, count: int, rng: Rng, chunk: int = 64) -> Tensor:
        """Draw images by the reverse chain, (count, C, H, W)."""
        own, drawn = make_rng("reverse", 0), []
        self.schedule.set_timesteps(STEPS)
        for part in normal(rng, torch.empty(count, *self.shape)).split(chunk):
            x = part
            for t in self.schedule.timesteps:
                noise = self.network(x, t).sample
                x = self.schedule.step(noise, t, x, generator=own).prev_sample
            drawn.append(x)
        return torch.cat(drawn)

    def config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"image_size": self.shape[1], "channels": self.shape[0]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Diffusion":
        """Return a model with these arguments."""
        return cls(**config)


def learn(images: ImageSet, minutes: float, seed: int) -> tuple[Diffusion, int]:
    """Learn for so many minutes.

    Returns:
        the model, and how many updates were made
    """
    torch.manual_seed(seed)  # of the weights
    height, width = sides(images.image_size)
    if height != width:
        raise ValueError("images must be square")
    model = Diffusion(height, images.channels).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    averaged = EMAModel(model.parameters(), decay=DECAY)
    order, noises = images.order(BATCH, seed), make_rng("noise", seed)
    like, last = next(model.parameters()).detach(), model.schedule.config["num_train_timesteps"]
    updates, cosine = 0, Cosine()
    for passed in until(minutes):
        y = order.read(images, updates, like).images
        noise = torch.randn(y.shape, generator=noises)
        t = torch.randint(last, (len(y),), generator=noises)
        noisy = model.schedule.add_noise(y, noise, t)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        loss = (model.network(noisy, t).sample - noise).square().mean()
        rate = RATE * min(1.0, passed / WARM_UP)
        optimizer.param_groups[0]["lr"] = rate * cosine(updates, passed)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        updates += 1
        averaged.step(model.parameters())
    averaged.copy_to(model.parameters())
    return model.eval(), updates
