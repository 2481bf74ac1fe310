"""The source tree: a kind of model is named where it is defined, and nowhere else."""

import ast
from functools import cache
from pathlib import Path

import pytest

import tigon
from small import image_set
from tigon.learners.base import Learner
from tigon.models.base import Model
from tigon.recipes import recipes
from tigon.recipes.base import Recipe

SOURCE = Path(tigon.__file__).parent
HOMES = {"recipes", "learners", "models", "densities", "nn"}  # where kinds are made
FILES = [
    path
    for path in sorted(SOURCE.rglob("*.py"))
    if path.relative_to(SOURCE).parts[0] not in HOMES and path != SOURCE / "__init__.py"
]


@cache
def kinds():
    """The names of all classes of a kind, and of its recipes."""
    found = {*recipes()}
    for kind in recipes().values():
        found |= {kind.__name__, kind.learner_type.__name__, kind.model_type.__name__}
        found.add(type(kind().resolved(image_set()).model().network).__name__)
    return found - {Learner.__name__, Model.__name__, Recipe.__name__}


def words(tree):
    """All identifiers and all strings of one word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_names_a_kind(path):
    assert not kinds() & {*words(ast.parse(path.read_text()))}


def test_there_are_kinds_to_be_named_and_files_that_could():
    assert {"generator", "GeneratorLearner", "EnergyModel", "DCGANGenerator"} <= kinds()
    assert len(FILES) > 80 and "GeneratorLearner" in {
        *words(ast.parse((SOURCE / "recipes" / "generator.py").read_text()))
    }
