r"""A diagonal preconditioner for any kernel, which makes the density roughly isotropic.

With scales c, the kernel moves u = x / c on log p(c u), so that its drift and noise are scaled by
c^2 and c in x:

.. math:: x' = x + \tfrac{s^2}{2} c^2 \nabla \log p(x) + s\, c\, U

The Jacobian is constant, so the sampled density is the same.

References:
    Roberts and Stramer, "Langevin diffusions and Metropolis-Hastings algorithms", 2002.
"""

from dataclasses import dataclass

from torch import Tensor

from tigon.densities.log_density import LogDensity, value_and_grad
from tigon.mcmc.kernel import Info, Kernel, State
from tigon.random.streams import Rng


@dataclass(frozen=True, eq=False)
class Preconditioned:
    """A kernel whose steps in each coordinate are proportional to the width of the density.

    Arguments:
        kernel: moves the points; its momentum, if any, belongs to u
        scale: c > 0 for each coordinate, of the event's shape or broadcasting to it; see
            `estimate_scale`
    """

    kernel: Kernel
    scale: Tensor

    def __post_init__(self) -> None:
        if not bool((self.scale > 0).all()):
            raise ValueError("the scales of a preconditioner must be above 0")

    @property
    def step_size(self) -> float:
        """That of the inner kernel, in units of u."""
        return self.kernel.step_size

    @property
    def gradient_evaluations(self) -> int:
        """Those of the inner kernel."""
        return self.kernel.gradient_evaluations

    def init(self, log_density: LogDensity, x: Tensor, step_size: Tensor | None = None) -> State:
        """Return the state at x (B, *)."""
        return self.kernel.init(log_density, x, step_size)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain once, in the coordinates u."""
        inner = rescaled(state, 1 / self.scale)
        moved, info = self.kernel.step(Stretched(log_density, self.scale), inner, rng)
        return rescaled(moved, self.scale), info


@dataclass(frozen=True, eq=False)
class Stretched:
    """The log-density of u = x / scale, up to a constant: (B, *) to (B,)."""

    log_density: LogDensity
    scale: Tensor

    def __call__(self, u: Tensor) -> Tensor:
        """Return the log-density at scale * u."""
        return self.log_density(u * self.scale)

    def value_and_grad(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return it with its gradient in u, as the log-density itself computes gradients."""
        value, gradient = value_and_grad(self.log_density, u * self.scale)
        return value, gradient * self.scale


def rescaled(state: State, scale: Tensor) -> State:
    """Return the state in the coordinates scale * x; momenta are not rescaled."""
    return state.replaced(
        x=state.x * scale,
        gradient=state.gradient / scale,
        others=tuple(rescaled(other, scale) for other in state.others),
    )


def estimate_scale(points: Tensor) -> Tensor:
    """Return each coordinate's standard deviation over chains or draws, with geometric mean 1.

    Arguments:
        points: points (N, *), N >= 2, from converged chains
    Returns:
        the scales (*); a coordinate that does not vary gets the scale of the narrowest that does
    Raises:
        ValueError: if no coordinate varies, or any is not finite
    """
    deviation = points.std(0) if len(points) > 1 else points.new_zeros(points.shape[1:])
    varies = deviation > 0
    if not bool(varies.any()) or not bool(deviation.isfinite().all()):
        raise ValueError("scales cannot be estimated: points do not vary, or are not finite")
    deviation = deviation.clamp(min=deviation[varies].min().item())
    return deviation / deviation.log().mean().exp()
