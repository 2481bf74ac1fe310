r"""Alternating back-propagation: learn a generator whose latents are inferred by MCMC.

Each iteration moves the batch's latents by Langevin dynamics on their posterior (2), then takes
one gradient step on

.. math:: \sum_i \frac{1}{2\sigma^2} \lVert Y_i - f(Z_i; W) \rVert^2 \qquad \text{(3)}

with each Z_i at its chain's current point. sigma is given, or learned (`learners.noise`). Where
the prior is a mixture of normal densities, or based on one, EM fits it to the latents of all
images (`learners.mixture_fit`).

References:
    Han, Lu, Zhu and Wu, "Alternating back-propagation for generator network", AAAI 2017.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tigon.data.batches import Batch, even_rows
from tigon.densities.gaussian import StandardNormal, reach
from tigon.densities.log_density import LogDensity, frozen, mode, sum_event
from tigon.densities.mixture import GaussianMixture
from tigon.distributed import Ownership, all_sum, world
from tigon.errors import TigonError
from tigon.learners.base import Learner, Metrics, Optimizers, mean_over, spread
from tigon.learners.expansion import Moments, absorb, moments, require_first, undo
from tigon.learners.linear_start import LinearStart
from tigon.learners.metrics import ACCEPT, Metric
from tigon.learners.mixture_fit import MixtureFit
from tigon.learners.noise import Annealing, LearnedNoise
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.mcmc.store import ChainStore
from tigon.mcmc.store_files import chunks, create
from tigon.models.generator import GeneratorModel, principal_directions
from tigon.random.streams import Rng, make_rng, rows

LONGEST_STEP = 1e30
MOVED = 0.1  # fraction of all latents that must move before their moments are measured again
FITTED = 10_000  # latents that a mixture is fitted to, at most


METRICS = (
    Metric(
        "reconstruction_error",
        "Reconstruction error",
        better="lower",
        axis="log",
        caption="Mean squared error of f(z) at the chains' latents, over the observed values, on "
        "the scale of [-1, 1]: lower is better. The original code prints it over 2 x 0.3^2. One "
        "gradient evaluation is one forward and backward pass of the network over the whole set.",
        brief="the mean squared error of f(z) at the chains' latents, on the scale of [-1, 1]: it "
        "falls",
        short="error",
        progress=".4f",
        figure="figure-4-loss",
    ),
    Metric(
        "accept",
        "Acceptance",
        healthy=ACCEPT,
        caption=f"Mean acceptance of the chains' proposals. Healthy is {ACCEPT[0]:g} to "
        f"{ACCEPT[1]:g}: lower if steps are too long, higher if they are too short; MALA mixes "
        "best near 0.574 (dashed). Unadjusted Langevin dynamics takes every step, which counts "
        "as 1.",
        brief="the fraction of the chains' proposals that is accepted: best near 0.57",
        progress=".2f",
        marks={"0.574": 0.574},
        figure="acceptance",
    ),
    Metric(
        "step_size",
        "Step size",
        axis="log",
        caption="Step size shared by all chains, in standard deviations of the prior. It follows "
        "the width of the posteriors, which narrow as the model learns: neither high nor low is "
        "better.",
        figure="step-size",
    ),
    Metric(
        "latent_std",
        "Standard deviation of the inferred latents",
        caption="The root of the mean variance over coordinates of the batch's latents, measured "
        "after they have moved and before parameter expansion restores the prior's 1 (dashed): "
        "far from 1 is a sign of bad chains, near 1 is no evidence of good ones.",
        marks={"prior": 1.0},
        figure="latent-deviation",
        value=lambda deviations: float(np.sqrt(np.mean(np.square(deviations)))),
    ),
    Metric(
        "latent_mean",
        "Mean of the inferred latents",
        caption="The mean of the batch's latents in the coordinate where it is furthest from 0, "
        "the prior's mean, before parameter expansion: far from 0 is a sign of bad chains, near 0 "
        "is no evidence of good ones.",
        figure="latent-mean",
        value=lambda means: float(np.abs(means).max()),
    ),
)


class GeneratorLearner(Learner):
    """Learns a generator with one persistent latent chain per image.

    Arguments:
        model: the generator; with `expand`, latents must enter its network only by a linear
            `.first`
        count: number of images in the data set, one chain each; or an existing store of chains
        chains: kernel and steps that move the latents at each iteration, and how their shared
            step size is adapted afterwards, if at all
        expand: whether to bring the latents' moments to the prior's after each update
            (`learners.expansion`)
        annealing: annealing of sigma over the run, for chains and loss only; none by default
        average_likelihood: weight the likelihood by 1/n and let chains share batch statistics, as
            the original code did; for comparison only
        rng: for the first latents, which are draws from the prior; seeded with 0 by default
        start: where chains start, and how the model's guess, if any, is fitted to them; by
            default at draws from the prior
        folder: keep the chains in files on this folder's disk, not in memory; one process only
        ownership: which process keeps which image's chain; by default row i belongs to process
            i mod size
        noise: how the model's sigma is learned; by default it is fixed

    The moments of all latents are measured, and expanded, each time a tenth of them has moved:
    at every update if a batch is that large. A mixture in the prior is mapped with the latents,
    and fitted to them each time all have moved.
    """

    metrics: tuple[Metric, ...] = METRICS
    measure = "reconstruction_error"
    masks = True
    model: GeneratorModel

    def __init__(
        self,
        model: GeneratorModel,
        count: int | ChainStore,
        chains: MCMC | None = None,
        expand: bool = False,
        annealing: Annealing | None = None,
        average_likelihood: bool = False,
        rng: Rng | None = None,
        folder: Path | None = None,
        ownership: Ownership | None = None,
        noise: LearnedNoise | None = None,
        start: LinearStart | None = None,
    ) -> None:
        if noise and average_likelihood:
            raise ValueError("sigma cannot be learned if the likelihood is averaged")
        super().__init__()
        self.ownership = ownership or Ownership()
        self.model, self.annealing, self.noise, self.start = model, annealing, noise, start
        self._progress, self._annealed = 1.0, annealing is None
        self._error: tuple[Tensor, float] | None = None  # the batch's, and its share of the set
        self.chains = chains or MCMC(MALA(0.1, jitter=0.9), 1, StepSizeAdaptation())
        if not isinstance(self.chains.adaptation, StepSizeAdaptation | None):
            raise ValueError("latent chains adapt by StepSizeAdaptation, or not at all")
        self.step_size, self.adapted = self.chains.kernel.step_size, 0
        self.expand = expand
        for network in self.entered().values() if expand else ():
            require_first(network, model.latent_dim)
        self.average_likelihood = average_likelihood
        self._seen: dict[str, Tensor] = {}
        if isinstance(count, ChainStore):
            if count.points.shape[1:] != (model.latent_dim,):
                raise ValueError(f"chains {count.points.shape}: latents have {model.latent_dim}")
            self.store, count = count, len(count)
        else:
            self.store = self._first_chains(count, rng or make_rng("latents", 0), folder, start)
        self.count = self._moved = count
        self._due, self._weight = False, 0.0
        self._fit = None if model.mixture is None else MixtureFit(model.mixture, count)
        self.moments = moments(self.store.parts)

    def _first_chains(
        self,
        count: int,
        rng: Rng,
        folder: Path | None,
        start: LinearStart | None,
    ) -> ChainStore:
        """Return chains at their start; all are drawn, whichever process owns them."""
        if folder is not None and world().size > 1:
            raise TigonError(
                "chains.store files: is for one process; with several, each keeps its own part of "
                "the chains in memory (--chains.store memory)"
            )
        like = self.like
        drawn = (
            (part, self.model.latents(part.stop - part.start, rows(rng, part), like))
            for part in chunks(count)
        )
        first = (start.latents(part, z) if start else z for part, z in drawn)
        if folder is None:
            store = ChainStore(torch.cat(list(first)))
        else:
            shape = (count, self.model.latent_dim)
            store = ChainStore.scratch(
                folder, lambda new: create(new, shape, lambda _: next(first).cpu())
            )
        if world().size == 1:
            return store
        return ChainStore(self.ownership.mine(store.points))

    @property
    def normal_prior(self) -> bool:
        """Whether the prior is N(0, I)."""
        return isinstance(self.model.prior, StandardNormal)

    @property
    def prior_moments(self) -> tuple[Tensor, Tensor] | None:
        """The prior's mean (d,) and covariance (d, d), as doubles; None if nobody knows them."""
        prior, dim = self.model.prior, self.model.latent_dim
        if isinstance(prior, GaussianMixture):
            return prior.moments()
        normal = torch.zeros(dim).double(), torch.eye(dim).double()
        return normal if self.normal_prior else None

    def entered(self) -> dict[str, nn.Module]:
        """Return the networks that latents enter, by their names in the learner.

        Expansion maps the first layer of each.

        Raises:
            ValueError: if latents with this prior cannot be expanded
        """
        if not (self.normal_prior or isinstance(self.model.prior, GaussianMixture)):
            raise ValueError(
                "parameter expansion is for latents of N(0, I), or of a mixture: expand=False"
            )
        return {"model.network": self.model.network}

    @property
    def like(self) -> Tensor:
        """A tensor with the model's type and device."""
        return next(self.model.parameters()).detach()

    @property
    def evaluations_per_example(self) -> float:
        """The chain's evaluations, and one for the update."""
        return self.chains.gradient_evaluations + 1

    def begin(self, progress: float) -> None:
        """Set the `progress`, in [0, 1], that gives the annealed sigma of chains and loss.

        Once annealing has ended, it is over, in a longer run, too.
        """
        self._annealed = self._annealed or bool(
            self.annealing and progress >= self.annealing.until
        )
        self._progress = 1.0 if self._annealed else progress

    @property
    def chain_sigma(self) -> float:
        """The sigma of chains and loss in this iteration: annealed, or the model's own."""
        own = self.model.sigma.item()
        return self.annealing.sigma(own, self._progress) if self.annealing else own

    @contextmanager
    def chain_density(self, batch: Batch, sigma: float | None = None) -> Iterator[LogDensity]:
        """Yield the posterior of this batch's latents, with the parameters frozen.

        It is the model's own posterior, unless another `sigma` is given.
        """
        weight = 1 / batch.size if self.average_likelihood else 1.0
        with frozen(self.model), mode(self.model, self.average_likelihood):
            yield self.model.posterior(batch.images, weight, sigma, mask=batch.mask)

    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        """Move the latents of the batch by (2), and return them, (B, d)."""
        place = self.ownership.slots(batch.index)
        here = self.store.read(place)
        chains = replace(self.chains, adaptation=None)
        with self.chain_density(batch, self.chain_sigma) as log_density:
            draws = chains.run(log_density, here, rng, self.step_sizes(here))
        self.store.write(place, draws.x)
        accepted = mean_over(draws.accept_prob, batch)
        self._seen = {"accept": accepted, "step_size": accepted.new_tensor(self.step_size)}
        self._adapt(accepted)
        self._moved += batch.size
        if self._fit is not None:
            self._fit.moved(batch.size)
        self._due = False
        if self._moved >= MOVED * self.count:
            self.measure_latents()
        return draws.x

    def step_sizes(self, latents: Tensor) -> Tensor:
        """Return the step sizes (B,) of chains at these latents (B, d): the same for all."""
        return latents.new_full(latents.shape[:1], self.step_size)

    def _adapt(self, accepted: Tensor) -> None:
        """Adapt the step size to a whole batch's mean acceptance, equally in all processes."""
        if isinstance(self.chains.adaptation, StepSizeAdaptation):
            self.step_size = self.chains.adaptation.adapted(
                self.step_size, accepted.item(), self.adapted
            )
            self.adapted += 1

    def measure_latents(self) -> None:
        """Measure the moments of all latents; the next update brings them to the prior's.

        The fewer have moved, the less weight the moments have.
        """
        self.moments = moments(self.store.parts)
        self._weight = self.moments.weight(min(1.0, self._moved / self.count))
        self._moved, self._due = 0, True

    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        """Return the batch mean of (3), so that the learning rate does not depend on its size.

        Where values are missing, (3) sums over those that were observed, and the metric
        `reconstruction_error` is that sum over the batch divided by their number.

        The metrics `latent_mean` and `latent_std` are of this batch's latents, after they have
        moved and before parameter expansion brings them to the prior's.
        """
        self.gradient_evaluations += self.evaluations_per_example * batch.size
        with self.products():
            decoded = self.model(samples).to(samples.dtype)
        residuals, sigma = batch.images - decoded, self.chain_sigma
        if self.model.residuals is not None:  # else S stays sigma^2 I
            self.model.residuals.update(batch, decoded, self.count)
        squares = residuals**2
        if batch.mask is not None:
            squares = squares * batch.mask
        loss = sum_event(squares).sum() / batch.size / (2 * sigma**2)
        error = error_of(squares.detach(), batch)
        observed = batch.completed(decoded.detach())
        self._error = error, batch.size / self.count
        middle = all_sum(samples.sum(0)) / batch.size
        return loss, {
            "sigma": loss.new_tensor(sigma),
            "reconstruction_error": error,
            **self._seen,
            "spread": spread(decoded, observed, batch),
            "latent_mean": middle,
            "latent_std": (all_sum(((samples - middle) ** 2).sum(0)) / batch.size).sqrt(),
        }

    def after_update(self, optimizer: Optimizers) -> None:
        """Learn sigma, then expand: bring latents closer to the prior's moments, keeping f(z).

        And fit a mixture to them, if it is time.
        """
        if self.noise and self._error:
            self.noise.update(self.model.sigma, *self._error)
        if self.expand and self._due:
            self._expand(optimizer)
        if self._fit is not None and self._fit.due:
            self._fit.fit(self._fitted_latents())

    def _expand(self, optimizer: Optimizers) -> None:
        firsts: dict[str, nn.Linear] = {
            f"{name}.first": network.first  # type: ignore[misc]
            for name, network in self.entered().items()
        }
        centred = all(first.bias is not None for first in firsts.values())
        affine = self.moments.affine(self._weight, centred)
        for name, first in firsts.items():
            absorb(affine, first, optimizer)
            if self.averaged is not None:
                bias = self.averaged.get(f"{name}.bias")
                undo(affine, self.averaged[f"{name}.weight"], bias)
        self.store.replace(affine.apply)
        if self.model.mixture is not None:
            self.model.mixture.map(*affine)
        if self.chains.adaptation is not None:  # otherwise the user chose it for N(0, I)
            self.step_size *= affine.scale

    def complete_model(self) -> None:
        """Set the model's plane to where the latents vary most, and fit its guess to them."""
        self._fit_guess()
        if self.model.latent_dim <= 2:  # the plane is the latent space itself
            return
        covariance = moments(self.store.parts).covariance
        if covariance.isfinite().all():
            self.model.plane.copy_(principal_directions(covariance))
            if self.averaged is not None:
                self.averaged["model.plane"].copy_(self.model.plane)

    def _fit_guess(self) -> None:
        guess = self.model.guess
        if guess is None or self.start is None:
            return
        latents = self._of_rows(self.start.rows)
        if latents.isfinite().all():
            self.start.fit(guess, latents.cpu())
            for name, value in guess.named_buffers() if self.averaged is not None else ():
                self.averaged[f"model.guess.{name}"].copy_(value)  # type: ignore[index]

    def _fitted_latents(self) -> Tensor:
        """Return the latents (R, d) that a mixture is fitted to, of all processes."""
        return self._of_rows(even_rows(self.count, FITTED))

    def _of_rows(self, index: Tensor) -> Tensor:
        """Return the latents (R, d) of these rows, whichever process owns them."""
        if world().size == 1:
            return self.store.read(index)
        return self.ownership.all_rows(self.store.points)[index]

    @torch.no_grad()
    def show(self, count: int) -> Tensor:
        """Return reconstructions of the first `count` images."""
        shown = self.ownership.all_rows(self.store.points)[:count]
        return self.decode(shown.to(self.like.device))

    def sample(self, count: int, rng: Rng, noise: bool = False) -> Tensor:
        """Draw images (count, C, H, W) from the model; see `GeneratorModel.sample`."""
        return self.model.sample(count, rng, noise)

    def completed(self, batch: Batch, rng: Rng) -> Batch:
        """Return a batch with f(z) at its chains' latents in the place of missing values."""
        if batch.mask is None:
            return batch
        latents = self.store.read(self.ownership.slots(batch.index))
        return batch._replace(images=batch.completed(self.decode(latents)), mask=None)

    def decode(self, latents: Tensor, chunk: int = 64) -> Tensor:
        """Return f(z), (B, C, H, W), of latents (B, d), `chunk` at a time."""
        return self.model.decode(latents, chunk)

    def some_rows(self, most: int = 10_000) -> Tensor:
        """Return the rows (N,) of all chains, or at most `most` evenly spaced ones."""
        step = max(1, -(-len(self.store) // most))
        return torch.arange(0, len(self.store), step, device=self.like.device)

    def latents(self) -> Tensor:
        """Return the inferred latents (N, d) of `some_rows`."""
        return self.store.read(self.some_rows())

    @property
    def given(self) -> tuple[str, ...]:
        """Sigma, unless it is learned."""
        return () if self.noise else ("model.sigma",)

    def load_state_dict(self, state_dict: Mapping[str, Any], *how: Any, **options: Any) -> Any:  # noqa: ANN401
        """Load weights, and sigma if it is learned; a given sigma does not change."""
        given = {name: self.state_dict()[name] for name in self.given}
        return super().load_state_dict({**state_dict, **given}, *how, **options)

    def chain_tensors(self) -> dict[str, Tensor]:
        """Return the chain rows in memory, of all processes, and the state that chains share."""
        rows = {} if self.files else {"points": self.ownership.all_rows(self.store.points)}
        sizes = {
            name: torch.tensor(size, dtype=torch.float64)
            for name, size in (
                ("step_size", self.step_size),
                ("given_step_size", self.chains.kernel.step_size),
            )
        }
        counts = {"moved": torch.tensor(self._moved), "adapted": torch.tensor(self.adapted)}
        counts["annealed"] = torch.tensor(self._annealed)
        fit = {} if self._fit is None else self._fit.tensors()
        return {**rows, **sizes, **counts, **fit, **self.moments._asdict()}

    def load_chains(self, tensors: dict[str, Tensor], files: ChainStore | None = None) -> None:
        """Load chain rows: from those of all processes, the ones that this process owns."""
        if files is not None and world().size == 1:
            self.store.restore(files)
        else:
            points = tensors["points"] if files is None else files.points
            self.store.load(self.ownership.mine(points))
        if "step_size" in tensors:
            self._moved, self.adapted = int(tensors["moved"]), int(tensors["adapted"])
            self._load_step_size(tensors["step_size"].item(), tensors["given_step_size"].item())
            self._annealed = bool(tensors["annealed"])
            like = self.store.points
            self.moments = Moments(*(tensors[name].to(like) for name in Moments._fields))
        if self._fit is not None:
            self._fit.load(tensors)

    def _load_step_size(self, size: float, given: float) -> None:
        """Go on with a step size; if the given one has changed since, it changes in proportion.

        A size that was adapted is not that of chains which do not adapt: theirs is the given one.
        """
        own = self.chains.kernel.step_size
        if self.chains.adaptation is None and self.adapted:
            self.step_size, self.adapted = own, 0
        else:
            self.step_size = _possible(size) * (own / _possible(given))

    def adopt(self, other: Learner) -> None:
        """Begin with the weights and latents of another generator of the same images.

        What this model has besides, such as a tilt of the prior or a descriptor, stays as it is.
        So does the step size, unless the chains are the same. A mixture in the prior is that of
        the other, or if that has none of as many components, it is fitted to the latents.

        Raises:
            ValueError: if the other has no latents, has parts that this one lacks, or their shapes
                differ; it says which
        """
        if not isinstance(other, GeneratorLearner):
            raise ValueError("it has no latents to begin with")
        mine, its = self.model.latent_dim, other.model.latent_dim
        if mine != its:
            raise ValueError(
                f"it has {its} latents for an image, and this model {mine}; leave out --latent-dim"
            )
        own, theirs = self.state_dict(), other.state_dict()
        fitted, its_own = self._mixture_names(), other._mixture_names()
        alike = [own[n].shape for n in fitted] == [theirs[n].shape for n in its_own]
        found = [theirs.pop(name) for name in its_own]
        theirs |= zip(fitted, found, strict=True) if alike else {}
        linear = "model.guess.", "model.residuals."  # none where latents start at the prior
        theirs = {n: v for n, v in theirs.items() if n in own or not n.startswith(linear)}
        for name, value in theirs.items():
            if name not in own or own[name].shape != value.shape:
                raise ValueError(
                    f"its {name} has no place of the same shape in this model; leave out "
                    "--latent-dim and --network.*, which are then those of that run"
                )
        tensors = {"points": other.store.points} | other.chain_tensors()
        if len(tensors["points"]) != self.count:
            raise ValueError(f"it has {len(tensors['points'])} latents for {self.count} images")
        self.load_state_dict(own | theirs)
        if self.chains != other.chains:
            del tensors["step_size"]
        self.load_chains(tensors)
        self._annealed = self.annealing is None
        self.moments = moments(self.store.parts)
        if self._fit is not None and not alike:
            self._fit.fit(self._fitted_latents(), anew=True)

    def _mixture_names(self) -> list[str]:
        """Return what the mixture's tensors are called in `state_dict`; none without one."""
        mixed = self.model.mixture
        return [
            f"{place}.{name}"
            for place, module in self.named_modules()
            if module is mixed
            for name in GaussianMixture.UNAVERAGED
        ]

    @property
    def files(self) -> ChainStore | None:
        """The chains if they are in files, which are saved as such; otherwise None."""
        return self.store if self.store.in_files else None

    def map_chains(self, function: Callable[[Tensor], Tensor]) -> None:
        """Apply `function` to the points and their moments."""
        self.store.move(function)
        self.moments = Moments(*map(function, self.moments))

    def scale_steps(self, factor: float) -> None:
        """Multiply the chains' step size; any adaptation continues from there."""
        self.step_size *= factor

    def bad_chains(self) -> Tensor:
        """Return the rows whose latents are not finite, or further out than the prior reaches.

        The limit on |z|^2 under N(0, I) is its mean, plus 10 of its standard deviations, plus 100.
        Of a mixture, the squared distance to the nearest component may be as large instead; a
        prior that is tilted has no limit.
        """
        dim, prior = self.store.points.shape[1], self.model.prior
        mixed = prior if isinstance(prior, GaussianMixture) else None
        far = reach(dim) + 100 if mixed or self.normal_prior else math.inf
        lost = torch.empty(len(self.store), dtype=torch.uint8, device=self.like.device)
        for part, rows_here in zip(self.store.parts(), chunks(len(self.store)), strict=True):
            away = ~((part**2).sum(1) < far)
            if mixed and away.any():  # the distances of all would take time, and memory
                away[away.clone()] = ~(mixed.squared_distance(part[away]) < far).to(away.device)
            lost[rows_here] = away
        return self.ownership.all_rows(lost).nonzero()[:, 0]

    def restart_chains(self, index: Tensor, rng: Rng) -> None:
        """Restart the chains of these rows at draws from the prior."""
        fresh = self.model.latents(len(index), rng, self.like)
        here = torch.isin(index, self.ownership.owned(index))
        points = fresh[here].to(self.store.points)
        self.store.write(self.ownership.slots(index[here]), points)


def error_of(squares: Tensor, batch: Batch) -> Tensor:
    """Return the mean of squares (B, C, H, W) over all observed values of a batch, ().

    Arguments:
        squares: 0 where a value is missing
    """
    mask = batch.observed
    if mask is None:
        return mean_over(squares.flatten(1).mean(1), batch)
    counts = mask.flatten(1).sum(1)
    shares = counts / mean_over(counts, batch)  # of a row in the mean: 1 if all were observed
    return mean_over(squares.flatten(1).sum(1) / counts * shares, batch)


def _possible(step_size: float) -> float:
    """Return a step size if it is valid.

    Raises:
        ValueError: if it is not
    """
    if not 0 < step_size < LONGEST_STEP:
        raise ValueError(f"chains' step size is {step_size:g}")
    return step_size
