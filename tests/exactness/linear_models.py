"""A linear generator, whose posterior and likelihood are known."""

import torch
from torch import Tensor, nn

from tigon.models.generator import GeneratorModel


class LinearNetwork(nn.Module):
    """f(z) = W z + b, as images."""

    def __init__(self, weight: Tensor, bias: Tensor, shape: tuple[int, int, int]):
        super().__init__()
        self.first = nn.Linear(weight.shape[1], len(weight), dtype=weight.dtype)
        with torch.no_grad():
            self.first.weight.copy_(weight)
            self.first.bias.copy_(bias)
        self.shape = shape

    def forward(self, z):
        return self.first(z).unflatten(1, self.shape)


def linear_model(rng, sigma=0.6, shape=(1, 2, 3), dim=2) -> GeneratorModel:
    """A generator of `shape` images from `dim` latents, of random weights."""
    pixels = shape[0] * shape[1] * shape[2]
    weight = torch.randn(pixels, dim, generator=rng, dtype=torch.float64) * 0.6
    bias = torch.randn(pixels, generator=rng, dtype=torch.float64)
    return GeneratorModel(LinearNetwork(weight, bias, shape), dim, sigma)


def images_of(model, z, rng):
    """Draw y = f(z) + sigma eps."""
    with torch.no_grad():
        mean = model(z)
    return mean + model.sigma * torch.randn(mean.shape, generator=rng, dtype=mean.dtype)


def posterior(model, images):
    """The closed form: means (B, d), and the covariance (d, d) that all images share."""
    weight, bias = model.network.first.weight.detach(), model.network.first.bias.detach()
    precision = torch.eye(weight.shape[1]).double() + weight.T @ weight / model.sigma**2
    covariance = torch.linalg.inv(precision)
    return (images.flatten(1) - bias) @ weight @ covariance / model.sigma**2, covariance


def whiten(model, images, z):
    """Map draws of each image's own posterior to standard normals."""
    mean, covariance = posterior(model, images)
    root = torch.linalg.cholesky(covariance)
    return torch.linalg.solve_triangular(root, (z - mean).T, upper=False).T


def marginal(model):
    """Mean and covariance of images flattened: N(b, W W^T + sigma^2 I)."""
    weight, bias = model.network.first.weight.detach(), model.network.first.bias.detach()
    return bias, weight @ weight.T + model.sigma**2 * torch.eye(len(weight)).double()
