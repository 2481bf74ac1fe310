"""What a start imports: counted in fresh processes, since a timer would measure the machine."""

import json
import os
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


def test_models_samplers_and_learners_load_torch_and_numpy_alone():
    needed, _ = imported("import torch")
    found, _ = imported(f"import tigon; [getattr(tigon, name) for name in {CORE!r}]")
    assert "torch" in found and found - needed <= {"numpy"}


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


def test_verbs_import_what_only_some_of_them_use_when_they_use_it():
    found, _ = imported("import tigon.cli.verbs")
    assert not found & {"scipy", "sklearn", "fastapi", "uvicorn", "onnx", "datasets"}


WITHOUT_POSIX = """
import os, signal, sys
del signal.SIGHUP
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("pread", "pwrite", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY"):
    delattr(os, name)
opened = os.open
def open_file(path, *arguments, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return opened(path, *arguments, **options)
os.open = open_file
import tigon.cli.main
from pathlib import Path
from small import generator_recipe
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
run = Run(Path(sys.argv[1]))
experiment = Experiment("generator", generator_recipe(iterations=2), "embedded:animal-faces")
train(experiment, run.folder, device="cpu")
from tigon.__main__ import answer
from tigon.cli.main import main
sys.argv[1:] = ["sample", str(run.folder), "--count", "1", "--out", str(run.folder / "s.npz")]
assert main() == 0 and len(answer(lambda *_: None)) == 2
print(len(run.records()), run.learner().store.points.shape[0], *run.environment)
"""


def test_a_run_needs_nothing_that_windows_lacks(tmp_path):
    """Modules and functions of POSIX are taken away, and folders cannot be opened."""
    command = [sys.executable, "-c", WITHOUT_POSIX, str(tmp_path / "run")]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"PYTHONPATH": paths, "TIGON_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "this system has no locks" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("2 10 ") and "training_seconds" in done.stdout
    assert "peak_memory_mb" not in done.stdout


KERNEL = """
import sys
for name in ("PIL", "arviz_stats", "jinja2", "matplotlib", "rich", "safetensors", "scipy",
             "tomli_w", "tyro"):
    sys.modules[name] = None
import numpy as np
import torch
import tigon

x, rng = torch.zeros(500, 2), tigon.make_rng(0)
chains = tigon.MCMC(tigon.MALA(1.0), 50).run(lambda x: -x.square().sum(1) / 2, x, rng)
assert abs(chains.x.var().item() - 1) < 0.3
pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
images = tigon.ImageSet(pixels, list("abcde"), [])
assert torch.equal(tigon.as_data(images.read()).read(), images.read())
decoder = tigon.DCGANGenerator(2, 8, width=4, rng=rng)
starts = tigon.start_images(images, "mean-colour")
scores = tigon.ConvDescriptor(8, width=4, rng=rng)
energy = tigon.EnergyModel(scores, starts=starts, image_size=8)
for learner in (
    tigon.GeneratorLearner(tigon.GeneratorModel(decoder, 2), len(images), rng=rng),
    tigon.DescriptorLearner(energy),
):
    trainer = tigon.Trainer(learner, images, guard=tigon.Guard(), budget=tigon.Budget(3))
    assert [record["iteration"] for record in trainer.fit()] == [1, 2, 3]
"""


def test_samplers_and_learners_need_torch_and_numpy_alone():
    """Everything else that `pip install tigon` brings is for files, pages and the command line."""
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", KERNEL]
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
