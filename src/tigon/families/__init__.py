"""What the runs of a recipe show: one `Family` for each kind of model, in one place.

Reports, comparisons and TensorBoard ask the family of a run's recipe, and know no recipe by name.
A recipe of a new kind adds a module here with its own `Family`, and an entry to `FAMILIES`.
"""

from typing import Any

from tigon.families.base import Family
from tigon.families.descriptor import DescriptorFamily
from tigon.families.generator import GeneratorFamily
from tigon.recipes import Recipe

FAMILIES: tuple[Family[Any, Any], ...] = (GeneratorFamily(), DescriptorFamily())


def family_of(recipe: Recipe) -> Family[Any, Any]:
    """Return the family of a recipe.

    Raises:
        LookupError: if none has been written for it
    """
    for family in FAMILIES:
        if isinstance(recipe, family.recipe):
            return family
    raise LookupError(f"tigon.families has no family for recipes of type {type(recipe).__name__}")
