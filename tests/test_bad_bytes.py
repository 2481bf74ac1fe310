"""Any bytes in place of a file are read, or refused with a one-line TigonError."""

import json
import shutil
import tomllib
from dataclasses import fields, is_dataclass
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import tomli_w
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bad_input import encoded, member, picture, right_sums, write_zip
from small import descriptor_recipe, generator_recipe, image_set
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.errors import TigonError
from tigon.recipes import recipes
from tigon.runs.config import from_plain, to_plain
from tigon.runs.run import Experiment, Run
from tigon.training.checkpoint import load_checkpoint, save_checkpoint
from tigon.training.checkpoint_folder import latest_checkpoint

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
PICTURES = [encoded(picture(), kind) for kind in KINDS]
NPY = member(image_set().pixels)
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def damaged(draw, wholes):
    """Draw bytes of a whole file of which a part is replaced, and maybe the end cut off."""
    data = draw(st.sampled_from(wholes))
    at = draw(st.integers(0, len(data)))
    size = draw(st.integers(0, 20))
    changed = data[:at] + draw(st.binary(max_size=20)) + data[at + size :]
    return changed[: draw(st.none() | st.integers(0, len(changed)))]


def accepted(read):
    """Return what is read; None where it is refused in one line."""
    try:
        return read()
    except TigonError as error:
        assert str(error) and "\n" not in str(error)
        return None


@FEW
@given(st.binary(max_size=300) | damaged(PICTURES), st.sampled_from([".png", ".jpg", ".gif"]))
def test_any_bytes_are_a_picture_or_are_refused(tmp_path, data, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(data)
    images = accepted(lambda: load_images(path, 8))
    assert images is None or (images.pixels.shape == (1, 8, 8, 3) and images.names == [path.name])


@FEW
@given(st.binary(max_size=300) | damaged([NPY]), st.booleans())
def test_any_bytes_are_an_npz_or_are_refused(tmp_path, data, inside):
    path = tmp_path / "a.npz"
    if inside:
        write_zip(path, {"images.npy": data})
    else:
        path.write_bytes(data)
    images = accepted(lambda: load_images(path, 8))
    assert images is None or (isinstance(images, ImageSet) and len(images) == len(images.names))


TEXT = tomli_w.dumps(Experiment("generator", generator_recipe(), "nowhere").to_plain()).encode()


@FEW
@given(st.binary(max_size=100) | damaged([TEXT]))
def test_any_bytes_are_a_config_or_are_refused(tmp_path, data):
    (tmp_path / "config.toml").write_bytes(data)
    experiment = accepted(lambda: Run(tmp_path).experiment)
    if experiment is not None:
        again = tomllib.loads(tomli_w.dumps(experiment.to_plain()))
        assert Experiment.from_plain(again) == experiment


LINES = b'{"iteration": 1, "seconds": 1.0, "gradient_evaluations": 3, "loss": [1.0, NaN]}\n' * 3


@FEW
@given(st.binary(max_size=100) | damaged([LINES, b'{"event": "rollback", "iteration": 1}\n']))
def test_any_bytes_are_metrics_or_are_refused(tmp_path, data):
    (tmp_path / "metrics.jsonl").write_bytes(data)
    records = accepted(Run(tmp_path).records)
    assert records is None or all(type(record["iteration"]) is int for record in records)
    accepted(Run(tmp_path).events)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A checkpoint of each kind of model, and what can go on from it."""
    found = []
    for recipe in (generator_recipe(), descriptor_recipe()):
        trainer = recipe.trainer(image_set())
        trainer.step()
        path = save_checkpoint(tmp_path_factory.mktemp("whole"), trainer)
        found.append((path, recipe, {p.name: p.read_bytes() for p in path.iterdir()}))
    return found


@FEW
@given(st.data())
def test_any_bytes_are_a_checkpoint_or_are_refused(tmp_path, checkpoints, data):
    whole, recipe, files = data.draw(st.sampled_from(checkpoints))
    name = data.draw(st.sampled_from(sorted(files)))
    shutil.copytree(whole, tmp_path / "1", dirs_exist_ok=True)
    (tmp_path / "1" / name).write_bytes(
        data.draw(st.binary(max_size=200) | damaged([files[name]]))
    )
    if name != "manifest.json":
        right_sums(tmp_path / "1")
    trainer = recipe.trainer(image_set())
    path = accepted(lambda: latest_checkpoint(tmp_path))
    if path is not None:
        accepted(lambda: load_checkpoint(path, trainer))


def values(kind, name=""):
    """Return a strategy for values of a type, mostly such as a recipe accepts."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.fixed_dictionaries({f.name: values(hints[f.name], f.name) for f in fields(kind)})
    options = get_args(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(options)
    if get_origin(kind) is tuple:
        return st.tuples(*(values(option) for option in options)).map(list)
    if options:
        return values(next(option for option in options if option is not type(None)), name)
    numbers = {int: st.integers(2, 2**62), float: st.floats(2**-1000, 1, exclude_max=True)}
    if name == "grids":  # more may not fit the image size
        return st.just(1)
    if name == "gradient" and kind is float:
        return st.floats(1, 1e300, exclude_min=True)
    return numbers.get(kind, st.booleans())


ONE_OF = ("gradient_evaluations", "minutes")  # a recipe is given one of these at most


@FEW
@given(st.data())
def test_any_recipe_comes_back_from_its_config(tmp_path, data):
    name = data.draw(st.sampled_from(sorted(recipes())))
    plain = data.draw(values(recipes()[name]))
    del plain[data.draw(st.sampled_from(ONE_OF))]
    recipe = from_plain(recipes()[name], plain)
    experiment = Experiment(name, recipe, data.draw(st.text()))
    assume(experiment.data.isprintable())
    Run(tmp_path).write_config(experiment)
    found = Run(tmp_path).experiment
    assert found == Experiment(name, recipe, experiment.to_plain()["data"])
    assert to_plain(found.recipe) == to_plain(recipe) == json.loads(json.dumps(to_plain(recipe)))
