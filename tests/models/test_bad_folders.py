"""Invalid model folders are refused in one line, and none of their code runs."""

import json
import os
import pickle
import resource
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from learned import model_folder
from tigon.cli.main import main
from tigon.errors import TigonError
from tigon.export.load import load
from tigon.random.streams import make_rng


def config(change):
    """Change config.json as an object."""

    def apply(folder):
        path = folder / "config.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    return apply


def setting(value, *names):
    """Set one number of the model."""

    def change(values):
        place = values["model"]
        for name in names[:-1]:
            place = place[name]
        place[names[-1]] = value

    return config(change)


def tensors(change):
    """Change model.safetensors as a dictionary."""

    def apply(folder):
        held = load_file(folder / "model.safetensors")
        change(held)
        save_file(held, folder / "model.safetensors")

    return apply


def write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def bomb(name):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, ("exploded",))

    return write(name, pickle.dumps(Bomb()))


def instead(folder):
    os.unlink(folder / "model.safetensors")
    bomb("pytorch_model.bin")(folder)


def link(name):
    """Replace a file by a link to the same file elsewhere."""

    def apply(folder):
        os.rename(folder / name, folder.parent / f"outside-{name}")
        os.symlink(folder.parent / f"outside-{name}", folder / name)

    return apply


def fifo(folder):
    os.unlink(folder / "config.json")
    os.mkfifo(folder / "config.json")


def giant_header(folder):
    header = json.dumps(
        {"network.first.weight": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 4]}}
    ).encode()
    data = struct.pack("<Q", len(header)) + header + b"\0" * 4
    (folder / "model.safetensors").write_bytes(data)


BIAS = "network.first.bias"
BAD = {
    "no config": (lambda f: os.unlink(f / "config.json"), "has no config.json"),
    "no weights": (lambda f: os.unlink(f / "model.safetensors"), "has no model.safetensors"),
    "pickle instead": (instead, "has no model.safetensors; pytorch_model.bin is not read"),
    "pickle by the right name": (
        bomb("model.safetensors"),
        "is not a safetensors file, or damaged",
    ),
    "empty weights": (write("model.safetensors", b""), "is not a safetensors file, or damaged"),
    "lying header": (giant_header, "is not a safetensors file, or damaged"),
    "missing tensor": (tensors(lambda h: h.pop(BIAS)), f"'{BIAS}' is missing"),
    "one too many": (
        tensors(lambda h: h.update(extra=torch.ones(1))),
        "'extra' is one tensor too many",
    ),
    "wrong shape": (
        tensors(lambda h: h.update({BIAS: torch.ones(3)})),
        rf"{BIAS} has shape (3,), unlike",
    ),
    "wrong plane": (tensors(lambda h: h.update(plane=torch.ones(3, 2))), "plane has shape (3, 2)"),
    "wrong type": (tensors(lambda h: h.update({BIAS: h[BIAS].half()})), f"{BIAS} has type F16"),
    "double": (tensors(lambda h: h.update(plane=h["plane"].double())), "plane has type F64"),
    "not finite": (
        tensors(lambda h: h[BIAS].fill_(float("nan"))),
        f"{BIAS} has values that are not finite",
    ),
    "no JSON": (write("config.json", b"{"), "config.json: Expecting"),
    "no text": (write("config.json", b"\xff\xfe"), "config.json: 'utf-8'"),
    "deep": (write("config.json", b"[" * 100_000), "config.json: "),
    "long": (write("config.json", b" " * (2**20 + 1)), "is larger than 1048576 bytes"),
    "a list": (write("config.json", b"[]"), "not the config of a tigon model"),
    "another library's": (
        write("config.json", b'{"model_type": "bert"}'),
        "not the config of a tigon",
    ),
    "future": (config(lambda c: c.update(format=3)), "has format 3, but tigon"),
    "unknown name": (config(lambda c: c.update(auto_map={})), "unknown name 'auto_map'"),
    "unknown recipe": (config(lambda c: c.update(recipe="gan")), "recipe 'gan': there are"),
    "recipe of another kind": (
        config(lambda c: c.update(recipe="descriptor")),
        "is a GeneratorModel, not a EnergyModel",
    ),
    "class of another kind": (setting("EnergyModel", "class"), "is a EnergyModel, not a Gener"),
    "class that is not known": (setting("Bomb", "network", "class"), "class 'Bomb' is unknown"),
    "class of another part": (
        setting({"class": "StandardNormal"}, "network"),
        "model.network must be Module, not a StandardNormal",
    ),
    "recipe is no text": (config(lambda c: c.update(recipe=[])), "recipe (text)"),
    "unknown number": (setting(1, "iterations"), "unknown name model.iterations"),
    "unknown inner number": (setting(1, "network", "depth"), "unknown name model.network.depth"),
    "missing number": (config(lambda c: c["model"].pop("sigma")), "model.sigma is missing"),
    "missing inner number": (
        config(lambda c: c["model"]["network"].pop("norm")),
        "model.network.norm is missing",
    ),
    "wrong type of number": (setting("2", "latent_dim"), "model.latent_dim must be int, not '2'"),
    "truth for a number": (setting(True, "latent_dim"), "model.latent_dim must be int, not True"),
    "out of range": (setting(0, "latent_dim"), "latent_dim must be at least 1"),
    "still to be learned": (setting("learn", "sigma"), "model.sigma must be float, not 'learn'"),
    "negative": (setting(-0.3, "sigma"), "sigma must be above 0"),
    "no number": (setting(float("nan"), "sigma"), "model.sigma is not between"),
    "infinite": (setting(float("inf"), "sigma"), "model.sigma is not between"),
    "square overflows": (setting(1e300, "sigma"), "model.sigma is not between"),
    "reciprocal overflows": (setting(1e-300, "sigma"), "model.sigma is not between"),
    "no such size": (
        setting(13, "network", "image_size"),
        "cannot build DCGANGenerator (image_size must be a grid",
    ),
    "other size": (setting([12, 8], "network", "image_size"), "has shape"),
    "too many sides": (
        setting([8, 8, 8], "network", "image_size"),
        "image_size must be int or tuple",
    ),
    "wider than its weights": (setting(1_000_000, "network", "width"), "has shape"),
    "more latents than its weights": (setting(1_000_000, "latent_dim"), "has shape"),
    "wider than any": (setting(2**62, "network", "width"), "network.width is not between"),
    "config is a link": (link("config.json"), "config.json: is a link"),
    "weights are a link": (link("model.safetensors"), "model.safetensors: is a link"),
    "card is a link": (link("README.md"), "README.md: is a link"),
    "picture is a link": (link("samples.png"), "samples.png: is a link"),
    "config waits for ever": (fifo, "config.json: is not a file"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_folder_is_refused_in_one_line_that_says_what(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = model_folder("generator", tmp_path / "model")
    change, said = BAD[case]
    change(folder)
    assert main(["sample", "model", "--count", "2", "--out", "out.npz"]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and len(err) < 600
    assert not {"out.npz", "exploded"} & set(os.listdir())


MIXTURES = {
    "no weight": (
        lambda held: held["prior.weights"][0].fill_(0.0),
        "weights that are not above 0",
    ),
    "negative weight": (lambda held: held["prior.weights"].neg_(), "weights that are not above 0"),
    "no covariance": (lambda held: held["prior.inverses"][1, 0, 0].fill_(0.0), "not > 0"),
    "a full root": (lambda held: held["prior.inverses"][1, 0, 1].fill_(0.5), "not triangular"),
}


@pytest.mark.parametrize("case", MIXTURES)
def test_a_mixture_that_is_no_density_is_refused(case, tmp_path):
    folder = model_folder("cooperative", tmp_path / "model")
    change, said = MIXTURES[case]
    tensors(change)(folder)
    with pytest.raises(TigonError, match=f"model.safetensors: a mixture has .*{said}"):
        load(folder)


STARTS = {
    "grey": torch.zeros(5, 1, 1, 1),
    "none": torch.zeros(0, 3, 1, 1),
    "whole images": torch.zeros(5, 3, 8, 8),
    "flat": torch.zeros(5, 3),
}


@pytest.mark.parametrize("case", STARTS)
def test_start_images_of_another_shape_are_refused(case, tmp_path):
    folder = model_folder("descriptor", tmp_path / "model")
    tensors(lambda held: held.update(starts=STARTS[case]))(folder)
    with pytest.raises(TigonError, match="starts has shape"):
        load(folder)


def test_no_memory_is_taken_for_what_the_file_does_not_hold(tmp_path):
    folder = model_folder("descriptor", tmp_path / "model")
    setting(1_000_000, "network", "width")(folder)
    setting(8190, "network", "image_size")(folder)  # of 134 PB of weights
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TigonError, match="has shape"):
        load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
places = st.sampled_from(
    [(), *[(n,) for n in ("format", "recipe", "fit", "model", "tigon")]]
    + [("model", n) for n in ("class", "latent_dim", "sigma", "network", "prior")]
    + [("model", "network", n) for n in ("class", "image_size", "width", "kernel_size", "norm")]
)


@settings(max_examples=40)
@given(places, json_values)
def test_any_value_anywhere_in_a_config_is_read_or_refused(tmp_path_factory, place, value):
    folder = model_folder("generator", tmp_path_factory.mktemp("any") / "model")
    path = folder / "config.json"
    values = json.loads(path.read_text())
    holder = whole = {"": values}
    for name in ("", *place)[:-1]:
        holder = holder[name]
    holder[("", *place)[-1]] = value
    path.write_text(json.dumps(whole[""]))
    try:
        model = load(folder)
    except TigonError as error:
        assert "\n" not in str(error)
    else:
        assert model.sample(2, make_rng(0)).shape == (2, 3, 8, 8)


@settings(max_examples=40)
@given(st.data())
def test_any_damage_to_the_weights_is_read_or_refused(tmp_path_factory, data):
    folder = model_folder("generator", tmp_path_factory.mktemp("any") / "model")
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 1200))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), 8, 100, 1000]))])
    try:
        load(folder)
    except TigonError as error:
        assert "\n" not in str(error)
