"""`pytest tests/exactness --speed compiled`: the same tests with a speed option on.

`compiled` evaluates every log-density by `Compiled`. `memory` keeps freed memory.
"""

import weakref

import pytest

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
        return
    from tigon.mcmc import kernel

    compiled = weakref.WeakKeyDictionary()

    def value_and_grad(log_density, x):
        if log_density not in compiled:
            compiled[log_density] = Compiled(log_density)
        return compiled[log_density].value_and_grad(x)

    monkeypatch.setattr(kernel, "value_and_grad", value_and_grad)
