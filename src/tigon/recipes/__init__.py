"""A recipe is a named set of numbers: everything about a run but its data and its folder."""

from tigon.errors import TigonError
from tigon.recipes.base import Recipe
from tigon.recipes.descriptor import DescriptorRecipe, OriginalDescriptorRecipe
from tigon.recipes.generator import GeneratorRecipe, OriginalGeneratorRecipe

__all__ = [
    "RECIPES",
    "DescriptorRecipe",
    "OriginalDescriptorRecipe",
    "GeneratorRecipe",
    "OriginalGeneratorRecipe",
    "Recipe",
    "recipe_type",
]

RECIPES: dict[str, type[Recipe]] = {
    "generator": GeneratorRecipe,
    "descriptor": DescriptorRecipe,
    "generator-original": OriginalGeneratorRecipe,
    "descriptor-original": OriginalDescriptorRecipe,
}


def recipe_type(name: str) -> type[Recipe]:
    """Return the recipe class of this name.

    Raises:
        TigonError: if there is none
    """
    if name not in RECIPES:
        raise TigonError(f"recipe {name!r}: there are {', '.join(RECIPES)}")
    return RECIPES[name]
