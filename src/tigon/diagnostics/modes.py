"""Compare chains that start from the prior with a model's own chains.

Chains that start side by side agree wherever they are, so R-hat among them sees only one mode.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.diagnostics.probes import LatentProbe
from tigon.learners.abilities import InfersLatents
from tigon.mcmc.chain import MCMC
from tigon.precision import wide
from tigon.random.streams import Rng

CLEARLY = 3.0  # spreads


class ModesProbe(NamedTuple):
    """C chains from the prior compared with the model's own, for each of B images.

    Attributes:
        gain: mean log-density minus that of the image's own chains, in nats, (C, B)
        spread: standard deviation of the difference between states of the two, at least 1 nat,
            (C, B)
        apart: distance between their mean positions relative to the width of both, in the
            coordinate where it is largest, (C, B)
    """

    gain: Tensor
    spread: Tensor
    apart: Tensor

    @property
    def higher(self) -> Tensor:
        """Images for which a chain ended clearly higher than their own chains, (B,)."""
        return (self.gain > CLEARLY * self.spread).any(0)

    @property
    def elsewhere(self) -> Tensor:
        """Other images for which a chain ended equally high at another position, (B,)."""
        return (self._as_high & (self.apart > CLEARLY)).any(0) & ~self.higher

    @property
    def found(self) -> Tensor:
        """Other images for which a chain ended at the position of their own chains, (B,)."""
        found = (self._as_high & (self.apart <= CLEARLY)).any(0)
        return found & ~self.higher & ~self.elsewhere

    @property
    def lower(self) -> Tensor:
        """Images for which all chains ended clearly lower, (B,)."""
        return ~(self.higher | self.elsewhere | self.found)

    @property
    def _as_high(self) -> Tensor:
        return self.gain.abs() <= CLEARLY * self.spread


def probe_modes(
    learner: InfersLatents,
    batch: Batch,
    own: LatentProbe,
    begin: Tensor,
    rng: Rng,
    steps: int = 60,
) -> ModesProbe:
    """Compare chains that came from the prior with those around the inferred latents.

    They continue with the learner's kernel and step size; `steps // 2` steps are discarded first.

    Arguments:
        batch: the images of `own`
        own: their chains that started at the inferred latents
        begin: points of C chains per image, (B * C, d); those of an image are adjacent
        rng: one generator, or one stream per chain
        steps: steps of each chain, >= 2
    """
    count = len(begin) // len(batch.index)
    repeated = batch.take(torch.arange(len(batch.index)).repeat_interleave(count))
    first, run = MCMC(learner.chains.kernel, steps // 2), MCMC(learner.chains.kernel, steps)
    sizes = learner.step_sizes(begin)
    with learner.chain_density(repeated) as log_density:
        draws = first.run(log_density, begin, rng, sizes)
        draws = run.run(log_density, draws.state, rng, keep=1)
    assert draws.trajectory is not None and draws.log_densities is not None
    points = draws.trajectory.unflatten(1, (-1, count)).transpose(1, 2)
    return compared(points, draws.log_densities.unflatten(1, (-1, count)).transpose(1, 2), own)


def compared(points: Tensor, log_densities: Tensor, own: LatentProbe) -> ModesProbe:
    """Compare chains (K, C, B, d) with log-densities (K, C, B) with the images' own chains.

    A chain that is not finite counts as infinitely lower.
    """
    home, values = wide(own.points), wide(own.log_densities)
    points, log_densities = wide(points), wide(log_densities)
    gain = log_densities.mean(0) - values.mean((0, 1))
    variance = log_densities.var(0) + values.flatten(0, 1).var(0)
    away = (points.mean(0) - home.mean((0, 1))).abs()
    width = (points.var(0) + home.flatten(0, 1).var(0)).sqrt().clamp(min=1e-12)
    return ModesProbe(
        torch.nan_to_num(gain, nan=-torch.inf),
        torch.nan_to_num(variance, nan=1.0).sqrt().clamp(min=1),
        (away / width).amax(-1),
    )
