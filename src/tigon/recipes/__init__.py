"""A recipe is a named set of numbers: everything about a run but its data and its folder."""

from tigon.errors import TigonError
from tigon.recipes.base import Recipe
from tigon.recipes.descriptor import Descriptor, DescriptorSeed
from tigon.recipes.generator import Generator, GeneratorSeed

__all__ = [
    "RECIPES",
    "Descriptor",
    "DescriptorSeed",
    "Generator",
    "GeneratorSeed",
    "Recipe",
    "recipe_type",
]

RECIPES: dict[str, type[Recipe]] = {
    "generator": Generator,
    "descriptor": Descriptor,
    "generator-seed": GeneratorSeed,
    "descriptor-seed": DescriptorSeed,
}


def recipe_type(name: str) -> type[Recipe]:
    """Return the recipe class of this name.

    Raises:
        TigonError: if there is none
    """
    if name not in RECIPES:
        raise TigonError(f"recipe {name!r}: there are {', '.join(RECIPES)}")
    return RECIPES[name]
