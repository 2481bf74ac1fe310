r"""Annealed importance sampling: the constant that a log-density lacks, from below and from above.

Of a target :math:`g` over points u, :math:`Z = \int \exp g(u) \, du`. Between N(0, I) and the
target lie

.. math:: \log f_\beta(u) = (1 - \beta) \log N(u; 0, I) + \beta \, g(u), \qquad
          0 = \beta_0 < \beta_1 < \dots < \beta_K = 1

A chain from a draw of N(0, I) takes a step of Hamiltonian Monte Carlo at each of them, and has a
weight whose mean is Z. One from a draw of the target takes the same steps backwards, and the
inverse of its weight has the mean 1 / Z:

.. math::
    \log w = \sum_{k=1}^K (\beta_k - \beta_{k-1}) \, (g - \log N)(u_{k-1}), \qquad
    E_\text{forward}[w] = Z, \quad E_\text{backward}[w^{-1}] = 1 / Z

By Jensen's inequality, the logarithm of a mean of weights is below log Z in expectation, and from
the other side above it. By Markov's, chance moves it so far to the wrong side with a probability
that is known (`mcmc.weights`): ends and what chance may have done make the bracket. Both hold for
chains that mix badly too: then the two ends are far apart.

Step sizes and temperatures are found by a pilot that runs forward on chains of its own, and are
frozen before the first chain that counts: neighbours are equally far apart by the deviation of
g - log N, with which the variance of log w grows.

References:
    Neal, "Annealed importance sampling", Statistics and Computing 2001.
    Grosse, Ghahramani and Adams, "Sandwiching the marginal likelihood using bidirectional Monte
    Carlo", 2015.
    Gelman and Meng, "Simulating normalizing constants", Statistical Science 1998, section 4.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.densities.gaussian import Gaussian
from tigon.densities.log_density import LogDensity, value_and_grad
from tigon.errors import TigonError
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.kernel import State
from tigon.mcmc.weights import Side, least, most, resampled, side
from tigon.random.streams import Rng, normal

NORMAL = Gaussian()
APART = 1.0  # deviations of g - log N, times the step in beta, between the pilot's temperatures
TRIED = 4  # the pilot's steps at each of them
MOST = 2000  # of them: a target that is not reached by then has no Z that could be found
SETTLE = 4  # steps on the target before chains go back, which parts those of one draw


class Point(NamedTuple):
    """Where chains are.

    Attributes:
        u: points, (S, *)
        target, gradient: g and its gradient there, (S,) and (S, *)
    """

    u: Tensor
    target: Tensor
    gradient: Tensor

    @property
    def ratio(self) -> Tensor:
        """g - log N, of multiples of which log w is the sum, (S,) in double precision."""
        return self.target.double().cpu() - NORMAL.log_prob(self.u.cpu().double())


class Plan(NamedTuple):
    """What a pilot found.

    Attributes:
        betas: inverse temperatures from 0 to 1, (K + 1,)
        step_sizes: at each of them, (K + 1,)
    """

    betas: Tensor
    step_sizes: Tensor

    def steps(self) -> list[tuple[float, float, float]]:
        """Return, of each inverse temperature but 0, that before it, itself and its step size."""
        betas, sizes = self.betas.tolist(), self.step_sizes.tolist()
        return list(zip(betas[:-1], betas[1:], sizes[1:], strict=True))

    def of(self, count: int) -> "Plan":
        """Return a plan of `count` temperatures besides 0, as evenly apart as these are."""
        places = torch.linspace(0, len(self.betas) - 1, count + 1, dtype=torch.float64)
        first = places.long().clamp(max=len(self.betas) - 2)
        part = places - first
        betas = torch.lerp(self.betas[first], self.betas[first + 1], part)
        logs = self.step_sizes.log()
        return Plan(betas, torch.lerp(logs[first], logs[first + 1], part).exp())


class Weighted(NamedTuple):
    """Chains that have gone from one end to the other.

    Attributes:
        log_weights: log w of each, (S,) in double precision
        u: where they ended, (S, *)
        accept: mean acceptance of all; healthy is about 0.5 to 0.95
    """

    log_weights: Tensor
    u: Tensor
    accept: float


class Bracket(NamedTuple):
    """What log Z lies between, in nats: its ends, and how far chance may have moved them.

    Attributes:
        below: from chains that start at draws of N(0, I)
        above: from chains that start at draws of the target, or near them
        accept: mean acceptance of all chains; healthy is about 0.5 to 0.95
    """

    below: Side
    above: Side
    accept: float

    @property
    def lower(self) -> float:
        """What log Z is not below: wrong with a probability of at most 0.0005."""
        return least([self.below])

    @property
    def upper(self) -> float:
        """What log Z is not above, likewise, if chains from above started at exact draws.

        Otherwise it is only an estimate, as if they had.
        """
        return most([self.above])


@dataclass(frozen=True)
class AIS:
    """Annealed importance sampling: how many chains, and how slowly they go.

    Arguments:
        chains: S >= 2, in each direction
        temperatures: K >= 1; twice as many make the bracket about half as wide
        leapfrog_steps: gradient evaluations of the step at each temperature, >= 1
    """

    chains: int = 8
    temperatures: int = 25
    leapfrog_steps: int = 3

    def __post_init__(self) -> None:
        for name, lowest in (("chains", 2), ("temperatures", 1), ("leapfrog_steps", 1)):
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} must be at least {lowest}, not {getattr(self, name)}")

    def bracket(
        self, target: LogDensity, like: Tensor, rng: Rng, draws: Tensor | None = None
    ) -> Bracket:
        """Estimate log Z of a target from both sides.

        Arguments:
            target: g, row by row
            like: a point (1, *), for shape, type and device
            rng: one generator, or streams of `chains` rows
            draws: exact draws of the target (n, *), n dividing `chains`, from which chains go
                back; if there are none, they start where those from N(0, I) have ended, resampled
                by their weights, and are no bound
        Raises:
            TigonError: if the target is not finite, or cannot be reached
            ValueError: if the number of draws does not divide that of chains

        Example:
            found = tigon.AIS(64).bracket(lambda u: -(u**4).sum(1), torch.zeros(1, 2), rng)
            found.lower, found.upper
        """
        if draws is not None and (not len(draws) or self.chains % len(draws)):
            raise ValueError(f"{len(draws)} draws do not divide {self.chains} chains")
        like = like.new_zeros(self.chains, *like.shape[1:])
        plan = self._pilot(target, like, rng)
        forward = self._forward(target, like, plan, rng)
        if draws is None:
            origins = resampled(forward.log_weights, len(like), rng).cpu()
            u = forward.u[origins.to(like.device)]
        else:
            origins = torch.arange(len(draws)).repeat_interleave(len(like) // len(draws))
            u = draws.to(like)[origins.to(like.device)]
        backward = self._backward(target, u, plan, rng)
        accept = (forward.accept + backward.accept) / 2
        above = side(-backward.log_weights, origins).mirrored()
        found = Bracket(side(forward.log_weights), above, accept)
        if not math.isfinite(found.below.value + found.above.value):
            raise TigonError("the log-density is not finite where the chains go")
        return found

    def _pilot(self, target: LogDensity, like: Tensor, rng: Rng) -> Plan:
        """Find temperatures and step sizes with chains that count for nothing else."""
        point, beta = started(target, normal(rng, like)), 0.0
        betas, logs, ratios = [0.0], [], point.ratio[None]
        size = like.new_full(like.shape[:1], self._kernel.step_size)
        moving = MCMC(self._kernel, 1, StepSizeAdaptation(HMC.target_accept, gain=1.0))
        while beta < 1:
            spread = ratios.var(1).mean().sqrt().item()
            if not math.isfinite(spread):
                raise TigonError("the log-density is not finite where the chains go")
            if len(betas) > MOST:
                raise TigonError(
                    f"the density is not reached from its reference in {MOST} temperatures"
                )
            beta, visited = min(1.0, beta + APART / max(spread, APART / 2)), []
            for _ in range(TRIED):
                point, size, _ = moved(moving, target, point, beta, size, rng)
                visited.append(point.ratio)
            ratios = torch.stack(visited)
            betas.append(beta)
            logs.append(size.double().log().mean().item())
        found = torch.tensor([betas, [logs[0], *logs]], dtype=torch.float64)
        return Plan(found[0], found[1].exp()).of(self.temperatures)

    def _forward(self, target: LogDensity, like: Tensor, plan: Plan, rng: Rng) -> Weighted:
        """Run chains from draws of N(0, I), as many as `like` (S, *) has rows, to the target."""
        point = started(target, normal(rng, like))
        weights, accept = torch.zeros_like(point.ratio), 0.0
        for before, beta, size in plan.steps():
            weights += (beta - before) * point.ratio
            point, accepted = self._moved(target, point, beta, size, rng)
            accept += accepted / self.temperatures
        return Weighted(weights, point.u, accept)

    def _backward(self, target: LogDensity, u: Tensor, plan: Plan, rng: Rng) -> Weighted:
        """Run chains from draws of the target u (S, *) back to N(0, I).

        Steps on the target come first: if u are exact draws, they still are, and those of one
        draw have parted.
        """
        point = started(target, u)
        weights, accept = torch.zeros_like(point.ratio), 0.0
        for _ in range(SETTLE):
            point, _ = self._moved(target, point, 1.0, plan.steps()[-1][2], rng)
        for before, beta, size in reversed(plan.steps()):
            point, accepted = self._moved(target, point, beta, size, rng)
            weights += (beta - before) * point.ratio
            accept += accepted / self.temperatures
        return Weighted(weights, point.u, accept)

    def _moved(
        self, target: LogDensity, point: Point, beta: float, size: float, rng: Rng
    ) -> tuple[Point, float]:
        """Take the step of a temperature with its frozen step size; return the acceptance too."""
        sizes = point.u.new_full(point.u.shape[:1], size)
        point, _, accept = moved(MCMC(self._kernel, 1), target, point, beta, sizes, rng)
        return point, accept

    @property
    def _kernel(self) -> HMC:
        return HMC(0.3, self.leapfrog_steps)


def started(target: LogDensity, u: Tensor) -> Point:
    """Return chains at these points (S, *): one gradient evaluation."""
    return Point(u, *value_and_grad(target, u))


def moved(
    chains: MCMC, target: LogDensity, point: Point, beta: float, size: Tensor, rng: Rng
) -> tuple[Point, Tensor, float]:
    """Move points at an inverse temperature above 0; return step sizes and mean acceptance too.

    From f_beta and its gradient those of the target are solved for, so that no point is evaluated
    once more when beta changes.
    """

    def between(u: Tensor) -> Tensor:
        return (1 - beta) * NORMAL.log_prob(u) + beta * target(u)

    value = (1 - beta) * NORMAL.log_prob(point.u) + beta * point.target
    gradient = beta * point.gradient - (1 - beta) * point.u
    trace = chains.run(between, State(point.u, value, gradient, size), rng)
    state = trace.state
    own = (state.log_density - (1 - beta) * NORMAL.log_prob(state.x)) / beta
    slope = (state.gradient + (1 - beta) * state.x) / beta
    return Point(state.x, own, slope), state.step_size, trace.accept_prob.mean().item()
