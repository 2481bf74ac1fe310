r"""The likelihood of what was observed of a generator's images.

An image is :math:`x = f(z) + \sigma \varepsilon`, and of it :math:`y = A x + s \eta` was observed.
For a linear A,

.. math:: y \mid z \sim N\big(A f(z), K\big), \qquad K = \sigma^2 A A^T + s^2 I,

and given z, too, the image is Gaussian:

.. math:: E[x \mid z, y] = f(z) + \sigma^2 A^T K^{-1} (y - A f(z)).

K is never formed: conjugate gradients (Hestenes and Stiefel, 1952) solve with it, in as many
iterations as it has distinct eigenvalues: two for a mask. An A that is not linear is taken as
:math:`y = A(f(z)) + \sqrt{\sigma^2 + s^2} \, \eta`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from tigon.densities.log_density import sum_event
from tigon.errors import TigonError
from tigon.inference.physics import Physics
from tigon.random.streams import Rng, normal

PRECISE = 1e-5  # of a solution: its residual, as a fraction of the right side
LONGEST = 500  # iterations of conjugate gradients


class Observation:
    """What was observed of images, and how.

    Arguments:
        physics: A, from images (B, C, H, W) to (B, *)
        y: what was observed, (B, *)
        like: an empty tensor of the images' shape (B, C, H, W), type and device
        image_noise: sigma, the standard deviation of images about f(z), > 0
        noise: s, the standard deviation of the observations' noise, >= 0

    Raises:
        TigonError: if `physics` returns another shape than that of `y`, fails, returns values
            that are not finite or differ from call to call, or if `y` is not finite, or not 0
            where the physics always makes 0
    """

    def __init__(
        self, physics: Physics, y: Tensor, like: Tensor, image_noise: float, noise: float
    ) -> None:
        self.physics, self.y, self.like = physics, y.to(like), like
        self.image_noise, self.noise = image_noise, noise
        if not self.y.isfinite().all():
            raise TigonError("what was observed has values that are not finite")
        self.linear = self._is_linear()

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
    def solve(self, values: Tensor, extra: float | Tensor = 0.0) -> Tensor:
        """Return K^-1 r for values (B * S, *), or (K + extra I)^-1 r.

        An A that is not linear has K = (sigma^2 + s^2) I.
        """
        ridge = self.noise**2 + extra
        if not self.linear:
            return values / (self.image_noise**2 + ridge)
        variance = self.image_noise**2
        return conjugate_gradients(
            lambda r: variance * self.observe(self.adjoint(r)) + ridge * r, values
        )

    def log_likelihood(self, images: Tensor) -> Tensor:
        r"""Return :math:`-\frac12 (y - A f)^T K^{-1} (y - A f)` of decoded images, (B * S,)."""
        residual = self.residual(images)
        solved = self.solve(residual.detach())
        half = sum_event(residual.detach() * solved) / 2
        return half - sum_event(residual * solved)  # whose gradient has K^-1 r only once

    def residual(self, images: Tensor) -> Tensor:
        """Return y - A(x) for images (B * S, C, H, W), (B * S, *)."""
        times = len(images) // len(self.y)
        return self.y.repeat_interleave(times, 0) - self.observe(images)

    def completed(self, decoded: Tensor) -> Tensor:
        """Return E[x | z, y] for images f(z), (B * S, C, H, W); f(z) if A is not linear."""
        if not self.linear:
            return decoded
        solved = self.solve(self.residual(decoded))
        return decoded + self.image_noise**2 * self.adjoint(solved)

    def drawn(self, decoded: Tensor, rng: Rng) -> Tensor:
        """Draw x given z and y for images f(z), (B * S, C, H, W); f(z) if A is not linear.

        As Matheron's rule has it: an image and its observation are drawn, and the image is
        corrected by what its observation lacks.
        """
        if not self.linear:
            return decoded
        images = decoded + self.image_noise * normal(rng, decoded)
        residual = self.residual(images)
        if self.noise:
            residual = residual - self.noise * normal(rng, residual)
        return images + self.image_noise**2 * self.adjoint(self.solve(residual))

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
        if (self.y[never] != 0).any():
            raise TigonError(
                "what was observed is not 0 where the physics always makes 0, such as where a "
                "mask keeps nothing: give y = physics(images)"
            )
        found, wanted = self._observe_checked(2 * a - b), 2 * of_a - of_b
        near = 1e-4 * wanted.abs().max()
        return bool((found - wanted).abs().max() <= near and zero.abs().max() <= near)


@torch.no_grad()
def conjugate_gradients(
    product: Callable[[Tensor], Tensor], values: Tensor, precise: float = PRECISE
) -> Tensor:
    """Solve K u = r for each row, (B, *), with a product by K, symmetric and not negative.

    A row that is precise stays as it is, so that no row depends on the others.

    Raises:
        TigonError: if one is not precise after `LONGEST` iterations
    """
    u, residual, direction = torch.zeros_like(values), values, values
    square = sum_event(residual**2)
    enough = precise**2 * square
    for _ in range(LONGEST):
        going = ~(square <= enough)  # so that what is not finite is no solution
        if not going.any():
            return u
        along = product(direction)
        size = torch.where(going, square / sum_event(direction * along), 0)
        size = size.view(-1, *[1] * (values.dim() - 1))
        u, residual = u + size * direction, residual - size * along
        fresh = sum_event(residual**2)
        ratio = torch.where(going, fresh / square, 0).view_as(size)
        direction = torch.where(going.view_as(size), residual + ratio * direction, direction)
        square = torch.where(going, fresh, square)
    raise TigonError(
        "what was observed hardly depends on some details of the images, so that they cannot be "
        "solved for: give a higher noise level"
    )
