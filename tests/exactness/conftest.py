"""`pytest tests/exactness --speed compiled`: the same tests with a speed option on.

`compiled` runs every chain on a `Compiled` log-density, and fails where one does not compile.
`memory` keeps freed memory.
"""

import pytest
import torch

from tigon.densities import log_density
from tigon.densities.compiled import Compiled
from tigon.mcmc.chain import MCMC
from tigon.memory import keep_freed_memory

MOST = 8  # densities of a test: a learner has a new one at each iteration; later ones are as ever


def pytest_addoption(parser):
    parser.addoption("--speed", choices=["none", "compiled", "memory"], default="none")


@pytest.fixture(autouse=True)
def speed(request, monkeypatch):
    """Turn the speed option on for one test."""
    asked = request.config.getoption("--speed")
    if asked == "memory":
        assert keep_freed_memory()
    if asked != "compiled":
        yield
        return
    every, asked, run, plainly = {}, set(), MCMC.run, log_density.evaluated

    def compiled(log_density, x):
        # a bound method is another object each time; what it is bound to, and it, are the same
        key = id(getattr(log_density, "__self__", log_density)), x.shape, x.dtype
        if key not in every and len(every) < MOST:
            every[key] = Compiled(log_density)
        return every.get(key, log_density)

    def evaluated(log_density, x):
        one = compiled(log_density, x)
        if not isinstance(one, Compiled) or one in asked:  # it asks here, where it did not compile
            return plainly(log_density, x)
        asked.add(one)
        try:
            return one.value_and_grad(x)
        finally:
            asked.discard(one)

    def in_blocks(chains, log_density, x, *others, **options):
        points = getattr(x, "x", x)
        return run(chains, compiled(log_density, points), x, *others, **options)

    torch.compiler.reset()
    monkeypatch.setattr(log_density, "evaluated", evaluated)
    monkeypatch.setattr(MCMC, "run", in_blocks)
    yield
    assert all(one.compiles for one in every.values())
