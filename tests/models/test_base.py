"""Models are saved, loaded and shared; a folder stands in for the Hub."""

import os
import shutil
import sys
from dataclasses import dataclass

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import nn

import tigon
from learned import model_folder, run_of
from tigon.errors import TigonError
from tigon.export.card import Licence, facts_of, make_card
from tigon.models.config import KNOWN
from tigon.models.folder import FILES
from tigon.random.streams import make_rng
from tigon.recipes import recipes
from tigon.runs.run import Run

BARE = sorted(set(FILES) - {"samples.png"})


def shared(name):
    """A recipe's model with its card."""
    model = tigon.load(run_of(name))
    model.card = make_card(model, facts_of(Run(run_of(name)), Licence("mit")))
    return model


@pytest.mark.parametrize("name", recipes())
def test_a_run_s_model_is_saved_and_loaded_as_it_is(name, tmp_path):
    model = shared(name)
    model.save_pretrained(tmp_path / "model")
    for kind in (type(model), tigon.Model):
        again = kind.from_pretrained(tmp_path / "model")
        assert type(again) is type(model) and again.card == model.card
        assert again.image_shape == (3, 8, 8) and again.recipe == name and again.fit == "stretch"
        assert torch.equal(again.sample(3, make_rng(1)), model.sample(3, make_rng(1)))


def test_a_class_of_one_kind_refuses_the_other(tmp_path):
    folder = model_folder("descriptor", tmp_path / "model")
    with pytest.raises(TigonError, match="config.json: is a EnergyModel, not a GeneratorModel$"):
        tigon.GeneratorModel.from_pretrained(folder)
    assert isinstance(tigon.EnergyModel.from_pretrained(folder), tigon.EnergyModel)


class Decoder(nn.Module):
    """A custom network."""

    def __init__(self, latent_dim: int, gain: float = 1.0):
        super().__init__()
        self.latent_dim, self.gain = latent_dim, gain
        self.first = nn.Linear(latent_dim, 48)

    def forward(self, z):
        return torch.tanh(self.gain * self.first(z)).unflatten(1, (3, 4, 4))


class Named(Decoder):
    """The same, which says what it was made of."""

    def config(self):
        return {"latent_dim": self.latent_dim, "gain": self.gain}


@dataclass(frozen=True)
class Cube:
    """A custom prior, uniform within a cube, smooth at its faces."""

    width: float = 2.0

    def log_prob(self, z):
        return torch.sigmoid(20 * (self.width - z.abs())).log().sum(1)

    def sample(self, like, rng):
        return self.width * (2 * torch.rand(like.shape, generator=rng) - 1)


@pytest.fixture
def registered():
    before = dict(KNOWN)
    for kind in (Named, Cube):
        tigon.register_part(kind)
    yield
    KNOWN.clear()
    KNOWN.update(before)


def test_a_model_of_one_s_own_parts_is_saved_once_they_are_registered(tmp_path, registered):
    model = tigon.GeneratorModel(Named(3, 0.5), 3, sigma=0.2, prior=Cube(1.5))
    model.save_pretrained(tmp_path / "model")
    assert sorted(os.listdir(tmp_path / "model")) == BARE
    said = (tmp_path / "model" / "README.md").read_text()
    assert "GeneratorModel" in said and "licences" in said and "not stated" in said
    again = tigon.load(tmp_path / "model")
    assert again.prior == Cube(1.5) and again.network.gain == 0.5 and again.recipe is None
    assert torch.equal(again.sample(5, make_rng(1)), model.sample(5, make_rng(1)))


def test_a_part_that_cannot_be_saved_is_refused_in_one_line_that_says_what_to_do(tmp_path):
    starts = torch.zeros(1, 3, 4, 4)
    for model, name in (
        (tigon.GeneratorModel(Decoder(3), 3), "network: a Decoder"),
        (
            tigon.GeneratorModel(tigon.DCGANGenerator(2, 8, width=4), 2, prior=Cube()),
            "prior: a Cube",
        ),
        (tigon.EnergyModel(nn.Flatten(), starts=starts), "network: a Flatten"),
    ):
        with pytest.raises(TigonError, match=f"^model.{name} cannot be saved; give its class a"):
            model.save_pretrained(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_what_has_no_numbers_to_save_is_not_registered():
    with pytest.raises(TypeError, match="config"):
        tigon.register_part(Decoder)

    class MALA(Named):
        """Another class of a name that is taken."""

    with pytest.raises(TypeError, match="already registered"):
        tigon.register_part(MALA)


@pytest.fixture
def far(tmp_path, monkeypatch):
    """A hub in a folder, reached by the calls that reach the network."""
    repositories = tmp_path / "hub"

    def create_repo(self, repo_id, private=None, exist_ok=False, **_):
        assert exist_ok
        (repositories / repo_id).mkdir(parents=True, exist_ok=True)
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self, repo_id, folder_path, repo_type, commit_message, **_):
        shutil.copytree(folder_path, repositories / repo_id, dirs_exist_ok=True)
        return f"https://huggingface.co/{repo_id}/commit/1"

    def snapshot_download(repo_id, allow_patterns, **_):
        if not (repositories / repo_id).is_dir():
            raise LocalEntryNotFoundError("no such\n repository")
        assert set(allow_patterns) == set(FILES)
        return str(repositories / repo_id)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return repositories


def test_what_is_pushed_is_the_folder_and_comes_back_the_same(far):
    model = shared("generator")
    assert model.push_to_hub("me/faces", commit_message="first").endswith("commit/1")
    pushed = far / "me" / "faces"
    assert sorted(os.listdir(pushed)) == sorted(FILES)
    again = tigon.GeneratorModel.from_pretrained("me/faces")
    assert torch.equal(again.decode(torch.ones(2, 2)), model.decode(torch.ones(2, 2)))
    assert again.push_to_hub("me/copy") == "https://huggingface.co/me/copy/commit/1"
    for name in FILES:
        assert (far / "me" / "copy" / name).read_bytes() == (pushed / name).read_bytes()


def test_a_run_is_refused_in_one_line_that_says_how_it_becomes_a_model_folder():
    run = run_of("generator")
    with pytest.raises(TigonError) as refused:
        tigon.Model.from_pretrained(run)
    said = f"{run}: is a run; tigon export {run} --out FOLDER makes a model folder from it"
    assert str(refused.value) == said


@pytest.mark.parametrize("name", ["nobody/nothing", "no/such/folder", "a b", "file"])
def test_what_is_nowhere_is_refused_in_one_line(name, far, tmp_path, monkeypatch):
    download = huggingface_hub._snapshot_download.snapshot_download
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    if name != "nobody/nothing":
        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(TigonError, match=f"^model {name}: [^\n]*$"):
        tigon.Model.from_pretrained(name)


def test_offline_one_line_says_that_a_repository_is_not_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TigonError) as raised:
        tigon.Model.from_pretrained("nobody/nothing", cache_dir=tmp_path)
    said = str(raised.value)
    assert said.startswith("model nobody/nothing: no such folder, and it cannot be downloaded")
    assert "HF_HUB_OFFLINE" in said and "\n" not in said


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    folder = model_folder("generator", tmp_path / "model")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TigonError, match=r"pip install 'tigon\[hub\]'"):
        tigon.Model.from_pretrained("nobody/nothing")
    assert isinstance(tigon.load(folder), tigon.GeneratorModel), "a folder needs no hub"
