import numpy as np
import pytest

from tigon.families import FAMILIES, family_of
from tigon.families.base import Measure
from tigon.recipes import RECIPES, Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_family_that_says_what_its_models_are(name):
    recipe = RECIPES[name]()
    said = family_of(recipe).what(recipe)
    assert family_of(recipe).noun in said
    assert ("comparison only" in said) == name.endswith("seed")


def test_measures_and_stages_have_names_of_their_own():
    names = [measure.name for family in FAMILIES for measure in family.measures]
    names += [family.stages.name for family in FAMILIES]
    assert len(set(names)) == len(names)


def test_a_recipe_without_a_family_is_named():
    class Odd(Recipe):
        def learner(self, images):
            raise NotImplementedError

        def restored(self, chains, files=None):
            raise NotImplementedError

        def model(self):
            raise NotImplementedError

    with pytest.raises(LookupError, match="type Odd"):
        family_of(Odd())


def test_a_measures_picture_says_in_words_where_each_line_begins_and_ends():
    records = [{"gradient_evaluations": 10.0 * k, "x": value} for k, value in enumerate((3, 9, 1))]
    measure = Measure("m", "Some measure", "unit", "caption", lambda record: record["x"], "signed")
    picture = measure.picture({"one": records, "two": records[:2]})
    assert picture.description == (
        "Line chart of some measure: one begins at 3, ends at 1 after 20 gradient evaluations, "
        "and stays between 1 and 9; two begins at 3, ends at 9 after 10 gradient evaluations, and "
        "stays between 3 and 9."
    )
    assert picture.figure.axes[0].get_yscale() == "linear"
    far = [record | {"x": -500.0} for record in records]
    axes = measure.picture({"": far}).figure.axes[0]
    assert axes.get_yscale() == "symlog"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), -500)
