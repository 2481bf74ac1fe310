"""`pytest tests/exactness --speed compiled`: the same tests with a speed option on.

`compiled` evaluates every log-density by `Compiled`, and fails where one does not compile.
`memory` keeps freed memory.
"""

import pytest
import torch

from tigon import densities
from tigon.compiled import Compiled
from tigon.memory import keep_freed_memory


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
    every = {}

    def evaluated(log_density, x):
        # a bound method is another object each time; what it is bound to, and it, are the same
        key = id(getattr(log_density, "__self__", log_density)), x.shape, x.dtype
        if key not in every:
            every[key] = Compiled(log_density)
        return every[key].value_and_grad(x)

    torch.compiler.reset()
    monkeypatch.setattr(densities, "evaluated", evaluated)
    yield
    # a learner has a new density at each iteration, and torch.compile makes eight of a function
    assert all(one.compiles for one in list(every.values())[:8])
