"""Chains that take several compiled steps at once are those that take one at a time."""

from dataclasses import replace

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from targets import correlated_gaussian, refuses_to_compile
from tigon.densities.compiled import Compiled
from tigon.mcmc.adaptation import DualAveraging, StepSizeDecay
from tigon.mcmc.blocks import block_of
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.preconditioning import Preconditioned
from tigon.random.streams import RowRng, make_rng

CHAINS = {
    "MALA": MCMC(MALA(0.5), 21, DualAveraging(0.57)),
    "HMC": MCMC(HMC(0.3, 3), 7),
    "Langevin": MCMC(Langevin(0.3), 17, StepSizeDecay(0.98), Langevin(0.3, temperature=0.0)),
    "Underdamped": MCMC(UnderdampedLangevin(0.3), 17),
    "end not evaluated": MCMC(Langevin(0.3), 16, evaluate_end=False),
}


def points():
    return torch.randn(5, 3, generator=make_rng(0), dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("chains", CHAINS.values(), ids=CHAINS)
def test_blocks_of_steps_are_the_steps(chains):
    target = correlated_gaussian()
    compiled = Compiled(target)
    for rng, keep in ((lambda: make_rng(1), 0), (lambda: RowRng(0, 0, range(5)), 5)):
        ours = chains.run(compiled, points(), rng(), keep=keep)
        plain = chains.run(target, points(), rng(), keep=keep)
        assert compiled.compiles
        assert torch.allclose(ours.x, plain.x, rtol=1e-9)
        assert torch.allclose(ours.accept_prob, plain.accept_prob, rtol=1e-9)
        assert torch.allclose(ours.step_size, plain.step_size, rtol=1e-9)
        if keep:
            assert torch.allclose(ours.trajectory, plain.trajectory, rtol=1e-9)
            assert torch.allclose(ours.log_densities, plain.log_densities, rtol=1e-9)


def test_a_density_that_cannot_be_compiled_takes_the_same_steps_one_operation_at_a_time(recwarn):
    density, chains = Compiled(refuses_to_compile), CHAINS["MALA"]
    ours = chains.run(density, points(), make_rng(1), keep=1)
    plain = chains.run(correlated_gaussian(), points(), make_rng(1), keep=1)
    assert not density.compiles
    assert torch.allclose(ours.trajectory, plain.trajectory, rtol=1e-12)
    assert len([w for w in recwarn if w.category is RuntimeWarning]) == 1


def test_a_failing_block_takes_the_noise_that_was_drawn_for_it():
    """The trajectory goes on from the same noise where a later block cannot be compiled."""
    density, chains = Compiled(correlated_gaussian()), replace(CHAINS["MALA"], adaptation=None)
    plain = chains.run(correlated_gaussian(), points(), make_rng(1))

    def broken(*_):
        raise TorchDynamoException("no kernel for this")

    block = block_of(density, chains.kernel, None, False, chains.steps)
    density._compiled[(chains.kernel, None, block.steps, False)] = broken
    density._compiled["value_and_grad"] = broken
    with pytest.warns(RuntimeWarning, match="evaluated without compilation"):
        ours = chains.run(density, points(), make_rng(1))
    assert torch.allclose(ours.x, plain.x, rtol=1e-12)


def test_an_error_that_is_not_of_compiling_is_raised():
    density, chains = Compiled(correlated_gaussian()), replace(CHAINS["MALA"], adaptation=None)

    def full(*_):
        raise MemoryError("the machine is full")

    block = block_of(density, chains.kernel, None, False, chains.steps)
    density._compiled[(chains.kernel, None, block.steps, False)] = full
    density._compiled["value_and_grad"] = full
    with pytest.raises(MemoryError, match="is full"):
        chains.run(density, points(), make_rng(1))
    assert density.compiles


@pytest.mark.parametrize(
    ("log_density", "kernel"),
    [
        (correlated_gaussian(), MALA(0.5)),
        (Compiled(correlated_gaussian()), HMC(0.3, Compiled.longest)),
        (Compiled(correlated_gaussian()), Preconditioned(MALA(0.5), torch.ones(3))),
    ],
    ids=["a plain density", "long trajectories", "a kernel around another"],
)
def test_there_are_blocks_only_where_several_steps_can_be_one_function(log_density, kernel):
    assert block_of(log_density, kernel, None, False, 30) is None


@pytest.mark.parametrize("kernel", [MALA(0.5), Langevin(0.3), UnderdampedLangevin(0.3)])
def test_kernels_whose_noise_is_known_beforehand_take_blocks(kernel):
    block = block_of(Compiled(correlated_gaussian()), kernel, None, False, 30)
    assert block is not None and block.steps > 1


@pytest.mark.parametrize(("alike", "steps"), [(0, None), (1, None), (5, 5), (16, 8), (20, 6)])
def test_blocks_are_about_equally_long(alike, steps):
    block = block_of(Compiled(correlated_gaussian()), MALA(0.5), None, False, alike)
    assert (block and block.steps) == steps
