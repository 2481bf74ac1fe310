r"""The descriptor (4): an energy-based model that is sampled with short chains.

By grids, it is several: :math:`f_1, ..., f_K` on images averaged to grids of growing size. A chain
starts at one pixel, the image's mean colour, enlarged to the first grid; what it synthesises there
with :math:`f_1` is enlarged to the second, where :math:`f_2` goes on, up to the size of the
images. Each is a density of images of its size, and a sampler given where it is started.

References:
    Xie, Lu, Zhu and Wu, "A theory of generative ConvNet", ICML 2016.
    Gao, Lu, Zhou, Zhu and Wu, "Learning generative ConvNets via multi-grid modeling and sampling",
    CVPR 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tigon.data.batches import Batch, colours_of
from tigon.data.checks import require_points, require_shape
from tigon.data.pixels import enlarged, reduced_observed
from tigon.densities.gaussian import Gaussian
from tigon.densities.log_density import LogDensity, evaluated, frozen, mode, value_and_grad
from tigon.mcmc.adaptation import StepSizeDecay
from tigon.mcmc.chain import MCMC, Trace
from tigon.mcmc.kernel import innermost
from tigon.mcmc.langevin import Langevin
from tigon.models.base import Model, drawn_in_parts
from tigon.models.config import build, register_part, to_plain
from tigon.random.streams import Rng, RowRng
from tigon.sizes import ImageSize, sides, size_text

HALF = 0.5  # share of a coarse pixel's values that make it an observed one


def short_run(
    steps: int,
    step_size: float,
    temperature: float,
    shrink: float = 1.0,
    noiseless_last_step: bool = True,
) -> MCMC:
    """Return chains of `steps` steps of Langevin dynamics.

    Arguments:
        step_size: s of the first step in units of [-1, 1]; drift s^2/2 times the gradient, noise
            s sqrt(T)
        temperature: T >= 0; the chains target p^(1/T); T = 0 is gradient ascent
        shrink: ratio of the last step size to the first, in (0, 1]; it falls geometrically
        noiseless_last_step: leave the noise out of the last step; nothing else removes noise
    """
    kernel = Langevin(step_size, temperature)
    decay = StepSizeDecay.to(shrink, steps) if shrink != 1 else None
    final = replace(kernel, temperature=0.0) if noiseless_last_step else None
    return MCMC(kernel, steps, decay, final, evaluate_end=False)


class Given:
    """The log-density of missing values given the others: those of a point do not matter.

    Images have values in [-1, 1], and missing ones are known to: points are reflected into it.

    Arguments:
        model: an energy-based model
        images: (B, C, H, W)
        mask: 1 where a value is given and 0 elsewhere, (B, 1 or C, H, W)
    """

    def __init__(self, model: nn.Module, images: Tensor, mask: Tensor) -> None:
        self.model, self.images, self.mask = model, images, mask

    def whole(self, x: Tensor) -> Tensor:
        """Return points x (B, C, H, W) with the given values in their places."""
        return torch.where(self.mask > 0, self.images, reflected(x))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-density, (B, C, H, W) to (B,)."""
        return self.model(self.whole(x))


def reflected(x: Tensor) -> Tensor:
    """Return values with those outside of [-1, 1] reflected into it, as often as it takes."""
    above = (x + 1) % 4  # -1; it takes 4 there and back
    return torch.where(above <= 2, above - 1, 3 - above)


@register_part
class EnergyModel(Model):
    """Descriptor (4): log-density f(x) + log p0(x), up to log Z, with p0 = N(loc, scale^2 I).

    It samples with short chains from its start images. These do not reach the density: they are a
    sampler, and the log-density says which image the network ranks higher, not how probable it is.

    Arguments:
        network: f, images (B, C, H, W) to (B,)
        scale: standard deviation of the reference density p0, in units of the images, > 0
        loc: mean of p0 in every dimension: 0 is grey, -1 is black as in the original
        chains: kernel and steps from a start image to a synthesised one; 30 steps of Langevin
            dynamics if not given
        starts: start images that broadcast to images, (N, C, h, w) with one per training image or
            (1, C, h, w) for all; not needed for the log-density alone. See `start_images`
        image_size: height and width of images in pixels, one number for a square; those of
            `starts` if not given
        coarser: the model whose images, enlarged, are the start images instead of `starts`

    Example:
        coarse = tigon.EnergyModel(network_16, starts=colours, image_size=16)
        model = tigon.EnergyModel(network_32, image_size=32, coarser=coarse)
        images = model.sample(64, tigon.RowRng(0, 0, range(64)))
    """

    CONFIGURED: ClassVar[Mapping[str, float]] = {"step_factor": 1.0}
    UNAVERAGED: ClassVar[tuple[str, ...]] = ("starts", "step_factor")
    starts: Tensor | None
    step_factor: Tensor
    coarser: "EnergyModel | None"

    def __init__(
        self,
        network: nn.Module,
        scale: float = 0.7,
        loc: float = 0.0,
        chains: MCMC | None = None,
        starts: Tensor | None = None,
        image_size: ImageSize | None = None,
        coarser: "EnergyModel | None" = None,
    ) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be above 0, not {scale}")
        if coarser is not None and (starts is not None or image_size is None):
            raise ValueError("a model with a coarser one needs image_size, and has no starts")
        self.network, self.reference = network, Gaussian(loc, scale)
        self.chains = chains or short_run(30, 0.12, 0.001, 0.33)
        self.image_size, self.coarser = image_size, coarser
        self.register_buffer("starts", starts)
        self.register_buffer("step_factor", torch.ones(()))
        if starts is not None:
            self._require_starts(starts)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-density up to a constant, (B, C, H, W) to (B,)."""
        return self.network(x).to(x.dtype) + self.reference.log_prob(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-density of images (B, C, H, W), (B,), and its gradient (B, C, H, W).

        Chains take it: of two parts, only the network may need autograd.
        """
        if type(self).forward is not EnergyModel.forward:  # another density, of a subclass
            return evaluated(self, x)
        values, gradient = value_and_grad(self.network, x)
        of_reference, pull = self.reference.value_and_grad(x)
        return values.to(x.dtype) + of_reference, pull.add_(gradient)

    def observed(self, images: Tensor) -> Tensor:
        """Return f of observed images (B, C, H, W), (B,), as (6) compares it."""
        return self.network(images)

    def log_density(self, x: Tensor) -> Tensor:
        """Return f(x) + log N(x; loc, scale^2 I) of images (B, C, H, W), (B,).

        It lacks the unknown constant -log Z, and short chains do not follow it: it says which
        image the network ranks higher, not how probable an image is. It is that of the finest
        grid; `grids` has the others.

        Raises:
            TigonError: if the images have another shape, are not floats, or range to 1 or 255
        """
        require_points(x, "images")
        if self.starts is not None or self.coarser is not None:
            require_shape(x, "images", self.image_shape)
        return self(x)

    def image_density(self, x: Tensor) -> Tensor:
        """Return the same of observed images (B, C, H, W), which are not looked at, (B,)."""
        return self.observed(x).to(x.dtype) + self.reference.log_prob(x)

    @property
    def no_likelihood(self) -> str:
        """Why the log-density is not that of the model's images; nothing if it can be."""
        if self.coarser is not None:
            return (
                "its images come about grid by grid, and each grid's density is conditional on "
                "the image of the one before (train with --grids 1 --chains.temperature 1)"
            )
        temperature = getattr(innermost(self.chains.kernel), "temperature", 1.0)
        if temperature != 1:
            return (
                f"its chains are at temperature {temperature:g} and not 1, which makes it a "
                "sampler and not a density (train with --chains.temperature 1)"
            )
        return ""

    @property
    def grids(self) -> list["EnergyModel"]:
        """The models of all grids, from the coarsest to this one."""
        return [*(self.coarser.grids if self.coarser else []), self]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model's images."""
        starts = self._given_starts()
        size = self.image_size or (starts.shape[2], starts.shape[3])
        return starts.shape[1], *sides(size)

    @property
    def step_size(self) -> float:
        """The initial step size of chains."""
        return self.chains.kernel.step_size * self.step_factor.item()

    def scale_steps(self, factor: float) -> None:
        """Multiply the initial step size of chains, on all grids."""
        for grid in self.grids:
            grid.step_factor *= factor

    @property
    def start_count(self) -> int:
        """How many start images there are: one per training image, or one for all."""
        return len(self._given_starts())

    def start(self, index: Tensor) -> Tensor:
        """Return where the chains of training images `index` (B,) start, (B, C, H, W).

        With coarser grids, these are enlarged images of the coarser one, always the same of a row.
        """
        if self.coarser is not None:
            rng = RowRng(0, 0, index.tolist(), "start")
            return self.enlarged(self.coarser.sample_chain(index, rng).x)
        starts = self._given_starts()
        return self.enlarged(starts[index % len(starts)])

    def enlarged(self, images: Tensor) -> Tensor:
        """Interpolate images of a coarser grid, or of one pixel (B, C, 1, 1), to this size."""
        return enlarged(images, self.image_shape[1:])

    def entered(self, images: Tensor, rng: Rng) -> Tensor:
        """Return where chains start on this grid, (B, C, H, W), given where they come from.

        Arguments:
            images: start images, or what the coarser grid's chains synthesised (B, C, h, w)
            rng: for noise; there is none here
        """
        return self.enlarged(images)

    def run_chains(
        self,
        starts: Tensor,
        rng: Rng,
        keep: int = 0,
        batch_statistics: bool = False,
        log_density: LogDensity | None = None,
    ) -> Trace:
        """Run a chain from each of these points (B, C, H, W).

        Arguments:
            keep: return every `keep`-th state; none if 0
            batch_statistics: let the images of a batch share batch statistics while chains run,
                as the original code did; for comparison only
            log_density: the model's log-density in another form, such as `Compiled`
        """
        size = self.step_factor * self.chains.kernel.step_size
        sizes = size.to(starts).expand(len(starts))
        with frozen(self), mode(self, batch_statistics):
            return self.chains.run(log_density or self, starts, rng, sizes, keep=keep)

    def run_grids(
        self,
        starts: Tensor,
        rng: Rng,
        keep: int = 0,
        batch_statistics: bool = False,
        log_densities: Sequence[LogDensity | None] | None = None,
    ) -> list[Trace]:
        """Run a chain from each of these points of the coarsest grid, grid after grid.

        Arguments:
            keep, batch_statistics: see `run_chains`
            log_densities: those of the grids in another form, or None for a grid's own
        Returns:
            the trace of each grid, the coarsest first
        """
        traces: list[Trace] = []
        for grid, density in zip(self.grids, log_densities or cycle([None]), strict=False):
            points = grid.entered(traces[-1].x if traces else starts, rng)
            traces.append(grid.run_chains(points, rng, keep, batch_statistics, density))
        return traces

    def complete(
        self,
        images: Tensor,
        mask: Tensor,
        rng: Rng,
        starts: Tensor | None = None,
        batch_statistics: bool = False,
    ) -> Tensor:
        r"""Run chains on the missing values of images given the others, grid after grid.

        The conditional density of the missing values x_m given those observed, y_o, is that of
        the whole image up to a constant, so that a chain on it is (5) for x_m alone:

        .. math:: \log p(x_m \mid y_o) = f(x_m, y_o) + \log p_0(x_m) + c

        They start at the mean colour, if no starts are given. On coarser grids, where chains only
        decide where the finer ones start, a pixel counts as observed if at least half of its
        values are, and has their mean: if values are missing at random, hardly any pixel of a
        coarse grid has them all. Missing values are known to be in [-1, 1], as those of images
        are: chains that leave it are reflected.

        Arguments:
            images: (B, C, H, W), of this model's size, or of a finer grid's
            mask: 1 where a value was observed and 0 elsewhere, (B, 1 or C, H, W)
            starts: where chains start, broadcastable to the coarsest grid's images
            batch_statistics: see `run_chains`
        Returns:
            images of this model's size (B, C, H, W): the observed values, and chains' ends
        """
        images = torch.where(mask > 0, images, 0)
        if starts is None:
            starts = colours_of(Batch(images, torch.arange(len(images)), mask))[:, :, None, None]
        points = starts
        for grid in self.grids:
            seen = grid.seen(images, mask)
            x = Given(grid, *seen)
            begin = grid.enlarged(points).expand_as(seen[0])
            points = x.whole(grid.run_chains(begin, rng, 0, batch_statistics, x).x)
        return points

    def seen(self, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is observed of images on this grid, and where, both (B, *, H, W).

        Arguments:
            images, mask: of this grid's size, or of a finer one's; see `complete`
        """
        return reduced_observed(images, mask, self.image_shape[1:], HALF)

    def sample_chain(
        self, index: Tensor, rng: Rng, keep: int = 0, batch_statistics: bool = False
    ) -> Trace:
        """Run a chain from the start image of each training image `index` (B,), grid after grid.

        Arguments:
            keep, batch_statistics: see `run_chains`
        Returns:
            the trace of the finest grid
        """
        starts = self.grids[0].start(index)
        return self.run_grids(starts, rng, keep, batch_statistics)[-1]

    def on_grids(self, index: Tensor, rng: Rng) -> list[Tensor]:
        """Return what these rows' chains synthesise on each grid, the coarsest first."""
        return [trace.x for trace in self.run_grids(self.grids[0].start(index), rng)]

    def sample(self, count: int, rng: Rng, chunk: int = 64) -> Tensor:
        """Run one chain per start image, in order, and start over after the last.

        Arguments:
            chunk: number of chains that run together; affects memory, not the images
        Returns:
            images (count, C, H, W), not clamped to [-1, 1]
        """
        return drawn_in_parts(count, rng, chunk, self.sample_rows)

    def sample_rows(self, rows: range, rng: Rng) -> Tensor:
        """Run the chains of these rows, all together, from their start images."""
        index = torch.arange(rows.start, rows.stop, device=self._given_starts().device)
        return self.sample_chain(index, rng).x

    def config(self) -> dict[str, Any]:
        """Return the model's settings; `starts` is the shape of its start images, if any."""
        kernel = self.chains.kernel
        if self.step_factor != 1:
            kernel = replace(kernel, step_size=self.step_size)  # type: ignore[type-var]
        return {
            "network": to_plain(self.network, "model.network"),
            "scale": self.reference.scale,
            "loc": self.reference.loc,
            "chains": to_plain(replace(self.chains, kernel=kernel), "model.chains"),
            "starts": None if self.coarser else list(self._given_starts().shape),
            "image_size": to_plain(self.image_size),
            "coarser": to_plain(self.coarser, "model.coarser"),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "EnergyModel":
        """Return a model with these settings, with uninitialised start images."""

        def energy_model(
            network: nn.Module,
            scale: float,
            loc: float,
            chains: MCMC,
            starts: tuple[int, int, int, int] | None,
            image_size: ImageSize | None,
            coarser: EnergyModel | None,
        ) -> EnergyModel:
            empty = None if starts is None else torch.empty(starts)
            return cls(network, scale, loc, chains, empty, image_size, coarser)

        return build(energy_model, config)

    def _given_starts(self) -> Tensor:
        if self.coarser is not None:
            return self.coarser._given_starts()
        if self.starts is None:
            raise ValueError("the model has no start images: EnergyModel(..., starts=...)")
        return self.starts

    def _require_starts(self, starts: Tensor) -> None:
        """Check the model's start images.

        Raises:
            ValueError: if they have the wrong type, or do not broadcast to images
        """
        said = f"start images are {starts.dtype} {tuple(starts.shape)}"
        if starts.dim() != 4 or not len(starts) or not starts.is_floating_point():
            raise ValueError(f"{said}: they must be (N, C, H, W) or (N, C, 1, 1), of floats")
        size = self.image_size or (starts.shape[2], starts.shape[3])
        if tuple(starts.shape[2:]) not in ((1, 1), sides(size)):
            raise ValueError(f"{said}, but images are {size_text(size)}")

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        *how: Any,  # noqa: ANN401
    ) -> None:
        """Load any number of start images."""
        starts = state_dict.get(f"{prefix}starts")
        if starts is not None:
            self._require_starts(starts)
            self.starts = torch.empty_like(starts, device=self.step_factor.device)
        super()._load_from_state_dict(state_dict, prefix, *how)
