r"""Learns a generator together with the prior of its latents.

Inferred latents z_i and draws z'_i of the prior, as many, give the gradient of the prior's
parameters by contrast, and that of the decoder's is (3) as before:

.. math:: \nabla_\alpha \log p(y) = E_{p(z | y)}[\nabla_\alpha f_\alpha(z)]
          - E_{p_\alpha(z)}[\nabla_\alpha f_\alpha(z)]
"""

from typing import Any

from torch import Tensor, nn

from tigon.data.batches import Batch
from tigon.learners.base import Metrics, mean_over
from tigon.learners.generator import METRICS, GeneratorLearner
from tigon.learners.metrics import Metric
from tigon.models.energy_prior import EnergyPrior
from tigon.models.generator import GeneratorModel
from tigon.random.streams import Rng


class LatentEBMLearner(GeneratorLearner):
    """Learns a generator whose prior is an `EnergyPrior`; the arguments are those of its parent.

    Parameter expansion maps the latents of decoder and tilt alike: f(z) of every latent and its
    tilt stay as they are, so that what is left to the prior is the shape of their distribution.

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
        return latents

    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return (3) plus the contrast of prior draws with inferred latents, as means."""
        loss, metrics = super().forward(batch, samples)
        assert self._drawn is not None
        contrast = self.prior.tilt(self._drawn) - self.prior.tilt(samples)
        loss = loss + contrast.sum() / batch.size
        return loss, metrics | {"prior_gap": mean_over(contrast.detach(), batch)}
