r"""Train a descriptor by contrast: observed images against images that short chains synthesise.

Each iteration starts one chain per image of the batch at that image's start image, runs Langevin
dynamics (5) on the current density, and takes one gradient step on (6),

.. math:: \frac1n \sum_i f_\theta(\tilde Y_i) - \frac1n \sum_i f_\theta(Y_i)

Chains at temperature T target :math:`q = p^{1/T} / Z'`, not p: with T = 0.001 this is p^1000,
whose reference density is N(0, T scale^2 I), 0.022 wide, while that of p is 0.7 wide. With draws
from q, (6) has T times the gradient of the negative log-likelihood of q, so training is maximum
likelihood of q only insofar as chains reach q. Chains this short do not: the update is
contrastive, and what is learned is a sampler, from these starts with this many steps at this
temperature, not a density.

References:
    Xie, Lu, Zhu and Wu, "A theory of generative ConvNet", ICML 2016.
    Nijkamp, Hill, Zhu and Wu, "Learning non-convergent non-persistent short-run MCMC toward
    energy-based model", NeurIPS 2019.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from tigon.choices import require_choice
from tigon.data.batches import MOST, Batch, ImageData
from tigon.data.datasets import as_data
from tigon.data.pixels import saturations
from tigon.densities.compiled import Compiled
from tigon.densities.log_density import LogDensity, frozen, mode
from tigon.distributed import all_sum
from tigon.learners.agreement import energy_distance
from tigon.learners.base import Learner, Metrics, contrastive_loss, mean_over, spread
from tigon.learners.metrics import GAP, SATURATION, Metric
from tigon.mcmc.chain import MCMC, Trace
from tigon.models.energy import EnergyModel
from tigon.random.streams import Rng, RowRng

FAR, STEEP = 10.0, 1e4
Start = Literal["mean-colour", "mean-image"]


def start_images(images: ImageData | Tensor, start: Start) -> Tensor:
    """Return where chains start: each image's mean colour (N, C, 1, 1), or the set's mean image.

    The mean image is (1, C, H, W): all chains share it, and only their noise separates them. Mean
    colours are those of at most the first 4096 images; see `starts_in_batches`.

    Arguments:
        images: what `as_data` takes
    """
    require_choice("start", start, Start)
    images = as_data(images)
    if start == "mean-colour":
        return images.mean_colours(min(len(images), MOST))[:, :, None, None]
    return images.mean_image()[None]


def starts_in_batches(images: ImageData, start: Start) -> bool:
    """Return whether start images are computed from each batch, since there are too many."""
    require_choice("start", start, Start)
    return start == "mean-colour" and (images.streamed or len(images) > MOST)


METRICS = (
    Metric(
        "gap",
        "Gap",
        "nats per dimension of f",
        "near zero",
        (-GAP, GAP),
        "signed",
        "Mean f(synthesised) - mean f(observed) in nats per dimension: the original code's loss "
        "divided by the number of dimensions. Divided by the temperature T as well, it is in nats "
        "per dimension of p^(1/T), the density that the chains target. A healthy gap fluctuates "
        "around 0 and stays within the dashed band. One gradient evaluation is one forward and "
        "backward pass of the network over the whole set.",
        "mean f(synthesised) - mean f(observed), in nats per dimension of f (divided by the "
        "temperature, of the density that chains target): it fluctuates around 0",
        progress="+.3f",
        marks={"agreement": 0.0, "band": GAP, "_": -GAP},
        figure="figure-6-gap",
    ),
    Metric(
        "saturation",
        "Saturation",
        "per cent",
        "lower",
        (0.0, 100 * SATURATION),
        caption="Values of synthesised images outside [-1, 1] by more than 0.1, in per cent: 0 is "
        f"best, and below {100 * SATURATION:g} is healthy.",
        brief="the percentage of synthesised values well outside [-1, 1]: it stays small",
        progress=".1f",
        factor=100.0,
        figure="saturation",
    ),
    Metric(
        "energy_distance",
        "Energy distance",
        better="lower",
        caption="Distance between the distributions of synthesised and training images, on the "
        "scale of [-1, 1]: 0 is best, and means that both sets are equal. Its fluctuations grow "
        "with the learning rate.",
        figure="energy-distance",
        optional=True,
        follows_rate=True,
    ),
    Metric(
        "spread",
        "Spread",
        healthy=(0.1, 10.0),
        caption="How much synthesised images differ among themselves, relative to training "
        "images: 1 is best.",
        marks={"training images": 1.0},
    ),
    Metric(
        "rise",
        "Rise",
        "nats per dimension",
        caption="Increase of the log-density along the chains, from start to synthesised images.",
    ),
)


class DescriptorLearner(Learner):
    """Trains an energy-based model with short chains from mean images.

    Arguments:
        model: the descriptor, with its chains and start images; see `start_images`
        batch_statistics: let the images of a batch share batch statistics while chains run, as
            the original code did; for comparison only
        in_batches: during training, start each chain from the mean colour of its own image in
            the batch; the model's start images, which cover only some images, are then used
            only by `sample` and `show`
        compiled: run chains on a `Compiled` log-density during training
    """

    metrics = METRICS
    measure = "energy_distance"
    model: EnergyModel

    def __init__(
        self,
        model: EnergyModel,
        batch_statistics: bool = False,
        in_batches: bool = False,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.batch_statistics, self.in_batches = batch_statistics, in_batches
        self._compiled = Compiled(model) if compiled else None
        self._seen: dict[str, Tensor] = {}

    @property
    def chains(self) -> MCMC:
        """Kernel and steps from a start image to a synthesised one."""
        return self.model.chains

    def start(self, index: Tensor) -> Tensor:
        """Return where the chains of training images `index` (B,) start, (B, C, H, W)."""
        return self.model.start(index)

    @property
    def evaluations_per_example(self) -> int:
        """Those of the chain, and two for the update: observed and synthesised."""
        return self.chains.gradient_evaluations + 2

    @contextmanager
    def chain_density(self, batch: Batch) -> Iterator[LogDensity]:
        """Yield the model's log-density, with the parameters frozen."""
        with frozen(self.model), mode(self.model, self.batch_statistics), self.products():
            yield self.model

    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Synthesise one image for each image of the batch, (B, C, H, W), with (5)."""
        starts = self._starts_of(batch)
        with self.products():
            draws = self.model.run_chains(
                starts, rng, 0, self.batch_statistics, log_density=self._compiled
            )
        self._seen = {"accept": draws.accept_prob, "before": draws.before}
        return draws.x

    def _starts_of(self, batch: Batch) -> Tensor:
        """Return where the chains of a batch start during training, (B, C, H, W)."""
        if not self.in_batches:
            return self.model.start(batch.index)
        return batch.images.mean((2, 3), keepdim=True).expand_as(batch.images)

    def synthesise(self, index: Tensor, rng: Rng, batch_statistics: bool = False) -> Tensor:
        """Return the ends of chains from the start images of training images `index` (B,)."""
        return self.sample_chain(index, rng, batch_statistics).x

    def sample_chain(
        self, index: Tensor, rng: Rng, batch_statistics: bool = False, keep: int = 0
    ) -> Trace:
        """Run a chain from the start image of each training image `index` (B,).

        Arguments:
            keep: return every `keep`-th state; 0 none
        """
        with self.products():
            return self.model.sample_chain(index, rng, keep, batch_statistics)

    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return (6); the gap is (6) in nats per dimension of f, and 0 if both agree.

        Divided by the chains' temperature, it is in nats per dimension of the density that they
        target. Rise is the increase of the log-density along the chains, in nats per dimension.
        See `spread`, and `energy_distance`, which is undefined for one image of several.
        """
        self.gradient_evaluations += self.evaluations_per_example * batch.size
        with self.products():
            observed = self.model.network(batch.images).to(samples.dtype)
            synthesised = self.model.network(samples).to(samples.dtype)
        loss = contrastive_loss(observed, synthesised, batch)
        metrics = {
            "gap": all_sum(loss.detach()) / batch.images.shape[1:].numel(),
            **{
                name: mean_over(v, batch) for name, v in self._course(samples, synthesised).items()
            },
            "saturation": mean_over(saturations(samples), batch),
            "spread": spread(samples, batch.images, batch),
            "start_spread": spread(self._starts_of(batch), batch.images, batch),
        }
        if batch.size > 1 or batch.among in (None, 1):
            metrics["energy_distance"] = energy_distance(samples, batch.images, batch)
        return loss, metrics

    def _course(self, samples: Tensor, synthesised: Tensor) -> dict[str, Tensor]:
        """Return acceptance and rise (B,) of the chains that made the samples, if any."""
        if not self._seen:
            return {}
        end = synthesised.detach() + self.model.reference(samples)
        rise = (end - self._seen["before"]) / samples.shape[1:].numel()
        return {"accept": self._seen["accept"], "rise": rise}

    def show(self, count: int) -> Tensor:
        """Return the ends of chains from the first `count` start images, with separate noise."""
        index = torch.arange(count, device=self.model.device)
        return self.synthesise(index, RowRng(0, 0, index, "show"))

    def sample(self, count: int, rng: Rng, chunk: int = 64) -> Tensor:
        """Run one chain per start image, (count, C, H, W); see `EnergyModel.sample`."""
        with self.products():
            return self.model.sample(count, rng, chunk)

    def ran_away(self, batch: Batch, rng: Rng) -> bool:
        """Run the batch's chains again: did they leave the images' range on ordinary gradients?"""
        starts = self._starts_of(batch)
        with self.products():
            draws = self.model.run_chains(starts, rng, 1, self.batch_statistics)
        states = draws.trajectory
        assert states is not None
        reach = states.flatten(2).abs().amax(2).nan_to_num(math.inf, math.inf)
        left = reach > FAR
        first = reach.gather(0, left.int().argmax(0, keepdim=True))[0][left.any(0)]
        size = self.model.step_size
        return len(first) > 0 and bool((first < STEEP * size**2 / 2).all())

    def scale_steps(self, factor: float) -> None:
        """Multiply the initial step size of chains, for synthesis and for `sample`."""
        self.model.scale_steps(factor)
