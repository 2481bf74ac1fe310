r"""The likelihood of what was observed of a generator's images.

An image is :math:`x = f(z) + \sqrt{\tau} \, r` with :math:`r \sim N(0, S)`, and of it
:math:`y = A x + s \eta` was observed. For a linear A,

.. math:: y \mid z \sim N\big(A f(z), K\big), \qquad K = \tau A S A^T + s^2 I,

and given z, too, the image is Gaussian:

.. math:: E[x \mid z, y] = f(z) + \tau S A^T K^{-1} (y - A f(z)).

How K is solved with: see `inference.solving`. An A that is not linear is taken as
:math:`y = A(f(z)) + \sqrt{\tau v + s^2} \, \eta`, with v the mean variance of a value.

S may be that of residuals of training images (`models.image_noise`), or a blend of it and of how
whole images lie about their mean (`inference.whole`). Some images fit worse than others, so
:math:`\tau` is chosen for each such that its observed residuals are as large as they should be,

.. math:: |y - A f(z)|^2 = \tau \, \mathrm{tr} A S A^T + s^2 \dim y

for draws of z; with S the model's own noise, it is 1. Where s is not known, both are fitted to the
spectrum of the observed residuals.
"""

import math
from copy import copy

import torch
from torch import Tensor

from tigon.data.checks import FAR
from tigon.densities.conjugate_gradients import LinearMap, conjugate_gradients
from tigon.densities.log_density import sum_event
from tigon.errors import TigonError
from tigon.inference.physics import Physics
from tigon.inference.solving import (
    SCALES,
    Observed,
    bounded,
    factorised,
    log_quadratic,
    solve_factorised,
)
from tigon.models.image_noise import Blended, Correlated, ImageNoise, preconditioner
from tigon.random.streams import Rng, make_rng, normal

PROBES = 64  # draws of residuals
DENSE = 1024  # observed values up to which K is formed
SIGNS = 16  # random signs that a determinant is estimated with
UNKNOWN = 0.1  # the noise level before it is estimated


class Observation:
    """What was observed of images, and how.

    Arguments:
        physics: A, from images (B, C, H, W) to (B, *)
        y: what was observed, (B, *)
        like: an empty tensor of the images' shape (B, C, H, W), type and device
        image_noise: S, how images lie about f(z)
        noise: s, the standard deviation of the observations' noise, >= 0; None to estimate it

    Raises:
        TigonError: if `physics` returns another shape than that of `y`, fails, returns values
            that are not finite or differ from call to call, or has no gradient, if `y` is not
            finite, on another scale, or not 0 where the physics always makes 0, or if the noise
            cannot be estimated
    """

    def __init__(
        self,
        physics: Physics,
        y: Tensor,
        like: Tensor,
        image_noise: ImageNoise,
        noise: float | None,
    ) -> None:
        self.physics, self.y, self.like = physics, y.to(like), like
        self.image_noise, self.known = image_noise, noise is not None
        self.noise = like.new_full((len(y),), UNKNOWN if noise is None else noise)
        if not self.y.isfinite().all():
            raise TigonError("what was observed has values that are not finite")
        self.scale = like.new_ones(len(y))
        self.linear = self._is_linear()
        self._require_scale(self._peak_rows())
        self.mask = self._mask()
        self.alike = False
        self.observed = self._observed() if self.linear and image_noise.measured else None
        small = self.observed is not None and self.y[0].numel() <= DENSE
        self.gram = self._gram() if small else None
        self._factor: Tensor | None = None
        self._determinant: Tensor | None = None
        if not self.known and (self.observed is None or self.observed.spectrum is None):
            raise TigonError(
                "the noise level cannot be estimated: that needs a model that has measured its "
                "residuals while learning from complete images, as `generator` does, and a "
                "physics that is linear and makes images; give it as `noise`"
            )

    def blended(self, other: "Observation", share: Tensor) -> "Observation":
        """Return this observation with another's image noise blended into its own.

        Arguments:
            other: the same observation with another measured noise of images, of a linear A
            share: of the other's noise, for each image, (B,), in [0, 1]
        """
        assert isinstance(self.image_noise, Correlated)
        assert isinstance(other.image_noise, Correlated)
        made = copy(self)
        made.image_noise = Blended(self.image_noise, other.image_noise, share)
        made.observed = made._observed()
        if self.gram is not None and other.gram is not None:
            made.gram = self.gram.lerp(other.gram, share.view(-1, 1, 1).to(self.gram))
        made._factor = made._determinant = None
        return made

    def observe(self, images: Tensor) -> Tensor:
        """Return A(x) for images (B * S, C, H, W), those of an image one after another."""
        count = len(self.y)
        if count in (1, len(images)):
            return self.physics(images)
        apart = images.unflatten(0, (count, -1))
        return torch.stack([self.physics(part) for part in apart.unbind(1)], 1).flatten(0, 1)

    def adjoint(self, values: Tensor) -> Tensor:
        """Return A^T r for values (B * S, *), as images (B * S, C, H, W)."""
        with torch.enable_grad():
            x = self.like.new_zeros(len(values), *self.like.shape[1:]).requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.observe(x), x, values)
        return gradient

    @torch.no_grad()
    def solve(self, values: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return K^-1 r for values (B * S, *), or (K + extra I)^-1 r.

        An A that is not linear has K = (tau v + s^2) I.
        """
        ridge = self._rows(self.noise**2, values)
        ridge = ridge if extra is None else ridge + extra
        scale = self._rows(self.scale, values)
        if not self.linear:
            return values / (scale * self.image_noise.variance + ridge)
        if self.gram is not None:
            return solve_factorised(self._factor_of(extra, ridge), self.seen, values)
        product = self._product(scale, ridge)
        near = self.preconditioner(scale, ridge)
        found = conjugate_gradients(product, values, self.image_noise.precise, near)
        if not found.precise:
            raise TigonError(
                "what was observed hardly depends on some details of the images, so that they "
                "cannot be solved for: give a higher noise level"
            )
        return found.solution

    def preconditioner(self, scale: Tensor, ridge: Tensor) -> LinearMap | None:
        """Return about (scale A S A^T + ridge I)^-1, or None if nothing says it.

        Arguments:
            scale, ridge: of each row, (B * S, 1, 1, 1)
        """
        if self.mask is not None and isinstance(self.image_noise, Correlated | Blended):
            squares, spectrum = self.image_noise.nearly()
        elif self.observed is not None and self.observed.spectrum is not None:
            assert self.observed.squares is not None
            squares, spectrum = bounded(self.observed.squares), bounded(self.observed.spectrum)
        else:
            return None
        return preconditioner(squares, spectrum, scale, ridge, self.seen)

    def _product(self, scale: Tensor, ridge: Tensor) -> LinearMap:
        """Return the map from r to (scale A S A^T + ridge I) r."""
        scale = scale.view(-1, *[1] * (self.y.dim() - 1))

        def product(r: Tensor) -> Tensor:
            covered = self.image_noise.product(self.adjoint(r))
            return scale * self.observe(covered) + ridge * r

        return product

    def _factor_of(self, extra: Tensor | None, ridge: Tensor) -> Tensor:
        """Return the factors of K + extra I, those of K itself from one `fit` to the next."""
        assert self.gram is not None
        own = extra is None
        if own and self._factor is not None:
            return self._factor
        ridges = ridge.view(len(self.y), -1)[:, 0]
        factor = factorised(self.gram, self.scale, ridges, self.seen)
        if own:
            self._factor = factor
        return factor

    def _rows(self, per_image: Tensor, values: Tensor) -> Tensor:
        """Return a number of each image (B,) as (B * S, 1, ...), to multiply values (B * S, *)."""
        repeated = per_image.repeat_interleave(len(values) // len(per_image))
        return repeated.view(-1, *[1] * (values.dim() - 1))

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Choose tau of each image, given decoded draws of its latents, (B * S, C, H, W).

        And s, if it is not known. What is the model's own noise is left as it is.
        """
        if not self.image_noise.measured:
            return
        self._factor = None
        residual = self.residual(images)
        if self.observed is not None and not self.known:
            self.scale, self.noise = self.observed.fitted(residual, self.seen)
            return
        squares = sum_event(residual.square()).view(len(self.y), -1).mean(1)
        squares = squares - self.noise**2 * sum_event(self.seen)
        if self.observed is None:
            energy = self.image_noise.variance * sum_event(self.seen)
        else:
            energy = self.observed.energy
        self.scale = (squares / energy).clamp(*SCALES)

    @torch.no_grad()
    def _observed(self) -> Observed:
        """Return what A makes of draws of N(0, S), made of the same noise for each image."""
        rng, count = make_rng("observed noise", 0), len(self.y)
        like = self.like.new_empty(PROBES, *self.like.shape[1:])
        draws = self.image_noise.draws(lambda: normal(rng, like).repeat(count, 1, 1, 1))
        seen = self.observe(draws)
        apart = seen.unflatten(0, (count, -1))
        self.alike = bool((apart == apart[:1]).all())
        return Observed.of(seen, count)

    @torch.no_grad()
    def _gram(self) -> Tensor:
        """Return A S A^T of each image, (B, M, M), in double precision."""
        size = self.y[0].numel()
        eye = torch.eye(size).to(self.y).view(size, *self.y.shape[1:])
        eye = eye.repeat(len(self.y), *[1] * (eye.dim() - 1))
        seen = self.observe(self.image_noise.product(self.adjoint(eye)))
        return seen.reshape(len(self.y), size, size).double()

    def log_likelihood(self, images: Tensor) -> Tensor:
        r"""Return :math:`-\frac12 (y - A f)^T K^{-1} (y - A f)` of decoded images, (B * S,)."""
        residual = self.residual(images)
        solved = self.solve(residual.detach())
        half = sum_event(residual.detach() * solved) / 2
        return half - sum_event(residual * solved)  # whose gradient has K^-1 r only once

    @torch.no_grad()
    def log_evidence(self, residual: Tensor) -> Tensor:
        r"""Return the log-density of residuals y - A f (B * S, *) under N(0, c K), (B * S,).

        With the factor c that is best for each, the mean of :math:`r^T K^{-1} r` over values, so
        that what images are like counts, and not how well their scale was known.
        """
        count = sum_event(self.seen).double().repeat_interleave(len(residual) // len(self.y))
        squares = sum_event(residual * self.solve(residual)).double()
        whole = self.log_determinant().repeat_interleave(len(residual) // len(self.y))
        factor = squares / count
        return -(count * (1 + math.log(2 * math.pi) + factor.log()) + whole) / 2

    @torch.no_grad()
    def log_determinant(self) -> Tensor:
        """Return log det K of each image, over what was observed, (B,).

        Of a K that is not formed it is estimated, with the same signs for every image noise.
        """
        ridge = self._rows(self.noise**2, self.y)
        if self.gram is not None:
            return 2 * self._factor_of(None, ridge).diagonal(dim1=1, dim2=2).log().sum(1)
        if self.noise.any():
            return self._estimated_determinant(self.scale, ridge, False)
        if self._determinant is None:  # that of A S A^T, which the scale does not change
            one = torch.ones_like(self.scale)
            self._determinant = self._estimated_determinant(one, ridge, self.alike)
        return self._determinant + sum_event(self.seen).double() * self.scale.double().log()

    def _estimated_determinant(self, scale: Tensor, ridge: Tensor, alike: bool) -> Tensor:
        """Estimate log det (scale A S A^T + ridge I), (B,); together if the images' are alike."""
        product, rng, count = self._product(scale, ridge), make_rng("signs", 0), len(self.y)
        like, found = self.y[:1].expand(SIGNS, *self.y.shape[1:]), []
        for some in normal(rng, like).sign().split(count if alike else 1):
            rows = some[torch.arange(count) % len(some)]
            found.append(log_quadratic(product, rows * self.seen)[: len(some) if alike else count])
        if alike:
            return torch.cat(found).mean().expand(count)
        return torch.stack(found).mean(0)

    def residual(self, images: Tensor) -> Tensor:
        """Return y - A(x) for images (B * S, C, H, W), (B * S, *)."""
        times = len(images) // len(self.y)
        return self.y.repeat_interleave(times, 0) - self.observe(images)

    def completed(self, decoded: Tensor) -> Tensor:
        """Return E[x | z, y] for images f(z), (B * S, C, H, W); f(z) if A is not linear."""
        if not self.linear:
            return decoded
        return decoded + self._carried(self.residual(decoded))

    def _carried(self, residual: Tensor) -> Tensor:
        """Return tau S A^T K^-1 r for residuals (B * S, *), as images (B * S, C, H, W)."""
        covered = self.image_noise.product(self.adjoint(self.solve(residual)))
        return self._rows(self.scale, covered) * covered

    def drawn(self, decoded: Tensor, rng: Rng) -> Tensor:
        """Draw x given z and y for images f(z), (B * S, C, H, W); f(z) if A is not linear.

        As Matheron's rule has it: an image and its observation are drawn, and the image is
        corrected by what its observation lacks.
        """
        if not self.linear:
            return decoded
        draws = self.image_noise.draws(lambda: normal(rng, decoded))
        images = decoded + self._rows(self.scale, draws).sqrt() * draws
        residual = self.residual(images)
        if self.noise.any():
            residual = residual - self._rows(self.noise, residual) * normal(rng, residual)
        return images + self._carried(residual)

    def _observe_checked(self, images: Tensor) -> Tensor:
        try:
            found = self.physics(images)
        except (RuntimeError, ValueError, IndexError, TypeError, OverflowError) as error:
            size, said = tuple(images.shape), str(error).split("\n")[0]
            raise TigonError(f"the physics fails for images {size}: {said}") from error
        if found.shape != self.y.shape:
            raise TigonError(
                f"the physics makes {tuple(found.shape)} of images {tuple(images.shape)}, but "
                f"what was observed is {tuple(self.y.shape)}"
            )
        if not found.isfinite().all():
            raise TigonError("the physics returns values that are not finite")
        return found.detach()

    @torch.no_grad()
    def _is_linear(self) -> bool:
        """Return whether A(2 a - b) = 2 A(a) - A(b) for two images of noise, and A(0) = 0.

        Raises:
            TigonError: if the physics, or what was observed, cannot be right
        """
        rng = torch.Generator().manual_seed(0)
        shape, kind = self.like.shape, self.like
        a, b = (torch.randn(shape, generator=rng, dtype=kind.dtype).to(kind) / 3 for _ in "ab")
        of_a, of_b = self._observe_checked(a), self._observe_checked(b)
        if not torch.equal(of_a, self._observe_checked(a)):
            raise TigonError(
                "the physics differs from call to call: leave out its own noise, as in "
                "`physics.A` of deepinv, and give the level as `noise`"
            )
        zero = self._observe_checked(torch.zeros_like(a))
        never = (of_a == 0) & (of_b == 0) & (zero == 0)
        self.seen = (~never).to(self.y)
        nothing = (sum_event(self.seen) == 0).nonzero()[:, 0].tolist()
        if nothing:
            raise TigonError(f"nothing was observed of image {nothing[0] + 1} of {len(self.y)}")
        if (self.y[never] != 0).any():
            raise TigonError(
                "what was observed is not 0 where the physics always makes 0, such as where a "
                "mask keeps nothing: give y = physics(images)"
            )
        found, wanted = self._observe_checked(2 * a - b), 2 * of_a - of_b
        near = 1e-4 * wanted.abs().max()
        return bool((found - wanted).abs().max() <= near and zero.abs().max() <= near)

    def _peak_rows(self) -> Tensor:
        """Return the gradient of A(x) where |y| is largest, of each image, (B, C, H, W), at x = 0.

        Raises:
            TigonError: if the physics has none
        """
        places = self.y.abs().flatten(1).argmax(1, keepdim=True)
        chosen = torch.zeros_like(self.y).flatten(1).scatter(1, places, 1.0)
        try:
            return self.adjoint(chosen.view_as(self.y))
        except RuntimeError as error:
            said = str(error).split("\n")[0]
            raise TigonError(
                "autograd cannot go through the physics: make it of torch's operations, without "
                f"detach, no_grad, numpy or changes of its input ({said})"
            ) from error

    def _require_scale(self, rows: Tensor) -> None:
        """Refuse observations that no images in [-1, 1] have, such as those of images in [0, 255].

        Of a linear A, |A x| is at most the sum of the magnitudes of its row, to which the noise
        adds. Noise that is not known may be large, but then it makes some values negative.

        Arguments:
            rows: of A, where |y| is largest, (B, C, H, W)
        Raises:
            TigonError: if the largest value is `FAR` times what it can be, or more
        """
        if not self.linear:
            return
        most, seen = rows.abs().flatten(1).sum(1), self.y.flatten(1)
        largest = seen.abs().amax(1)
        limit = FAR * (most + self.noise) if self.known else FAR * most
        wrong = (largest > limit) & ((seen >= 0).all(1) | self.known)
        for row in wrong.nonzero()[:1, 0].tolist():
            raise TigonError(
                f"what was observed of image {row + 1} of {len(self.y)} has a value of size "
                f"{largest[row]:.4g}, but without noise that of images in [-1, 1] is at most "
                f"{most[row]:.4g}: scale images to [-1, 1] first, as x / 127.5 - 1 does with bytes"
            )

    @torch.no_grad()
    def _mask(self) -> Tensor | None:
        """Return what A keeps, 1 or 0 for each value (B, C, H, W), if it is a mask."""
        if not self.linear or self.y.shape != self.like.shape:
            return None
        kept = self.physics(torch.ones_like(self.like))
        other = torch.linspace(0.5, 1, kept[0].numel()).to(kept).view_as(kept[:1])
        same = torch.equal(self.physics(other.expand_as(kept)), kept * other)
        return kept if same and ((kept == 0) | (kept == 1)).all() else None
