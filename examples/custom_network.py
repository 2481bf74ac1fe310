"""Custom networks, in both learners."""

import torch
from torch import nn

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=32)


class Decoder(nn.Module):
    """Latents (B, d) to images (B, 3, 32, 32) in [-1, 1].

    Parameter expansion rescales latents through the first linear layer, called `first`.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(latent_dim, 256)
        self.rest = nn.Sequential(nn.SiLU(), nn.Linear(256, 3 * 32 * 32), nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.rest(self.first(z)).unflatten(1, (3, 32, 32))


torch.manual_seed(0)  # for the weights that torch initialises
model = tigon.GeneratorModel(Decoder(4), latent_dim=4, sigma=0.3)
learner = tigon.GeneratorLearner(model, len(images))
adam = torch.optim.Adam(learner.parameters(), lr=2e-3)
trainer = tigon.Trainer(learner, images, adam, guard=tigon.Guard(), budget=tigon.Budget(100))
records = trainer.fit()
errors = [record["reconstruction_error"] for record in records]
print(f"generator: error {errors[0]:.3f}, then {errors[-1]:.3f}")

# Images (B, 3, 32, 32) to one number each, (B,). Batch statistics would couple the chains.
scores = nn.Sequential(
    nn.Conv2d(3, 32, 4, stride=2), nn.SiLU(), nn.Flatten(), nn.LazyLinear(1), nn.Flatten(0)
)
scores(images.read(slice(0, 1)))  # LazyLinear infers its size
starts = tigon.start_images(images, "mean-colour")
energy = tigon.EnergyModel(scores, scale=0.7, starts=starts, image_size=32)
learner = tigon.DescriptorLearner(energy)
adam = torch.optim.Adam(learner.parameters(), lr=1e-2, betas=(0.5, 0.95))
rate = [tigon.WarmUp(20), tigon.Cosine()]
records = tigon.Trainer(learner, images, adam, rate, budget=tigon.Budget(40)).fit()
print(f"descriptor: gap {records[-1]['gap']:+.3f} nats per dimension of f")
