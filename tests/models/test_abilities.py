import inspect

import pytest

import tigon
from learned import run_of
from tigon.models import abilities
from tigon.recipes import recipes

ABILITIES = [kind for name, kind in vars(abilities).items() if name.startswith("Has")]


def members(ability):
    """What the ability asks for, of itself and of those that it extends."""
    kinds = [kind for kind in ability.__mro__ if getattr(kind, "_is_protocol", False)]
    names = {name for kind in kinds for name in (*vars(kind), *inspect.get_annotations(kind))}
    return {name for name in names if not name.startswith("_")}


def hasattr_static(model, name):
    missing = object()
    return inspect.getattr_static(model, name, missing) is not missing


@pytest.mark.parametrize("name", recipes())
def test_every_python_finds_the_same_abilities(name):
    # From Python 3.12 on, isinstance does not look where modules keep their tensors and parts.
    model = tigon.load(run_of(name))
    for ability in ABILITIES:
        found = [hasattr_static(model, each) for each in members(ability)]
        assert isinstance(model, ability) == all(found), (name, ability)
