"""Other systems' paths and devices."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from small import descriptor_recipe, generator_recipe, image_set
from tigon.errors import TigonError
from tigon.learners import agreement, expansion, linear_start
from tigon.runs.experiment import choose_device, train
from tigon.runs.run import Experiment, Run


@pytest.mark.parametrize("name", ["C:\\photos\\new", "\\\\nas\\a 'b' \"c\"", "D:/x"])
def test_backslashes_and_drives_are_data(name, tmp_path, monkeypatch):
    """A run of another system is read as it is, and only its images are missed."""
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run.write_config(Experiment("generator", generator_recipe(), name))
    assert Run(run.folder).experiment.data == name
    with pytest.raises(TigonError) as missed:
        run.images()
    assert str(missed.value).startswith(f"data '{name}': no such folder or file; give a folder")
    Path(name).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(Path(name) / "0.png")
    assert len(run.images()) == 1


def test_mps_is_taken_where_torch_has_it_and_said_to_be_untested(monkeypatch, tmp_path):
    with pytest.raises(TigonError, match="--device mps: is not available on this machine; use"):
        choose_device("mps")
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, device: empty(*size))
    with pytest.warns(RuntimeWarning, match="^device mps: tigon is not tested on it"):
        assert choose_device("mps").type == "mps"
    experiment = Experiment("generator", generator_recipe(precision="bfloat16"), "data")
    with pytest.warns(RuntimeWarning), pytest.raises(TigonError, match="bfloat16: on mps it is"):
        train(experiment, tmp_path / "run", "mps", images=image_set())
    assert not (tmp_path / "run").exists()


class SinglePrecision(TorchDispatchMode):
    """Refuses tensors of double precision, as MPS does, but for single numbers."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        found = function(*arguments, **(options or {}))
        for one in found if isinstance(found, tuple | list) else [found]:
            if isinstance(one, torch.Tensor) and one.dtype == torch.float64:
                assert one.dim() == 0, function
        return found


@pytest.mark.parametrize("recipe", [generator_recipe(), descriptor_recipe()])
def test_learning_needs_no_double_precision_but_where_it_is_asked_for(recipe, monkeypatch):
    for module in (expansion, agreement, linear_start):
        monkeypatch.setattr(module, "wide", lambda values: values)
    trainer = recipe.trainer(image_set())
    with SinglePrecision():
        assert len(trainer.fit()) == 6
        trainer.load_state_dict(trainer.state_dict())
