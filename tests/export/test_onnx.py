"""ONNX files decode what torch decodes, for batches of any size."""

from dataclasses import replace
from importlib import util

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from learned import model_folder
from tigon.cli.main import main
from tigon.errors import install
from tigon.export.onnx import onnx_bytes
from tigon.random.streams import make_rng
from tigon.recipes import GeneratorRecipe, OriginalGeneratorRecipe
from tigon.recipes.settings import GeneratorNetwork

RECIPES = {
    "small": GeneratorRecipe(8, latent_dim=2, network=GeneratorNetwork(2)),
    "grey, one latent": GeneratorRecipe(16, channels=1, latent_dim=1, network=GeneratorNetwork(6)),
    "group norm, 5x5": GeneratorRecipe(32, latent_dim=7, network=GeneratorNetwork(8, 5, "group")),
    "batch norm, the original": replace(
        OriginalGeneratorRecipe(32), network=GeneratorNetwork(8, 5, "batch")
    ),
    "64 pixels": GeneratorRecipe(64, latent_dim=100, network=GeneratorNetwork(16)),
}


def learned(recipe):
    """A generator whose batch statistics are those of some latents."""
    model = recipe.model()
    with torch.no_grad():
        model.train()(torch.randn(32, recipe.latent_dim, generator=make_rng(0)))
    return model.eval()


@pytest.mark.parametrize("name", RECIPES)
def test_onnxruntime_decodes_what_torch_decodes(name):
    model = learned(RECIPES[name])
    data = onnx_bytes(model)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for count in (1, 7):
        z = torch.randn(count, model.latent_dim, generator=make_rng(count))
        (images,) = session.run(["images"], {"z": z.numpy()})
        assert np.abs(images - model.decode(z).numpy()).max() < 1e-5
    proto = onnx.load_from_string(data)
    onnx.checker.check_model(proto, full_check=True)
    assert b"dcgan.py" not in data and proto.producer_name == "tigon"


def test_export_writes_the_file_of_a_model_folder_and_says_where(tmp_path, capfd):
    model_folder("generator", tmp_path / "model")
    words = ["export", str(tmp_path / "model"), "--onnx", str(tmp_path / "faces.onnx")]
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert out == f"ONNX: {tmp_path / 'faces.onnx'}\n" and "torchvision" not in err
    session = onnxruntime.InferenceSession(tmp_path / "faces.onnx")
    assert session.get_inputs()[0].shape == ["batch", 2]


def test_a_descriptor_and_a_missing_extra_are_refused_in_one_line(tmp_path, capsys, monkeypatch):
    for name in ("generator", "descriptor"):
        model_folder(name, tmp_path / name)
    words = ["export", str(tmp_path / "descriptor"), "--onnx", str(tmp_path / "a.onnx")]
    assert main(words) == 2
    assert "--onnx: this model has no latents" in capsys.readouterr().err
    find = util.find_spec
    monkeypatch.setattr(
        "tigon.export.onnx.find_spec", lambda name: None if name == "onnx" else find(name)
    )
    words[1] = str(tmp_path / "generator")
    assert main(words) == 2
    assert f"--onnx needs onnx: {install('onnx')}\n" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()
