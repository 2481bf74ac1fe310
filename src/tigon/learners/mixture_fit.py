"""When a mixture of normal densities is fitted to the latents of a generator that learns.

Two sweeps of EM follow each time that all latents have moved, on average, or 50 000 of more; and
after 1, 2, 4, 8, ... such times it is fitted anew, since clusters show only as the model learns.
"""

import torch
from torch import Tensor

from tigon.densities.mixture import GaussianMixture
from tigon.random.streams import make_rng

ANEW, AGAIN = 20, 2  # sweeps of EM
MOST = 50_000  # latents that move between fits: a run need not move all of a million
FURTHEST = 1e5  # latents that are further away, or not finite, are of no use to it


class MixtureFit:
    """Fits a mixture to latents whenever it is time.

    Arguments:
        mixture: it is changed in place
        count: number of latents that there are
    """

    def __init__(self, mixture: GaussianMixture, count: int) -> None:
        self.mixture, self.count = mixture, count
        self._moved = self._fits = 0

    def moved(self, count: int) -> None:
        """Note that so many latents have moved."""
        self._moved += count

    @property
    def due(self) -> bool:
        """Whether all latents, or enough of them, have moved since the last fit."""
        return self._moved >= min(self.count, MOST)

    def fit(self, latents: Tensor, anew: bool = False) -> None:
        """Fit the mixture to latents (n, d), unless some have run away.

        Arguments:
            anew: in any case, and not only if it is time
        """
        self._moved = 0
        if not (latents.abs() < FURTHEST).all():  # the guard sees to them
            return
        self._fits += 1
        if anew or self._fits.bit_count() == 1:
            self.mixture.fit(latents, ANEW, make_rng("mixture", self._fits))
        else:
            self.mixture.fit(latents, AGAIN)

    def tensors(self) -> dict[str, Tensor]:
        """Return when it is fitted next, to be saved with the chains."""
        return {"unfitted": torch.tensor(self._moved), "fits": torch.tensor(self._fits)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Load what `tensors` returned, if it is there."""
        if "unfitted" in tensors:
            self._moved, self._fits = int(tensors["unfitted"]), int(tensors["fits"])
