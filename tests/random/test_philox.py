"""Philox's words elsewhere than on the CPU; `tests/exactness` compares them with known ones."""

import os
import subprocess
import sys
from functools import partial
from types import ModuleType

import numpy as np
import pytest
import torch

from tigon.random import philox

INDEX = np.array([0, 3, 2**40 + 7, -1])
DRAWN = np.array([0, 5, 2**31 + 9, 1])
CPU = torch.device("cpu")

INTERPRETED = """
import numpy as np, torch
from tigon.random import philox
from tigon.random.philox_triton import normals, words

index, drawn = np.array([0, 3, 2**40 + 7, -1]), np.array([0, 5, 2**31 + 9, 1])
for key in (0, 2**63 + 12345, 2**64 - 1):
    for blocks in (1, 300):
        ours = words(key, torch.from_numpy(np.stack([index, drawn])), blocks)
        theirs = philox.words(key, index, drawn, blocks, torch.device("cpu"))
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        numbers = normals(key, torch.from_numpy(np.stack([index, drawn])), blocks)
        assert torch.allclose(numbers, philox.normals(theirs, torch.float32), atol=1e-5)
assert normals(0, torch.zeros(2, 0, dtype=torch.int64), 3).shape == (0, 12)
assert [tuple(w.shape) for w in words(0, torch.zeros(2, 0, dtype=torch.int64), 3)] == [(0, 3)] * 4
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pytorchs_operations_make_the_numbers_that_numpys_make(dtype):
    arrays = philox.words(2**63 + 5, INDEX, DRAWN, 300, CPU)
    rows = torch.from_numpy(INDEX), torch.from_numpy(DRAWN)
    tensors = philox.philox(philox.counter(*rows, torch.arange(300)), 2**63 + 5)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, tensors, strict=True))
    assert torch.equal(philox.uniforms(arrays, dtype), philox.uniforms(tensors, dtype))
    close = 20 * torch.finfo(dtype).eps
    assert torch.allclose(
        philox.normals(arrays, dtype), philox.normals(tensors, dtype), atol=close
    )


def test_tritons_kernel_gives_the_same_words():
    """Interpreted on the CPU, in a separate process: Triton reads the variable once."""
    pytest.importorskip("triton", reason="triton is not installed")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", INTERPRETED], env=environment, check=True)


@pytest.mark.parametrize(("name", "out"), [("_philox", "*i64"), ("_box_muller", "*fp32")])
def test_tritons_kernels_compile_for_gpus(name, out):
    """No GPU is needed for that."""
    triton = pytest.importorskip("triton", reason="triton is not installed")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from tigon.random import philox_triton

    types = {"rows": "*i64", "out": out, "key": "i64", "blocks": "i32", "BLOCK": "constexpr"}
    source = ASTSource(getattr(philox_triton, name), types, {"BLOCK": philox_triton.BLOCK})
    for capability in (75, 90):
        assert triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_draws_the_noise_of_the_cpu():
    from tigon.random.streams import RowRng, normal, normals, uniform

    here, there = RowRng(0, 1, range(70)), RowRng(0, 1, range(70))
    like = torch.zeros(70, 9)
    for draw in (normal, uniform, partial(normals, times=3), normal):
        assert torch.allclose(draw(here, like), draw(there, like.cuda()).cpu(), atol=1e-5)


@pytest.fixture
def kernel(monkeypatch):
    """A module that stands for the kernel's."""
    philox.kernels_of.cache_clear()
    module = ModuleType("tigon.random.philox_triton")
    monkeypatch.setitem(sys.modules, "tigon.random.philox_triton", module)
    monkeypatch.setattr("tigon.random.philox_triton", module, raising=False)
    yield module
    philox.kernels_of.cache_clear()


def test_a_kernel_that_runs_is_used(kernel):
    kernel.words = kernel.normals = lambda key, rows, blocks: ()
    assert philox.kernels_of(torch.device("meta")) is kernel


def test_a_kernel_that_does_not_run_is_left_with_a_warning(kernel):
    def words(key, rows, blocks):
        raise RuntimeError("Failed to find C compiler")

    kernel.words = kernel.normals = words
    with pytest.warns(RuntimeWarning, match="without Triton.*C compiler"):
        assert philox.kernels_of(torch.device("meta")) is None


def test_without_triton_there_is_no_kernel(kernel, monkeypatch):
    monkeypatch.setitem(sys.modules, "tigon.random.philox_triton", None)
    monkeypatch.delattr("tigon.random.philox_triton")
    assert philox.kernels_of(torch.device("meta")) is None  # importing it fails
