"""A third kind of model in one file: nothing in src/ names it, and every verb takes it.

Contrastive divergence: chains start at the images themselves, and the network learns from where
they drift to.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

import tigon
from explored import make_pictures
from small import generator_recipe
from tigon.cli.main import main
from tigon.densities.log_density import frozen, sum_event
from tigon.diagnostics.examination import Examination
from tigon.diagnostics.rules.base import Finding, Level
from tigon.learners.base import Learner, contrastive_loss, mean_over
from tigon.learners.metrics import Metric
from tigon.models.base import Model
from tigon.models.config import build, register_part
from tigon.recipes import recipes, register
from tigon.recipes.base import Recipe
from tigon.runs.diagnosis import diagnose
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.settings import AdamSettings


class Bowl(nn.Module):
    """The network: scores (B, C, H, W) to (B,) that are highest at one image."""

    def __init__(self, side: int, width: float) -> None:
        super().__init__()
        self.middle, self.width = nn.Parameter(torch.zeros(3, side, side)), width

    def forward(self, x):
        return -sum_event((x - self.middle) ** 2) / (2 * self.width**2)


@register_part
class ToyModel(Model):
    """Images around one image, drawn by chains."""

    def __init__(self, side: int, width: float) -> None:
        super().__init__()
        self.side, self.network = side, Bowl(side, width)
        self.chains = tigon.MCMC(tigon.MALA(width / 4), 8)

    @property
    def image_shape(self):
        return 3, self.side, self.side

    def log_density(self, x):
        return self.network(x)

    def sample(self, count, rng):
        start = self.network.middle.detach().expand(count, -1, -1, -1)
        with frozen(self):
            return self.chains.run(self.log_density, start, rng).x

    def config(self):
        return {"side": self.side, "width": self.network.width}

    @classmethod
    def from_config(cls, config):
        return build(cls, config)


class ToyLearner(Learner):
    """Learns the middle by contrastive divergence."""

    metrics = (
        Metric("toy_error", "Toy error", "squared", "lower", (0.0, 0.5), "log", "It falls.",
               "the squared distance of the middle: it falls", progress=".3f", figure="toy-error"),
    )  # fmt: skip
    measure = "toy_error"
    evaluations_per_example = 11

    def __init__(self, model: ToyModel) -> None:
        super().__init__()
        self.model = model

    def run_chains(self, batch, rng):
        with frozen(self.model):
            return self.model.chains.run(self.model.log_density, batch.images, rng).x

    def forward(self, batch, samples):
        self.gradient_evaluations += self.evaluations_per_example * batch.size
        observed, drawn = self.model.network(batch.images), self.model.network(samples)
        squares = sum_event((batch.images.mean(0) - self.model.network.middle)[None] ** 2)
        error = mean_over(squares.expand(len(batch.images)), batch)
        return contrastive_loss(observed, drawn, batch), {"toy_error": error}


@dataclass(frozen=True)
class ToyRecipe(Recipe):
    """Learn one image, by contrastive divergence.

    Arguments:
        width: of the bowl, on the scale of [-1, 1]
    """

    name: ClassVar = "toy"
    about: ClassVar = "one image"
    noun: ClassVar = "toy"
    learner_type: ClassVar = ToyLearner
    model_type: ClassVar = ToyModel

    image_size: int = 8
    iterations: int = 120
    width: float = 0.2
    optimizer: AdamSettings = AdamSettings(5e-2)

    def model(self):
        return ToyModel(self.image_size, self.width)

    def learner(self, images):
        return ToyLearner(self.model())

    def restored(self, chains, files=None):
        return ToyLearner(self.model())

    def describe(self):
        return "A toy that knows one image."

    def examine(self, learner, images, records, length, seed):
        size = learner.model.network.middle.abs().max().item()
        level = Level.GOOD if size < 1.5 else Level.BAD
        found = Finding("toy's middle", level, f"it reaches {size:.2f}", value=size)
        return Examination([found], examined=True)


# So much for the kind. What follows uses it.


@pytest.fixture(scope="module", autouse=True)
def registered():
    register(ToyRecipe)
    yield
    del recipes()["toy"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """A run of the toy, and one of a generator."""
    home = tmp_path_factory.mktemp("extension")
    words = ["train", "toy", "--data", str(pictures), "--out", str(home / "toy"), "--tensorboard"]
    assert main([*words, "--width", "0.25"]) == 0
    train(Experiment("generator", generator_recipe(), str(pictures)), home / "other")
    return home / "toy"


def test_the_kind_has_no_more_than_150_lines_and_src_has_none_of_it():
    lines = Path(__file__).read_text().split("\n# So much for the kind.")[0].splitlines()
    assert len(lines) - lines.index("class Bowl(nn.Module):") <= 150
    source = Path(tigon.__file__).parent
    texts = [path.read_text().lower() for path in source.rglob("*.py")]
    assert len(texts) > 100 and not any("toy_" in text or "bowl" in text for text in texts)


def test_its_metric_stands_in_metrics_progress_tensorboard_and_report(run, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    records = Run(run).records()
    assert len(records) == 120 and records[-1]["toy_error"] < records[0]["toy_error"] / 4
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("toy_error")] == list(range(1, 121))
    page = (run / "report.html").read_text()
    assert "A toy that knows one image." in page and "Toy error" in page and "It falls." in page
    assert (run / "figures" / "toy-error.png").exists() and (run / "figures/samples.png").exists()
    main(["resume", str(run), "--iterations", "121"])
    said = capsys.readouterr().err
    assert "toy error is the squared distance" in said and "toy error 0." in said


def test_its_help_names_its_numbers(capsys):
    assert main(["train", "toy", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--width" in said and "Learn one image" in said


def test_it_is_diagnosed_with_a_finding_of_its_own_and_by_its_band(run, capsys):
    assert main(["diagnose", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = {finding["name"]: finding["level"] for finding in found["findings"]}
    assert names["toy's middle"] == "good" and names["toy error"] == "good"
    assert found["healthy"] and "chains and training" in found["verdict"]


def test_a_kind_whose_chains_nobody_ran_is_judged_by_its_training_alone(run, monkeypatch):
    monkeypatch.setattr(ToyRecipe, "examine", Recipe.examine)
    assert diagnose(Run(run)).verdict.startswith("healthy (training alone)")


def test_it_is_sampled_exported_and_loaded_again(run, tmp_path):
    assert main(["sample", str(run), "--count", "3", "--out", str(tmp_path / "some.npz")]) == 0
    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    text = (tmp_path / "model" / "README.md").read_text()
    assert "toy error" in text and (tmp_path / "model" / "samples.png").exists()
    models = [
        tigon.load(run),
        tigon.load(tmp_path / "model"),
        ToyModel.from_pretrained(tmp_path / "model"),
    ]
    images = [model.sample(5, tigon.make_rng(3)) for model in models]
    assert all(torch.equal(image, images[0]) for image in images)
    words = ["sample", str(tmp_path / "model"), "--count", "3", "--out", str(tmp_path / "b.npz")]
    assert main(words) == 0
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "some.npz").read_bytes()


def test_what_it_cannot_do_is_refused_in_one_line(run, tmp_path, pictures, capsys):
    words = ["reconstruct", str(run), "--data", str(pictures), "--out", str(tmp_path / "a.png")]
    assert main(words) == 2
    assert "no latents" in capsys.readouterr().err


def test_it_is_compared_with_a_generator(run, tmp_path):
    page = tmp_path / "both.html"
    assert main(["report", str(run), str(run.parent / "other"), "--out", str(page)]) == 0
    text = page.read_text()
    assert "(toy): toy error" in text and "(generator): reconstruction error" in text


def start(words):
    program = (
        "import sys\nfrom test_extension import ToyRecipe\nfrom tigon.recipes import register\n"
        "register(ToyRecipe)\nfrom tigon.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    where = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": where, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", program, *words], env=environment)


@pytest.mark.slow
def test_a_run_that_was_killed_comes_to_the_same_end(pictures, tmp_path):
    words = ["train", "toy", "--data", str(pictures), "--batch-size", "3", "--iterations", "160"]
    words += ["--checkpoint-every", "20", "--width", "0.25"]
    killed = start([*words, "--out", str(tmp_path / "killed")])
    while not (tmp_path / "killed" / "checkpoints" / "40").exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    assert main([*words, "--out", str(tmp_path / "killed")]) == 0
    ends = [Run(tmp_path / name) for name in ("whole", "killed")]
    first, second = ([r | {"seconds": 0} for r in run.records()] for run in ends)
    assert first == second and len(first) == 160
    weights = [run.model().state_dict() for run in ends]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
def test_an_installed_package_brings_a_recipe_by_its_entry_point(pictures, tmp_path):
    site = tmp_path / "site"
    info = site / "other_kind-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "other_kind.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from test_extension import ToyRecipe\n\n\n@dataclass(frozen=True)\n"
        "class Other(ToyRecipe):\n    '''Another toy.'''\n\n    name: ClassVar = 'other'\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-kind\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tigon.recipes]\nother = other_kind:Other\n")
    where = os.pathsep.join(
        [str(site), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    )
    environment = os.environ | {"PYTHONPATH": where}

    def tigon_says(*words):
        done = subprocess.run(
            [sys.executable, "-m", "tigon", *words],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "other" in tigon_says("--help").split("recipes:")[1]
    out = tmp_path / "run"
    tigon_says("train", "other", "--data", str(pictures), "--out", str(out), "--iterations", "3")
    tigon_says("sample", str(out), "--count", "2", "--out", str(tmp_path / "two.npz"))
    assert 'recipe = "other"' in (out / "config.toml").read_text()
