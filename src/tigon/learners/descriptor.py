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

A model with coarser grids learns them all at once: each grid's chains go on from what the coarser
ones synthesised, each grid has its own (6), between its samples and the observed images averaged
to its size, and no gradient passes between grids.

Where values of the observed images are missing, chains complete them first, given the others:
see `EnergyModel.complete`. With draws of the missing values from the current density, (6) is the
gradient of the likelihood of the observed ones (Fisher's identity). Each grid learns from the
completed images averaged to its size, so that the observed values reach all grids.

References:
    Gao, Lu, Zhou, Zhu and Wu, "Learning generative ConvNets via multi-grid modeling and sampling",
    CVPR 2018.
    Xie, Lu, Zhu and Wu, "A theory of generative ConvNet", ICML 2016.
    Nijkamp, Hill, Zhu and Wu, "Learning non-convergent non-persistent short-run MCMC toward
    energy-based model", NeurIPS 2019.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from tigon.choices import require_choice
from tigon.data.batches import MOST, Batch, ImageData, colours_of
from tigon.data.datasets import as_data
from tigon.data.pixels import reduced, saturations
from tigon.densities.compiled import Compiled
from tigon.densities.log_density import LogDensity, frozen, mode
from tigon.distributed import all_sum
from tigon.learners.agreement import energy_distance
from tigon.learners.base import Learner, Metrics, contrastive_loss, mean_over, spread
from tigon.learners.metrics import GAP, SATURATION, Metric
from tigon.mcmc.chain import MCMC, Trace
from tigon.models.energy import EnergyModel
from tigon.random.streams import Rng, RowRng
from tigon.sizes import ImageSize, image_size, sides, size_text

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

BY_GRID = ("gap", "saturation", "energy_distance", "spread", "rise")  # logged of coarser ones too


def of_grid(name: str, size: ImageSize) -> str:
    """Return what a metric of a coarser grid is logged as, such as `gap_8`."""
    return f"{name}_{size_text(size)}"


def grid_metrics(sizes: list[ImageSize]) -> tuple[Metric, ...]:
    """Return the metrics of a descriptor by grids: those of the finest, and of each coarser one.

    Arguments:
        sizes: sizes of the grids, the coarsest first
    """
    of_each = [metric for metric in METRICS if metric.name in BY_GRID]
    coarser = [
        replace(
            metric,
            name=of_grid(metric.name, size),
            title=f"{metric.title} of grid {size_text(size)}",
            progress="",
            figure="",
        )
        for size in sizes[:-1]
        for metric in of_each
    ]
    return (*METRICS, *coarser)


class DescriptorLearner(Learner):
    """Trains an energy-based model with short chains from mean images, grid after grid.

    Arguments:
        model: the descriptor, with its chains and start images; see `start_images`
        batch_statistics: let the images of a batch share batch statistics while chains run, as
            the original code did; for comparison only
        in_batches: during training, start each chain from the mean colour of its own image in
            the batch; the model's start images, which cover only some images, are then used
            only by `sample` and `show`
        compiled: run chains on a `Compiled` log-density during training
        completing: values of the images are missing, and chains complete them at each iteration;
            if not given, the first batch says it
    """

    metrics: tuple[Metric, ...] = METRICS
    masks = True
    measure = "energy_distance"
    model: EnergyModel

    def __init__(
        self,
        model: EnergyModel,
        batch_statistics: bool = False,
        in_batches: bool = False,
        compiled: bool = False,
        completing: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.batch_statistics, self.in_batches = batch_statistics, in_batches
        self._compiled = [Compiled(grid) if compiled else None for grid in model.grids]
        self.completing = completing
        self._traces: list[Trace] = []
        self._completed: Tensor | None = None  # the batch's images, if values are missing
        self.metrics = grid_metrics(self.sizes)

    @property
    def sizes(self) -> list[ImageSize]:
        """Sizes of the grids, the coarsest first."""
        return [image_size(*grid.image_shape[1:]) for grid in self.model.grids]

    @property
    def chains(self) -> MCMC:
        """Kernel and steps from a start image to a synthesised one, on the finest grid."""
        return self.model.chains

    def start(self, index: Tensor) -> Tensor:
        """Return where the chains of training images `index` (B,) start, (B, C, H, W)."""
        return self.model.start(index)

    def of_grids(self) -> list["DescriptorLearner"]:
        """Return learners of the samplers that end at each grid, the coarsest first."""
        learners = [DescriptorLearner(grid, self.batch_statistics) for grid in self.model.grids]
        for learner in learners:
            learner.precision = self.precision
        return learners

    @property
    def evaluations_per_example(self) -> float:
        """Those of the chains, and two for the update: observed and synthesised.

        Chains that complete images cost as much as those that synthesise them, and the update
        then compares each with the other's missing values, too. A pass on a coarser grid counts
        by its number of pixels.
        """
        pixels = self.model.image_shape[1:]
        return sum(
            (1 + self.completing)
            * (grid.chains.gradient_evaluations + 2)
            * math.prod(grid.image_shape[1:])
            / math.prod(pixels)
            for grid in self.model.grids
        )

    @contextmanager
    def chain_density(self, batch: Batch) -> Iterator[LogDensity]:
        """Yield the finest grid's log-density, with the parameters frozen."""
        with frozen(self.model), mode(self.model, self.batch_statistics), self.products():
            yield self.model

    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Synthesise one image for each image of the batch, (B, C, H, W), with (5)."""
        self._traces = self._run(batch, rng)
        self._completed, self.completing = None, batch.mask is not None
        if self.completing:
            self._completed = self.completed(batch, rng).images
        return self._traces[-1].x

    def completed(self, batch: Batch, rng: Rng) -> Batch:
        """Return a batch of this model's size with chains' ends in the place of missing values."""
        if batch.mask is None:
            return batch
        starts = self._starts_of(batch)
        with self.products():
            images = self.model.complete(
                batch.images, batch.mask, rng, starts, self.batch_statistics
            )
        return batch._replace(images=images, mask=None)

    def _run(self, batch: Batch, rng: Rng, keep: int = 0) -> list[Trace]:
        """Run the chains of a batch and return the trace of each grid."""
        starts, densities = self._starts_of(batch), None if keep else self._compiled
        with self.products():
            return self.model.run_grids(starts, rng, keep, self.batch_statistics, densities)

    def _starts_of(self, batch: Batch) -> Tensor:
        """Return where the chains of a batch start during training, on the coarsest grid."""
        if self.in_batches:
            return colours_of(batch)[:, :, None, None]
        return self.model.grids[0].start(batch.index)

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
        r"""Return the sum of (6) over the grids; the gap is (6) of the finest one.

        It is in nats per dimension of f, and 0 if both agree. Divided by the chains' temperature,
        it is in nats per dimension of the density that they target. Rise is the increase of the
        log-density along the chains, in nats per dimension. See `spread`, and `energy_distance`,
        which is undefined for one image of several.

        Where values x_m of an image are missing, c are those that chains completed it with, and
        :math:`\tilde x` what was synthesised beside it. Both c and :math:`\tilde x_m` are on both
        sides of the contrast:

        .. math:: \tfrac12 [f(x_o, c) - f(\tilde x_o, c)] +
            \tfrac12 [f(x_o, \tilde x_m) - f(\tilde x_o, \tilde x_m)]

        Of draws of p, (x_o, c) and :math:`\tilde x` are alike, and so are the crossed ones, so
        that nothing is left to learn where the observed values follow p. But short chains are not
        draws: in :math:`f(x_o, c) - f(\tilde x)`, f is raised wherever they complete images,
        which draws them further there, and out of all bounds.

        Raises:
            ValueError: if there are coarser grids, or missing values, whose chains have not run
        """
        mask = batch.mask
        if mask is not None:
            if self._completed is None:
                raise ValueError("the missing values have no samples: call run_chains first")
            batch = batch._replace(images=self._completed, mask=None)
        self.gradient_evaluations += self.evaluations_per_example * batch.size
        traces: list[Trace | None] = [*self._traces] or [None]
        if len(traces) != len(self.model.grids):
            raise ValueError("the coarser grids have no samples: call run_chains first")
        loss = samples.new_zeros(())
        metrics: Metrics = {}
        for grid, size, trace in zip(self.model.grids, self.sizes, traces, strict=True):
            finest = grid is self.model
            shown = samples if finest or trace is None else trace.x
            observed = batch._replace(images=reduced(batch.images, sides(size)))
            seen = None if mask is None else grid.seen(batch.images, mask)[1] > 0
            part, found = self._learned(grid, observed, shown, trace, seen)
            loss = loss + part
            logged = {of_grid(n, size): v for n, v in found.items() if n in BY_GRID}
            metrics |= found if finest else logged
        starts = self.model.enlarged(self._starts_of(batch))
        metrics["start_spread"] = spread(starts, batch.images, batch)
        return loss, metrics

    def _learned(
        self,
        grid: EnergyModel,
        batch: Batch,
        samples: Tensor,
        trace: Trace | None,
        seen: Tensor | None = None,
    ) -> tuple[Tensor, Metrics]:
        """Return (6) of a grid and its metrics, given its observed images and samples.

        Arguments:
            seen: where the grid's images count as observed, if some of their values are missing
        """
        images = batch.images
        with self.products():
            observed = grid.observed(images).to(samples.dtype)
            synthesised = grid.network(samples).to(samples.dtype)
        end = synthesised.detach()
        if seen is not None and not seen.all():
            with self.products():
                crossed = grid.observed(torch.where(seen, images, samples)).to(samples.dtype)
                other = grid.network(torch.where(seen, samples, images)).to(samples.dtype)
            observed, synthesised = (observed + crossed) / 2, (synthesised + other) / 2
        loss, metrics = contrasted(observed, synthesised, samples, batch)
        dim = samples.shape[1:].numel()
        if trace is not None:
            end = end + grid.reference(samples)
            metrics["accept"] = mean_over(trace.accept_prob, batch)
            metrics["rise"] = mean_over((end - trace.before) / dim, batch)
        if batch.size > 1 or batch.among in (None, 1):
            metrics["energy_distance"] = energy_distance(samples, batch.images, batch)
        return loss, metrics

    def show(self, count: int) -> Tensor:
        """Return the ends of chains from the first `count` start images, with separate noise."""
        index = torch.arange(count, device=self.model.device)
        return self.synthesise(index, RowRng(0, 0, index, "show"))

    def sample(self, count: int, rng: Rng, chunk: int = 64) -> Tensor:
        """Run one chain per start image, (count, C, H, W); see `EnergyModel.sample`."""
        with self.products():
            return self.model.sample(count, rng, chunk)

    def chains_finite(self, samples: Tensor) -> bool:
        """Return whether synthesised images, and completed ones if there are any, are finite."""
        completed = self._completed is None or bool(self._completed.isfinite().all())
        return completed and super().chains_finite(samples)

    def ran_away(self, batch: Batch, rng: Rng) -> bool:
        """Run the batch's chains again: did they leave the images' range on ordinary gradients?"""
        for trace, grid in zip(self._run(batch, rng, 1), self.model.grids, strict=True):
            left = left_on_ordinary_gradients(trace, grid.step_size)
            if left is not None:
                return left
        return False

    def scale_steps(self, factor: float) -> None:
        """Multiply the initial step size of chains, for synthesis and for `sample`."""
        self.model.scale_steps(factor)


def left_on_ordinary_gradients(trace: Trace, step_size: float) -> bool | None:
    """Return whether chains left the images' range by gradients no steeper than usual.

    Arguments:
        trace: with every state
        step_size: of the first step
    Returns:
        None if no chain left it
    """
    assert trace.trajectory is not None
    reach = trace.trajectory.flatten(2).abs().amax(2).nan_to_num(math.inf, math.inf)
    left = reach > FAR
    first = reach.gather(0, left.int().argmax(0, keepdim=True))[0][left.any(0)]
    return bool((first < STEEP * step_size**2 / 2).all()) if len(first) else None


def contrasted(
    f_observed: Tensor, f_synthesised: Tensor, samples: Tensor, batch: Batch
) -> tuple[Tensor, Metrics]:
    """Return (6), and the gap, saturation and spread of samples (B, C, H, W)."""
    loss = contrastive_loss(f_observed, f_synthesised, batch)
    return loss, {
        "gap": all_sum(loss.detach()) / samples.shape[1:].numel(),
        "saturation": mean_over(saturations(samples), batch),
        "spread": spread(samples, batch.images, batch),
    }
