"""Distances between two sets of images by their features, (N, k) and (M, k).

References:
    Binkowski et al., "Demystifying MMD GANs", ICLR 2018 (KID).
    Heusel et al., "GANs trained by a two time-scale update rule", NeurIPS 2017 (FID's distance).
    Kynkäänniemi et al., "Improved precision and recall metric for generative models", NeurIPS
    2019.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

NEIGHBOURS = 3


class Estimate(NamedTuple):
    """A number and its standard error, which is infinite where it is not known."""

    value: float
    error: float

    def text(self, digits: int) -> str:
        """Return both, or the number alone if its error is not known."""
        known = f" ± {self.error:.{digits}f}" if math.isfinite(self.error) else ""
        return f"{self.value:.{digits}f}{known}"


def finite(value: float | None) -> float | None:
    """Return a number as JSON has it: none that is not finite."""
    return None if value is None or not math.isfinite(value) else value


def kid(first: Tensor, second: Tensor) -> float:
    r"""Return the kernel distance of two sets, unbiased, so that it can be below 0.

    .. math:: \mathrm{MMD}^2 \text{ with } k(x, y) = (x^\top y / k + 1)^3
    """
    dim = first.shape[1]

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / dim + 1) ** 3

    def within(a: Tensor) -> Tensor:
        values = kernel(a, a)
        return (values.sum() - values.trace()) / (len(a) * (len(a) - 1))

    return float(within(first) + within(second) - 2 * kernel(first, second).mean())


def kid_of_subsets(
    first: Tensor, second: Tensor, rng: torch.Generator, subsets: int = 20
) -> Estimate:
    r"""Return the kernel distance of two sets, and its standard error, from that of subsets.

    Subsets are drawn without replacement, so that those of a share q of a set vary as

    .. math:: (1 - q) / q

    times as much as the set itself, in variance (the delete-d jackknife): halves as much as it.

    Of fewer than 4 images, whose halves have no distance, the error is infinite.

    Arguments:
        rng: chooses the subsets, of half of each set, or of a smaller share: at most 1000 images

    References:
        Shao and Wu, "A general theory for jackknife variance estimation", Annals of Statistics
        1989.
    """
    share = min(0.5, 1000 / max(len(first), len(second)))

    def some(of: Tensor) -> Tensor:
        return of[torch.randperm(len(of), generator=rng)[: int(share * len(of))]]

    if share * min(len(first), len(second)) < 2:
        return Estimate(kid(first, second), math.inf)
    found = torch.tensor([kid(some(first), some(second)) for _ in range(subsets)])
    return Estimate(kid(first, second), found.std().item() * (share / (1 - share)) ** 0.5)


def frechet(first: Tensor, second: Tensor) -> float:
    r"""Return the Fréchet distance of the Gaussians of two sets; it falls as the sets grow.

    .. math:: |m_1 - m_2|^2 + \operatorname{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})

    The last trace is the sum of the singular values of the product of the two centred sets, which
    needs no root of a k x k matrix.
    """
    means = first.mean(0) - second.mean(0)
    a = (first - first.mean(0)) / (len(first) - 1) ** 0.5
    b = (second - second.mean(0)) / (len(second) - 1) ** 0.5
    both = a.square().sum() + b.square().sum()
    return float(means.square().sum() + both - 2 * torch.linalg.svdvals(a @ b.T).sum())


def precision_and_recall(
    drawn: Tensor, real: Tensor, neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """Return the part of drawn images near real ones, and that of real ones near drawn ones.

    Near is within the distance from an image to its `neighbours`-th nearest one of its own set.
    """
    between = torch.cdist(drawn, real)
    return _within(between, _reach(real, neighbours)), _within(
        between.T, _reach(drawn, neighbours)
    )


def _reach(points: Tensor, neighbours: int) -> Tensor:
    """Return the distance of each point to its k-th nearest other one, (N,)."""
    kth = min(neighbours, len(points) - 1) + 1  # itself counts
    return torch.cdist(points, points).kthvalue(kth, dim=1).values


def _within(between: Tensor, reach: Tensor) -> float:
    return (between <= reach).any(1).double().mean().item()
