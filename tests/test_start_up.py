"""What a start imports: counted in fresh processes, since a timer would measure the machine."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "PIL", "arviz_stats", "datasets", "fastapi", "huggingface_hub", "jinja2", "matplotlib",
    "numpy", "onnx", "onnxruntime", "pandas", "rich", "safetensors", "scipy", "sklearn",
    "tensorboard", "torch", "tyro", "uvicorn", "websockets", "xarray",
}  # fmt: skip
CORE = (
    "MCMC", "MALA", "HMC", "Langevin", "ReplicaExchange", "Preconditioned", "DualAveraging",
    "ChainStore", "RowRng", "EnergyModel", "GeneratorModel", "DCGANGenerator", "ConvDescriptor",
    "GeneratorLearner", "DescriptorLearner",
)  # fmt: skip
COUNT = """
import json, sys
status = 0
try:
    {}
except SystemExit as end:
    status = end.code
print(json.dumps([sorted({{name.partition(".")[0] for name in sys.modules}}), status]))
"""


def imported(code):
    """Return the heavy packages that are imported when this code ends, and its exit status."""
    command = [sys.executable, "-c", COUNT.format(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules, status = json.loads(done.stdout.splitlines()[-1])
    return HEAVY & set(modules), status


def command_line(*words):
    """Return what a command line imports, and its exit status."""
    return imported(f"sys.argv = ['tigon', *{words!r}]; from tigon.__main__ import run; run()")


def test_the_package_imports_nothing_until_a_name_is_used():
    assert imported("import tigon") == (set(), 0)


def test_models_samplers_and_learners_need_torch_and_what_reads_images():
    needed, _ = imported("import torch")
    found, _ = imported(f"import tigon; [getattr(tigon, name) for name in {CORE!r}]")
    assert "torch" in found and found - needed <= {"numpy", "PIL"}


@pytest.mark.parametrize(
    "words, status",
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 2),
        (["lern"], 2),
    ],
)
def test_help_and_a_verb_that_there_is_not_import_nothing(words, status):
    assert command_line(*words) == (set(), status)
