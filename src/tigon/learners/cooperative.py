r"""Learns a generator by real inference, and a descriptor that revises its images.

The generator learns from the images themselves, with the latents that chains infer (2), (3). After
its `lead`, as many images :math:`\hat y = f(z)`, z from the prior, start the descriptor's chains
(5), and their ends and the observed images are the contrast (6) that the descriptor learns from,
both on its grid; see `CooperativeModel`. With `teach` above 0 the generator learns from the
revised images :math:`\tilde y`, too, whose latents are known:

.. math:: \frac{w}{2\sigma^2} \lVert \tilde Y_i - f(\tilde Z_i; W) \rVert^2

Where values are missing, the images that the descriptor learns from have f(z), at the latents that
chains infer, in their place.

References:
    Xie, Lu, Gao, Zhu and Wu, "Cooperative training of descriptor and generator networks",
    IEEE TPAMI 2020: the generator learns from the revision alone there (w = 1), and from no
    observed image.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.densities.log_density import LogDensity, frozen, mode, sum_event
from tigon.learners import descriptor
from tigon.learners.base import (
    Learner,
    Metrics,
    Optimizers,
    forget_moments,
    mean_over,
    spread,
)
from tigon.learners.descriptor import contrasted, left_on_ordinary_gradients
from tigon.learners.generator import METRICS, GeneratorLearner
from tigon.learners.metrics import Metric, by_name
from tigon.mcmc.chain import MCMC, Trace
from tigon.mcmc.store import ChainStore
from tigon.models.base import drawn_in_parts
from tigon.models.cooperative import CooperativeModel
from tigon.random.streams import Rng, RowRng
from tigon.sizes import image_size, sides

TOGETHER = 64  # images that are drawn at once


class Revision(NamedTuple):
    """Images that the generator proposed, and what chains made of them.

    Attributes:
        latents: z, (B, d), draws from the prior
        proposed: f(z), (B, C, H, W)
        ends: of the chains, on the descriptor's grid, (B, C, h, w)
        revised: (B, C, H, W)
    """

    latents: Tensor
    proposed: Tensor
    ends: Tensor
    revised: Tensor


REVISED = (
    replace(
        by_name(descriptor.METRICS, "gap"),
        title="Gap of the revision",
        caption="Mean f(revised) - mean f(observed) of the descriptor, in nats per dimension: a "
        "healthy gap fluctuates around 0 and stays within the dashed band. There is none while "
        "the generator learns alone.",
        brief="mean f(revised) - mean f(observed) of the descriptor, in nats per dimension, once "
        "it learns: it fluctuates around 0",
        short="gap",
        figure="gap",
        optional=True,
    ),
    replace(by_name(descriptor.METRICS, "saturation"), progress="", optional=True),
    Metric(
        "moved",
        "What the revision moves",
        caption="Mean squared difference between revised images and those that the generator "
        "proposed, on the scale of [-1, 1]: what the descriptor adds. Near 0 it adds nothing; as "
        "large as the images' variance, it does not need the generator.",
        brief="mean squared difference between revised and proposed images",
        figure="moved",
        optional=True,
    ),
    Metric(
        "revised_spread",
        "Spread of the revised images",
        healthy=(0.1, 10.0),
        caption="How much revised images differ among themselves, relative to training images: 1 "
        "is best.",
        marks={"training images": 1.0},
        optional=True,
    ),
)


class CooperativeLearner(GeneratorLearner):
    """Learns the generator and the descriptor of a `CooperativeModel`.

    Arguments:
        model: both of them
        count, and options: those of `GeneratorLearner`
        lead: share of the run in which the generator learns alone, in [0, 1)
        teach: w, weight of the revised images in the generator's loss, >= 0
    Raises:
        ValueError: if the model has no descriptor, or a number is out of its range
    """

    metrics = (*METRICS, *REVISED)
    model: CooperativeModel

    def __init__(
        self,
        model: CooperativeModel,
        *arguments: Any,  # noqa: ANN401
        lead: float = 0.5,
        teach: float = 0.0,
        **options: Any,  # noqa: ANN401
    ) -> None:
        if not isinstance(model, CooperativeModel):
            raise ValueError(f"the model is a {type(model).__name__}, not a CooperativeModel")
        if not 0 <= lead < 1 or not teach >= 0:
            raise ValueError(f"lead is in [0, 1), teach at least 0, not {lead} and {teach}")
        super().__init__(model, *arguments, **options)
        self.lead, self.teach = lead, teach
        self.revising = lead == 0
        self._revision: Revision | None = None
        whole = model.image_shape[1:]
        grid = sides(model.descriptor.image_size or image_size(*whole))
        self._pixels = math.prod(grid) / math.prod(whole)
        self._completed = torch.empty(0)  # the batch's images, as the descriptor sees them

    def begin(self, progress: float) -> None:
        """Set the run's `progress`; once the descriptor learns, it goes on in a longer run."""
        super().begin(progress)
        self.revising = self.revising or progress >= self.lead

    @property
    def evaluations_per_example(self) -> float:
        """The generator's, and once it learns the descriptor's: chains, revised and observed.

        A pass on a coarser grid counts by its number of pixels.
        """
        return self._evaluations(self.revising)

    def evaluations_at(self, progress: float) -> float:
        """Return those of an iteration at `progress`: is its descriptor learning yet?"""
        return self._evaluations(self.revising or progress >= self.lead)

    def _evaluations(self, revising: bool) -> float:
        own = super().evaluations_per_example
        if not revising:
            return own
        taught = 1 if self.teach else 0
        revised = self.model.descriptor.chains.gradient_evaluations + 2
        return own + self._pixels * revised + taught

    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Move the latents of the batch by (2); revise as many images of the generator by (5)."""
        latents = super().run_chains(batch, rng)
        self._revision = self.revision(len(latents), rng) if self.revising else None
        self._completed = self.completed(batch, rng).images if self.revising else batch.images
        return latents

    def revision(self, count: int, rng: Rng) -> Revision:
        """Propose `count` images and revise them."""
        latents, proposed = self.model.propose(count, rng)
        with self.products():
            starts = self.model.on_grid(proposed)
            ends = self.model.descriptor.run_chains(starts, rng).x
        return Revision(latents, proposed, ends, self.model.carried(proposed, ends))

    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return (3) for the generator, plus (6) for the descriptor once it learns."""
        loss, metrics = super().forward(batch, samples)
        if self._revision is None:
            unused = sum(p.sum() for p in self.model.descriptor.parameters())
            return loss + 0.0 * unused, metrics  # all processes wait for all gradients
        latents, proposed, ends, revised = self._revision
        network = self.model.descriptor.network
        if batch.mask is not None:
            batch = batch._replace(images=self._completed, mask=None)
        coarse = batch._replace(images=self.model.on_grid(batch.images))
        with self.products():
            observed, synthesised = network(coarse.images), network(ends)
        contrast, found = contrasted(observed.to(loss), synthesised.to(loss), ends, coarse)
        if self.teach:
            with self.products():
                decoded = self.model(latents).to(revised.dtype)
            weight = self.teach / batch.size / (2 * self.chain_sigma**2)
            loss = loss + weight * sum_event((revised - decoded) ** 2).sum()
        moved = ((revised - proposed) ** 2).flatten(1).mean(1)
        return loss + contrast, metrics | {
            "revised_spread": found.pop("spread"),
            "proposed_spread": spread(self.model.on_grid(proposed), coarse.images, coarse),
            "moved": mean_over(moved, batch),
            **found,
        }

    def after_update(self, optimizer: Optimizers) -> None:
        """Expand latents as any generator does; a descriptor that waits has no Adam moments."""
        super().after_update(optimizer)
        if not self.revising:
            for parameter in self.model.descriptor.parameters():
                forget_moments(optimizer, parameter)

    @torch.no_grad()
    def sample(self, count: int, rng: Rng, noise: bool = False) -> Tensor:
        """Draw images and revise them; see `CooperativeModel.sample`."""
        if noise:  # which is refused
            return self.model.sample(count, rng, noise)

        def draw(part: range, streams: Rng) -> Tensor:
            return self.revision(len(part), streams).revised

        return drawn_in_parts(count, rng, TOGETHER, draw)

    def chains_finite(self, samples: Tensor) -> bool:
        """Return whether latents, and revised images if there are any, are finite."""
        revised = self._revision is None or bool(self._revision.revised.isfinite().all())
        return revised and super().chains_finite(samples)

    def ran_away(self, batch: Batch, rng: Rng) -> bool:
        """Revise the proposals again: did chains leave the range on ordinary gradients?"""
        if self._revision is None:
            return False
        starts = self.model.on_grid(self._revision.proposed)
        with self.products():
            trace = self.model.descriptor.run_chains(starts, rng, keep=1)
        return bool(left_on_ordinary_gradients(trace, self.model.descriptor.step_size))

    def chain_tensors(self) -> dict[str, Tensor]:
        """Return those of the latents, and whether the descriptor has begun to learn."""
        return super().chain_tensors() | {"revising": torch.tensor(self.revising)}

    def load_chains(self, tensors: dict[str, Tensor], files: ChainStore | None = None) -> None:
        """Load latents, and whether the descriptor has begun to learn."""
        super().load_chains(tensors, files)
        if "revising" in tensors:
            self.revising = bool(tensors["revising"])

    def adopt(self, other: Learner) -> None:
        """Begin with the weights and latents of another; the descriptor waits for this lead."""
        super().adopt(other)
        self.revising = self.lead == 0

    def scale_steps(self, factor: float) -> None:
        """Multiply the step sizes of both kinds of chains."""
        super().scale_steps(factor)
        self.model.descriptor.scale_steps(factor)


class Reviser:
    """The chains of a cooperative model's descriptor, which start at proposals; for diagnosis.

    Its images are on the descriptor's grid.

    Arguments:
        learner: whose model's descriptor it is
    """

    batch_statistics: bool = False

    def __init__(self, learner: CooperativeLearner) -> None:
        self.learner, self.model = learner, learner.model.descriptor

    @property
    def chains(self) -> MCMC:
        """Kernel and steps from a proposal to a revised image."""
        return self.model.chains

    @contextmanager
    def chain_density(self, batch: Batch) -> Iterator[LogDensity]:
        """Yield the descriptor's log-density, with the parameters frozen."""
        with frozen(self.model), mode(self.model, training=False), self.learner.products():
            yield self.model

    def completed(self, batch: Batch, rng: Rng) -> Batch:
        """Return a batch with f(z) in the place of missing values."""
        return self.learner.completed(batch, rng)

    def sample_chain(
        self, index: Tensor, rng: Rng, batch_statistics: bool = False, keep: int = 0
    ) -> Trace:
        """Run chains from one proposal for each of these rows (B,), always the same of a row."""
        streams = RowRng(0, 0, index.tolist(), "proposals")
        whole = self.learner.model
        _, proposed = whole.propose(len(index), streams)
        with self.learner.products():
            return self.model.run_chains(whole.on_grid(proposed), rng, keep)
