"""A custom energy, trained on tensors: a quadratic that finds the images' mean."""

import torch
from torch import Tensor, nn

import tigon


class Quadratic(nn.Module):
    """f(y) = -|y - m|^2 / 2, (B, 1, 8, 8) to (B,): higher is more probable."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(1, 8, 8))

    def forward(self, y: Tensor) -> Tensor:
        return -((y - self.m) ** 2).flatten(1).sum(1) / 2


images = (0.3 + 0.2 * torch.randn(64, 1, 8, 8)).clamp(-1, 1)
chains, grey = tigon.MCMC(tigon.Langevin(0.5), steps=30), torch.zeros(1, 1, 8, 8)
model = tigon.EnergyModel(Quadratic(), 10.0, chains=chains, starts=grey)
learner, adam = tigon.DescriptorLearner(model), torch.optim.Adam(model.parameters(), lr=0.05)
tigon.Trainer(learner, images, adam, tigon.Cosine(), budget=tigon.Budget(100)).fit()
print(f"mean of m {model.network.m.mean():.2f}, of the images {images.mean():.2f}")
