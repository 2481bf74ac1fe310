"""A compiled log-density gives the same values, gradients and draws, or warns if it cannot."""

import pytest
import torch
from torch import nn

from targets import correlated_gaussian, refuses_to_compile
from tigon.densities.compiled import Compiled
from tigon.densities.log_density import value_and_grad
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.mcmc.preconditioning import Preconditioned
from tigon.random.streams import make_rng


@pytest.mark.slow
def test_a_compiled_density_gives_the_same_chains_and_follows_its_parameters():
    network = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)).double()
    plain = lambda x: network(x) - (x**2).sum(1)  # noqa: E731
    compiled = Compiled(plain)
    x = torch.randn(7, 3, generator=make_rng(0), dtype=torch.float64)
    for _ in range(2):
        for mine, theirs in zip(
            value_and_grad(compiled, x), value_and_grad(plain, x), strict=True
        ):
            assert torch.allclose(mine, theirs, rtol=1e-12) and not mine.requires_grad
        ours, others = (MCMC(MALA(0.5), 50).run(f, x, make_rng(1)) for f in (compiled, plain))
        assert torch.allclose(ours.x, others.x, rtol=1e-9)
        with torch.no_grad():
            network[0].weight.mul_(1.5)
    assert compiled.compiles


@pytest.mark.slow
def test_a_preconditioned_kernel_asks_the_compiled_density():
    class Counted(Compiled):
        asked = 0

        def value_and_grad(self, x):
            self.asked += 1
            return super().value_and_grad(x)

    target, scale = correlated_gaussian(), torch.tensor([0.5, 1.0, 2.0]).double()
    compiled = Counted(target)
    x = torch.ones(4, 3, dtype=torch.float64)
    kernel = Preconditioned(MALA(0.5), scale)
    ours = MCMC(kernel, 20).run(compiled, x, make_rng(0))
    assert compiled.compiles and compiled.asked == 21
    assert torch.allclose(ours.x, MCMC(kernel, 20).run(target, x, make_rng(0)).x, rtol=1e-9)


def test_what_cannot_be_compiled_is_evaluated_and_said_once(recwarn):
    density, x = Compiled(refuses_to_compile), torch.ones(4, 3, dtype=torch.float64)
    for _ in range(2):
        value, gradient = value_and_grad(density, x)
        expected = value_and_grad(correlated_gaussian(), x)
        assert torch.equal(value, expected[0]) and torch.equal(gradient, expected[1])
    said = [str(w.message) for w in recwarn if w.category is RuntimeWarning]
    assert len(said) == 1 and "evaluated without compilation" in said[0] and not density.compiles


def test_what_is_wrong_with_a_density_is_said_as_without_compiling():
    with pytest.raises(ValueError, match="a log-density must map"):
        value_and_grad(Compiled(lambda x: x.sum()), torch.ones(4, 3))
