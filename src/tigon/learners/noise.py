r"""The noise around f(z): how it is annealed, and how it is learned.

For given weights, the likelihood of a generator is maximal in sigma at

.. math:: \sigma^2 = \frac{1}{N D} \sum_i E\, \lVert Y_i - f(Z_i) \rVert^2,
          \qquad Z_i \sim p(z | Y_i)

with D values per image: the M-step of EM. The expectation is over draws from the posterior, which
the chains provide. The error at its mode would leave out the uncertainty of the latents.
`LearnedNoise` follows a running average of it, which is stochastic approximation EM.

References:
    Delyon, Lavielle and Moulines, "Convergence of a stochastic approximation version of the EM
    algorithm", Annals of Statistics 1999.
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 1999, equation (8).
"""

from dataclasses import dataclass

from torch import Tensor

from tigon.mcmc.schedules import Geometric

FIRST = 0.3  # initial value of a learned sigma
LONGEST = 100  # iterations that its running average covers, at most


@dataclass(frozen=True)
class Annealing:
    """Start with more observation noise than the model has, so latents settle before freezing.

    The sigma of chains and loss falls geometrically from `start` to the model's own over the first
    part of the run, and equals it for the rest. The model's own sigma does not change.

    Arguments:
        start: sigma at the start, on the scale of [-1, 1], > 0
        until: when the model's own sigma is reached, as a fraction of the run in [0, 1]
    """

    start: float = 2.0
    until: float = 0.3

    def sigma(self, own: float, progress: float) -> float:
        """Return sigma at `progress` in [0, 1] through the run, towards the model's `own`."""
        return Geometric(self.start, own, self.until)(progress)


@dataclass(frozen=True)
class LearnedNoise:
    """Learn sigma by maximum likelihood, from the residuals of the chains.

    A few images can be reproduced exactly. Their likelihood then grows without bound as sigma
    falls to 0, and posteriors narrow until no chain moves. A floor prevents this.

    Arguments:
        floor: smallest value of sigma, > 0; 0.01 is 1.3 of 255 grey levels, hardly more than the
            rounding error
    """

    floor: float = 0.01

    def __post_init__(self) -> None:
        if not self.floor > 0:
            raise ValueError(f"the floor of a learned sigma must be above 0, not {self.floor}")

    def update(self, sigma: Tensor, error: Tensor, part: float) -> None:
        """Move sigma (), in place, towards the root of the mean squared residual of a batch.

        sigma^2 is a running average over the last pass through the data, or over the last
        `LONGEST` iterations if a pass takes longer.

        Arguments:
            error: mean over images and values of (y - f(z))^2 at the chains' latents z, ()
            part: fraction of all images that are in the batch, in (0, 1]
        """
        weight = max(part, 1 / LONGEST)
        average = (1 - weight) * sigma**2 + weight * error
        sigma.copy_(average.sqrt().clamp(min=self.floor))
