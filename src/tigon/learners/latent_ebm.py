r"""Learns a generator together with the prior of its latents.

Inferred latents z_i and draws z'_i of the prior, as many, give the gradient of the prior's
parameters by contrast, and that of the decoder's is (3) as before:

.. math:: \nabla_\alpha \log p(y) = E_{p(z | y)}[\nabla_\alpha f_\alpha(z)]
          - E_{p_\alpha(z)}[\nabla_\alpha f_\alpha(z)]

Where the base of the prior is a mixture of normal densities, the EM algorithm fits it to the
latents of all images (`densities.mixture`): by two sweeps each time all latents have moved, on
average, and anew after 1, 2, 4, 8, ... such times, since clusters show only as the model learns.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tigon.data.batches import Batch, even_rows
from tigon.densities.mixture import GaussianMixture
from tigon.learners.base import Metrics, Optimizers, mean_over
from tigon.learners.expansion import Affine
from tigon.learners.generator import METRICS, GeneratorLearner
from tigon.learners.metrics import Metric
from tigon.mcmc.store import ChainStore
from tigon.models.energy_prior import EnergyPrior
from tigon.models.generator import GeneratorModel
from tigon.random.streams import Rng, make_rng

ANEW, AGAIN, MOST = 20, 2, 10_000  # sweeps of EM, anew or again; latents that it is fitted to


class LatentEBMLearner(GeneratorLearner):
    """Learns a generator whose prior is an `EnergyPrior`; the arguments are those of its parent.

    Parameter expansion maps the latents of decoder and tilt alike, and a mixture with them: f(z)
    of every latent and its tilt stay as they are, so that what is left to the prior is the shape
    of their distribution.

    Raises:
        ValueError: if the model has another prior
    """

    metrics = (
        *METRICS,
        Metric(
            "prior_gap",
            "Gap of the prior",
            "nats",
            caption="Mean tilt of draws from the prior minus that of the inferred latents. At the "
            "maximum of the likelihood it is 0 on average, for any tilt.",
            brief="how much likelier draws from the prior look than inferred latents: 0 is best",
            marks={"0": 0.0},
            figure="prior-gap",
        ),
    )

    def __init__(self, model: GeneratorModel, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        if not isinstance(model.prior, EnergyPrior):
            raise ValueError(f"the prior is a {type(model.prior).__name__}, not an EnergyPrior")
        super().__init__(model, *arguments, **options)
        self._drawn: Tensor | None = None
        self._unfitted = 0  # latents that moved since the mixture was fitted
        self._fits = 0  # how often it was

    @property
    def prior(self) -> EnergyPrior:
        """The prior that is learned."""
        assert isinstance(self.model.prior, EnergyPrior)
        return self.model.prior

    def entered(self) -> dict[str, nn.Module]:
        """Return the decoder and the tilt."""
        return {"model.network": self.model.network, "model.prior.network": self.prior.network}

    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Move the latents of the batch by (2), and draw as many from the prior."""
        latents = super().run_chains(batch, rng)
        self._drawn = self.prior.sample(latents, rng)
        self._unfitted += batch.size
        return latents

    @property
    def mixture(self) -> GaussianMixture | None:
        """The base of the prior, if it is a mixture that is fitted."""
        return self.prior.base if isinstance(self.prior.base, GaussianMixture) else None

    def after_update(self, optimizer: Optimizers) -> None:
        """Expand, and fit the mixture if it is time."""
        super().after_update(optimizer)
        if self.mixture is None or self._unfitted < self.count:
            return
        latents = self._of_rows(even_rows(self.count, MOST))
        if latents.isfinite().all():  # else the guard sees to them
            self._fits += 1
            if self._fits.bit_count() == 1:
                self.mixture.fit(latents, ANEW, make_rng("mixture", self._fits))
            else:
                self.mixture.fit(latents, AGAIN)
        self._unfitted = 0

    def follow(self, affine: Affine) -> None:
        """Map the mixture with the latents."""
        if self.mixture is not None:
            self.mixture.map(*affine)

    def chain_tensors(self) -> dict[str, Tensor]:
        """Return the chains' rows and state, and when the mixture is fitted next."""
        counts = {"unfitted": torch.tensor(self._unfitted), "fits": torch.tensor(self._fits)}
        return super().chain_tensors() | counts

    def load_chains(self, tensors: dict[str, Tensor], files: ChainStore | None = None) -> None:
        """Load chains and their state."""
        super().load_chains(tensors, files)
        if "unfitted" in tensors:
            self._unfitted, self._fits = int(tensors["unfitted"]), int(tensors["fits"])

    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return (3) plus the contrast of prior draws with inferred latents, as means."""
        loss, metrics = super().forward(batch, samples)
        assert self._drawn is not None
        contrast = self.prior.tilt(self._drawn) - self.prior.tilt(samples)
        loss = loss + contrast.sum() / batch.size
        return loss, metrics | {"prior_gap": mean_over(contrast.detach(), batch)}
