"""A recipe is a named set of numbers: everything about a run except its data and its folder.

Recipes from other packages are found through the entry point `tigon.recipes`, under the recipe's
name; `register` adds one by hand.
"""

from functools import cache
from importlib.metadata import entry_points

from tigon.errors import TigonError
from tigon.recipes.base import Recipe
from tigon.recipes.cooperative import CooperativeRecipe
from tigon.recipes.descriptor import DescriptorRecipe, OriginalDescriptorRecipe
from tigon.recipes.generator import GeneratorRecipe, OriginalGeneratorRecipe
from tigon.recipes.latent_ebm import LatentEBMRecipe
from tigon.recipes.texture import TextureRecipe

__all__ = [
    "CooperativeRecipe",
    "DescriptorRecipe",
    "GeneratorRecipe",
    "LatentEBMRecipe",
    "OriginalDescriptorRecipe",
    "OriginalGeneratorRecipe",
    "Recipe",
    "TextureRecipe",
    "recipe_type",
    "recipes",
    "register",
]

GROUP = "tigon.recipes"
OWN = (
    GeneratorRecipe,
    DescriptorRecipe,
    LatentEBMRecipe,
    CooperativeRecipe,
    TextureRecipe,
    OriginalGeneratorRecipe,
    OriginalDescriptorRecipe,
)


@cache
def recipes() -> dict[str, type[Recipe]]:
    """Return all recipes by name: tigon's own, registered ones, and those from other packages.

    Raises:
        TigonError: if a package's entry point cannot be loaded, or is not a recipe; it is named
    """
    found: dict[str, type[Recipe]] = {kind.name: kind for kind in OWN}
    for point in entry_points(group=GROUP):
        try:
            kind = point.load()
        except Exception as error:  # it runs another package's code
            raise TigonError(
                f"recipe {point.name!r} of {point.value}: cannot be imported ({error}); fix or "
                "uninstall the package"
            ) from error
        found[_checked(kind).name] = kind
    return found


def register(kind: type[Recipe]) -> type[Recipe]:
    """Add a recipe for this process, under its `name`; may be used as a decorator.

    Raises:
        TigonError: if it is not a recipe, or its name is taken by another
    """
    known = recipes()
    if known.get(_checked(kind).name, kind) is not kind:
        raise TigonError(f"recipe {kind.name!r}: {known[kind.name].__qualname__} has that name")
    known[kind.name] = kind
    return kind


def recipe_type(name: str) -> type[Recipe]:
    """Return the recipe class of this name.

    Raises:
        TigonError: if there is none
    """
    if name not in recipes():
        raise TigonError(f"recipe {name!r}: there are {', '.join(recipes())}")
    return recipes()[name]


def _checked(kind: type[Recipe]) -> type[Recipe]:
    if not (isinstance(kind, type) and issubclass(kind, Recipe) and hasattr(kind, "name")):
        raise TigonError(f"recipe {kind!r}: is not a subclass of tigon.Recipe with a `name`")
    return kind
