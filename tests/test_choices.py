"""Every public function and dataclass that takes one of some words refuses any other."""

import importlib
import inspect
import pkgutil
from dataclasses import MISSING, fields, is_dataclass
from typing import Literal

import pytest

import tigon
from small import generator_learner, generator_recipe
from tigon.choices import choices_of, is_choice, require_choice
from tigon.errors import TigonError


def modules():
    """All modules of the package but the explorer's, whose messages pydantic checks, and verbs."""
    for found in pkgutil.walk_packages(tigon.__path__, "tigon."):
        if found.name.startswith(("tigon.__main__", "tigon.explorer", "tigon.cli")):
            continue
        try:
            yield importlib.import_module(found.name)
        except ImportError as error:  # of an extra that is not installed
            assert not str(error.name).startswith("tigon")


def public():
    """All functions and classes of the package that have names to be called by, once each."""
    for module in modules():
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", "") == module.__name__ and name[:1] != "_"
            if own and (inspect.isclass(thing) or inspect.isfunction(thing)):
                yield thing
                for inner in vars(thing).values() if inspect.isclass(thing) else ():
                    if inspect.isfunction(inner) and inner.__name__[:1] != "_":
                        yield inner


def words_of(hints):
    """The arguments that are one of some words."""
    chosen = {name: choices_of(hint) for name, hint in hints.items() if name != "return"}
    return {n: words for n, words in chosen.items() if any(isinstance(w, str) for w in words)}


def taking_words():
    """What takes a word: the argument, and a call with a word in it."""
    for thing in public():
        if inspect.isabstract(thing):
            continue
        if is_dataclass(thing):
            hints = {f.name: f.type for f in fields(thing) if f.init}
            needed = [f.name for f in fields(thing) if f.init and f.default is MISSING
                      and f.default_factory is MISSING]  # fmt: skip
        elif inspect.isclass(thing) and "__init__" not in vars(thing):
            continue
        else:
            called = thing.__init__ if inspect.isclass(thing) else thing
            hints = inspect.get_annotations(called)
            needed = [p.name for p in inspect.signature(thing).parameters.values()
                      if p.default is p.empty]  # fmt: skip
        for name, words in words_of(hints).items():
            given = {other: None for other in needed if other != name}
            yield pytest.param(thing, given, name, words, id=f"{thing.__qualname__}-{name}")


FOUND = list(taking_words())


@pytest.mark.parametrize(("thing", "given", "name", "words"), FOUND)
def test_an_unknown_word_is_refused_with_those_there_are(thing, given, name, words):
    with pytest.raises(TigonError) as error:
        thing(**given, **{name: "contain"})
    said = str(error.value)
    assert said.startswith(f"{name} must be ") and said.endswith(", not 'contain'")
    assert all(str(word) in said for word in words)


def test_all_that_takes_words_is_found():
    found = {case.id for case in FOUND}
    assert {
        "load_images-fit", "load_images-frames", "open_stream-fit", "Form-fit",
        "start_images-start", "normalisation-norm", "DCGANGenerator-norm", "ConvDescriptor-norm",
        "GeneratorRecipe-fit", "GeneratorRecipe-sigma", "DescriptorRecipe-precision",
        "LatentChains-kernel", "LatentChains-store", "ImageChains-start", "GeneratorNetwork-norm",
        "AdamSettings-schedule", "Metric-axis", "Metric-better", "curves-scale",
    } <= found  # fmt: skip


LINES = {
    "fit must be one of stretch, crop, not 'contain'":
        lambda: tigon.load_images("embedded:animal-faces", 16, fit="contain"),
    "sigma must be a number or learn, not 'auto'": lambda: generator_recipe(sigma="auto"),
    "image size '64': is a number of pixels, or (height, width), such as 64 or (48, 64)":
        lambda: tigon.load_images("embedded:animal-faces", "64"),
    "image size (48, 'x'): is a number of pixels, or (height, width), such as 64 or (48, 64)":
        lambda: generator_recipe(image_size=(48, "x")),
    "channels must be one of 1, 3, not 4": lambda: generator_recipe(channels=4),
    "precision must be one of float32, bfloat16, not 'float16'":
        lambda: _with_precision("float16"),
}  # fmt: skip


def _with_precision(name):
    learner = generator_learner()
    learner.precision = name
    learner.products()


@pytest.mark.parametrize("said", LINES)
def test_the_line_is_short(said):
    with pytest.raises(TigonError) as error:
        LINES[said]()
    assert str(error.value) == said


def test_values_of_other_types_are_no_choices():
    assert is_choice(1, (1, 3)) and not is_choice(True, (1, 3)) and not is_choice(1.0, (1, 3))
    require_choice("sigma", 0.3, float | Literal["learn"])
    for value in (["stretch"], b"crop", None):
        with pytest.raises(TigonError, match="fit must be one of stretch, crop, not"):
            require_choice("fit", value, Literal["stretch", "crop"])
