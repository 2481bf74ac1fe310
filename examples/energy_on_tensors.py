"""An energy of one's own, learned on tensors: a quadratic that finds the images' mean."""

import torch
from torch import nn

import tigon

images = (0.3 + 0.2 * torch.randn(64, 1, 8, 8)).clamp(-1, 1)


class Quadratic(nn.Module):
    """f(y) = -|y - m|^2 / 2, (B, 1, 8, 8) to (B,): higher is more probable."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(1, 8, 8))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return -((y - self.m) ** 2).flatten(1).sum(1) / 2


chains = tigon.MCMC(tigon.Langevin(0.5), steps=30)  # at temperature 1: of the density itself
model = tigon.EnergyModel(Quadratic(), 10.0, chains=chains, starts=torch.zeros(1, 1, 8, 8))
learner, adam = tigon.DescriptorLearner(model), torch.optim.Adam(model.parameters(), lr=0.05)
tigon.Trainer(learner, images, adam, tigon.Cosine(), budget=tigon.Budget(100)).fit()
print(f"mean of m {model.network.m.mean().item():.2f}, of the images {images.mean().item():.2f}")
