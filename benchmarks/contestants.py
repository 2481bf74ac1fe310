"""Densities, and the samplers of three libraries on them, for `chains.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ebm
import torch
from torch import Tensor, nn
from torchebm.core import BaseModel
from torchebm.samplers import HamiltonianMonteCarlo, LangevinDynamics

from tigon import (
    HMC,
    MALA,
    MCMC,
    GeneratorModel,
    Langevin,
    ReplicaExchange,
    UnderdampedLangevin,
    make_rng,
    warm_up,
)
from tigon.densities.log_density import LogDensity
from tigon.mcmc.kernel import Kernel
from tigon.random.streams import seed_of

Sampler = Callable[[LogDensity, Tensor, int, int], Tensor]  # the last: steps, seed
PLAIN = ("Langevin", "MALA", "HMC", "UnderdampedLangevin")
LEAPFROG = 6


@dataclass(frozen=True)
class Target:
    """A density with the numbers that its contestants share.

    Arguments:
        draws: of the density, (N, d); chains start there
        variance: of each coordinate, (d,)
        sizes: step sizes s, by kernel
    """

    name: str
    log_density: LogDensity
    draws: Tensor
    variance: Tensor
    sizes: dict[str, float]


def gaussian(name: str, covariance: Tensor, sizes: dict[str, float]) -> Target:
    """Return N(0, covariance)."""
    precision, d = torch.linalg.inv(covariance), len(covariance)
    noise = torch.randn(1000, d, generator=make_rng("starts"), dtype=covariance.dtype)
    draws = noise @ torch.linalg.cholesky(covariance).T
    return Target(
        name, lambda x: -((x @ precision) * x).sum(1) / 2, draws, covariance.diag(), sizes
    )


def banana(sizes: dict[str, float]) -> Target:
    """Return x ~ N(0, 1), y ~ N(x^2 / 2, 1), whose variance is 1.5."""
    noise = torch.randn(1000, 2, generator=make_rng("starts"), dtype=torch.float64)
    draws = torch.stack([noise[:, 0], noise[:, 0] ** 2 / 2 + noise[:, 1]], 1)

    def log_density(x: Tensor) -> Tensor:
        return -(x[:, 0] ** 2 + (x[:, 1] - x[:, 0] ** 2 / 2) ** 2) / 2

    return Target("banana, d = 2", log_density, draws, draws.new_tensor([1.0, 1.5]), sizes)


def mixture(sizes: dict[str, float]) -> Target:
    """Return two Gaussians of unit variance, eight apart, of equal weight."""
    rng = make_rng("starts")
    noise = torch.randn(1000, 2, generator=rng, dtype=torch.float64)
    centre = torch.tensor([4.0, 0.0], dtype=torch.float64)
    draws = noise + centre * (2 * torch.randint(2, (1000, 1), generator=rng) - 1)

    def log_density(x: Tensor) -> Tensor:
        first, second = (-((x - c) ** 2).sum(1) / 2 for c in (centre, -centre))
        return torch.logaddexp(first, second)

    return Target("two modes, d = 2", log_density, draws, draws.new_tensor([17, 1]), sizes)


def posterior(sizes: dict[str, float]) -> Target:
    """Return the posterior of 8 latents given 768 pixels of a tanh network; draws by long MALA."""
    rng = make_rng("network")
    network = nn.Sequential(nn.Linear(8, 256), nn.Tanh(), nn.Linear(256, 768))
    for weight in network.parameters():
        scale = weight.shape[-1] ** -0.5
        nn.init.normal_(weight, 0, scale, generator=rng).requires_grad_(False)
    model = GeneratorModel(network, 8, sigma=3.0)
    z = model.latents(1, rng, torch.zeros(1))
    seen = model(z) + 3 * torch.randn(1, 768, generator=rng)
    log_density = model.posterior(seen)
    warm = warm_up(MALA(0.4), log_density, model.latents(250, rng, z), rng, 200)
    draws = MCMC(warm.kernel, 1500).run(log_density, warm.x, rng, warm.step_size, keep=1)
    assert draws.trajectory is not None
    found = draws.trajectory.double().flatten(0, 1).var(0)
    return Target("posterior of a tanh network, d = 8", log_density, draws.x, found, sizes)


def targets() -> list[Target]:
    """Return the targets, each in the precision that it says."""
    at = torch.arange(10, dtype=torch.float64)
    correlated = 0.7 ** (at[:, None] - at).abs()
    turn, _ = torch.linalg.qr(torch.randn(10, 10, generator=make_rng("turn"), dtype=at.dtype))
    ill = (turn * torch.logspace(-1.5, 0, 10, dtype=at.dtype)) @ turn.T
    return [
        gaussian("Gaussian, d = 10, neighbours correlate 0.7", correlated, sizes(0.55, 0.3, 0.45)),
        gaussian("Gaussian, d = 10, condition 32", ill.float(), sizes(0.28, 0.15, 0.25)),
        banana(sizes(0.8, 0.3, 0.6)),
        posterior(sizes(0.46, 0.22, 0.4)),
        mixture({"ReplicaExchange": 1.2}),
    ]


def sizes(mala: float, unadjusted: float, hmc: float) -> dict[str, float]:
    """Return step sizes by kernel: MALA's and HMC's are accepted at 0.55 to 0.8."""
    return dict(zip(PLAIN, (unadjusted, mala, hmc, unadjusted), strict=True))


def contestants(kernel: str, s: float) -> dict[str, Sampler]:
    """Return the samplers of one kind by library, all with the step size s."""
    eps = s**2 / 2
    if kernel == "Langevin":
        return {
            "tigon": ours(Langevin(s)),
            "ebmkit": of_ebmkit(ebm.LangevinDynamics(eps)),
            "torchebm": of_torchebm(LangevinDynamics, step_size=eps),
        }
    if kernel == "MALA":
        return {"tigon": ours(MALA(s)), "ebmkit": of_ebmkit(ebm.MALA(eps))}
    if kernel == "UnderdampedLangevin":
        peer = of_ebmkit(ebm.UnderdampedLangevin(s, friction=1.0))
        longer = ours(UnderdampedLangevin(1.5 * s))
        return {"tigon": ours(UnderdampedLangevin(s)), "tigon, 1.5 s": longer, "ebmkit": peer}
    if kernel == "ReplicaExchange":
        peer = of_ebmkit(ebm.ParallelTempering(ebm.MALA(eps)))
        return {"tigon": ours(ReplicaExchange(MALA(s))), "ebmkit": peer}
    return {
        "tigon": ours(HMC(s, LEAPFROG, jitter=0.0)),
        "tigon, jitter 0.2": ours(HMC(s, LEAPFROG)),
        "ebmkit": of_ebmkit(ebm.HMC(s, LEAPFROG)),
        "torchebm": of_torchebm(HamiltonianMonteCarlo, step_size=s, n_leapfrog_steps=LEAPFROG),
    }


def ours(kernel: Kernel) -> Sampler:
    """Wrap a kernel of tigon as a function that returns a trajectory (steps, B, d)."""

    def run(log_density: LogDensity, x: Tensor, steps: int, seed: int) -> Tensor:
        draws = MCMC(kernel, steps).run(log_density, x, make_rng("run", seed), keep=1)
        assert draws.trajectory is not None
        return draws.trajectory

    return run


def of_ebmkit(sampler: ebm.Sampler) -> Sampler:
    """Return a sampler of ebmkit, which takes energies, in the same form."""

    def run(log_density: LogDensity, x: Tensor, steps: int, seed: int) -> Tensor:
        torch.manual_seed(seed_of("run", seed))
        found = sampler.sample(lambda x: -log_density(x), x, steps=steps, return_trajectory=True)
        return found[1:]

    return run


class Energy(BaseModel):
    """What torchebm needs from an energy."""

    def __init__(self, log_density: LogDensity, dtype: torch.dtype) -> None:
        super().__init__(dtype=dtype)
        self.log_density = log_density

    def forward(self, x: Tensor) -> Tensor:
        """Return the energy, (B,)."""
        return -self.log_density(x)


def of_torchebm(make: Callable[..., Any], **numbers: float) -> Sampler:
    """Return a sampler of torchebm in the same form."""

    def run(log_density: LogDensity, x: Tensor, steps: int, seed: int) -> Tensor:
        sampler = make(Energy(log_density, x.dtype), dtype=x.dtype, **numbers)
        rng = make_rng("run", seed)
        found = sampler.sample(x=x, n_steps=steps, return_trajectory=True, generator=rng)
        return found.transpose(0, 1)

    return run
