"""Model folders: everything that is written is read back."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file

from learned import model_folder, run_of
from small import generator_recipe
from tigon.errors import TigonError
from tigon.export.card import Facts, make_card
from tigon.export.load import load
from tigon.models.abilities import HasChains, HasLatents, HasLogDensity
from tigon.models.folder import FILES
from tigon.random.streams import RowRng, make_rng
from tigon.recipes import recipes
from tigon.runs.run import Run

DRAW = """
import sys, numpy, torch, tigon
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    model = tigon.load(folder)
    images = model.sample(7, tigon.RowRng(3, 0, range(7), "sample"))
    with torch.no_grad():
        latents = isinstance(model, tigon.HasLatents)
        more = model.decode(torch.ones(3, 2)) if latents else model.log_density(images)
    numpy.savez(folder + ".npz", images=images.numpy(), more=more.numpy())
"""


def test_models_in_a_fresh_process_draw_what_their_runs_draw_to_the_bit(tmp_path):
    folders = [str(model_folder(name, tmp_path / name)) for name in recipes()]
    subprocess.run([sys.executable, "-c", DRAW, *folders], check=True, timeout=300)
    for name in recipes():
        learner = Run(run_of(name)).learner()
        images = learner.sample(7, RowRng(3, 0, range(7), "sample"))
        with torch.no_grad():
            model = learner.model.eval()
            latents = recipes()[name].persistent
            more = model(torch.ones(3, 2)) if latents else model.log_density(images)
        with np.load(tmp_path / f"{name}.npz") as drawn:
            assert np.array_equal(drawn["images"], images.numpy())
            assert np.array_equal(drawn["more"], more.numpy())


@pytest.mark.parametrize("name", recipes())
def test_a_folder_written_from_a_folder_is_the_same_to_the_byte(name, tmp_path):
    first = model_folder(name, tmp_path / "first")
    load(first).save_pretrained(tmp_path / "second")
    for file in FILES:
        assert (tmp_path / "second" / file).read_bytes() == (first / file).read_bytes()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_another_precision_are_written_in_single(dtype, tmp_path):
    model = Run(run_of("generator")).model()
    model.to(dtype).save_pretrained(tmp_path / "model")
    found = load(tmp_path / "model").state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(found[name], value.float() if value.is_floating_point() else value)


def test_the_file_holds_the_weights_and_nothing_else(tmp_path):
    held = load_file(model_folder("descriptor-original", tmp_path / "model") / "model.safetensors")
    learner = Run(run_of("descriptor-original")).learner()
    assert held.keys() == learner.model.state_dict().keys() - {"step_factor"}
    assert torch.equal(held["starts"], learner.model.starts) and len(held["starts"]) == 5


def test_many_latents_keep_the_plane_in_which_they_vary_most(tmp_path):
    run = run_of("generator", latent_dim=5)
    model = load(run)
    model.save_pretrained(tmp_path / "model")
    again = load(tmp_path / "model")
    assert torch.equal(again.plane, model.plane) and not torch.equal(model.plane, torch.eye(2, 5))
    points = Run(run).learner().store.points
    first, second = ((points @ direction).var().item() for direction in again.plane)
    widest = torch.linalg.eigvalsh(torch.cov(points.T)).flip(0)
    assert torch.allclose(torch.tensor([first, second]), widest[:2], rtol=1e-4)


def test_a_shared_start_image_comes_along(tmp_path):
    model = load(run_of("descriptor", start="mean-image"))
    model.save_pretrained(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.starts.shape == (1, 3, 8, 8)
    assert torch.equal(again.sample(3, make_rng(1)), model.sample(3, make_rng(1)))
    assert "all from the one start image" in make_card(again, Facts()).text


def test_a_step_size_that_the_guard_lowered_is_the_model_s(tmp_path):
    run = Run(run_of("descriptor"))
    learner = run.learner()
    learner.scale_steps(0.5)
    rng = RowRng(3, 0, range(4), "sample")
    wanted = learner.sample(4, rng)
    learner.model.save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["model"]["chains"]["kernel"]["step_size"] == 0.06
    rng = RowRng(3, 0, range(4), "sample")
    assert torch.equal(load(tmp_path / "model").sample(4, rng), wanted)


def test_a_learned_sigma_is_the_models_in_its_folder_and_on_its_card(tmp_path):
    model = generator_recipe(sigma="learn").model()
    model.sigma.fill_(0.0512345)
    model.save_pretrained(tmp_path / "model")
    again = load(tmp_path / "model")
    assert torch.equal(again.sigma, model.sigma) and again.config()["sigma"] == 0.0512345
    assert "sigma = 0.0512345" in make_card(again, Facts()).text
    noisy = [one.sample(3, make_rng(1), noise=True) for one in (again, model)]
    assert torch.equal(*noisy)


def test_inferred_latents_decode_to_the_image(tmp_path):
    model = load(model_folder("generator", tmp_path / "model"))
    assert isinstance(model, HasLatents) and not isinstance(model, HasLogDensity)
    image = model.decode(torch.tensor([[0.5, -1.0]]))
    found = model.infer(image, make_rng(0))
    assert found.errors.item() < 0.01 and found.images.shape == (1, 3, 8, 8)


def test_the_log_density_of_a_loaded_model_is_each_image_s_own_and_has_a_gradient(tmp_path):
    model = load(model_folder("descriptor-original", tmp_path / "model"))
    assert isinstance(model, HasChains) and not isinstance(model, HasLatents)
    images = torch.randn(4, 3, 8, 8, generator=make_rng(0)).requires_grad_(True)
    values = model.log_density(images)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    assert values.shape == (4,)
    alone = torch.cat([model.log_density(image[None]) for image in images])
    assert torch.allclose(alone, values, rtol=1e-4) and gradient.any()


def test_a_folder_that_holds_something_is_not_written_to(tmp_path):
    model = load(model_folder("generator", tmp_path / "model"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name, said in (("full", "not an empty folder"), ("link", "no name of its own")):
        with pytest.raises(TigonError, match=said):
            model.save_pretrained(tmp_path / name)
    assert (tmp_path / "full" / "note.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    model.save_pretrained(tmp_path / "empty")
    assert sorted(os.listdir(tmp_path / "empty")) == sorted(FILES)


def test_a_full_disk_leaves_no_part_of_a_folder(tmp_path, monkeypatch):
    model = load(model_folder("generator", tmp_path / "model"))
    synced = []

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TigonError, match="No space left"):
        model.save_pretrained(tmp_path / "new")
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_of_the_hub_s_cache_is_read_through_its_links(tmp_path):
    model_folder("generator", tmp_path / "cache" / "blobs")
    snapshot = tmp_path / "cache" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name in FILES:
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    assert load(snapshot).sample(2, make_rng(0)).isfinite().all()
    (snapshot / "README.md").unlink()
    (snapshot / "README.md").symlink_to("/etc/hostname")
    with pytest.raises(TigonError, match="README.md: is a link"):
        load(snapshot)


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_a_run_s_model_is_loaded_without_its_chains_and_optimizer(name, monkeypatch):
    rng = RowRng(3, 0, range(4), "sample")
    wanted, read = Run(run_of(name)).learner().sample(4, rng), []
    monkeypatch.setattr(
        safetensors.torch, "load_file", lambda p: read.append(p.name) or load_file(p)
    )
    monkeypatch.setattr(torch, "load", lambda *_, **__: read.append("training.pt"))
    model = load(run_of(name))
    assert read == ["model.safetensors"]
    assert torch.equal(model.sample(4, RowRng(3, 0, range(4), "sample")), wanted)
    assert model.recipe == name and not model.training
