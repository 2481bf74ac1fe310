"""The recipe of a generator whose images a descriptor revises."""

import pytest

from small import image_set
from tigon.recipes.cooperative import CooperativeRecipe, RevisionGuard, RevisionSettings
from tigon.recipes.settings import GeneratorNetwork

SMALL = {"latent_dim": 2, "network": GeneratorNetwork(width=4), "held_out": 0.0}


@pytest.mark.parametrize(
    "name, value",
    [
        ("width", 1),
        ("steps", 0),
        ("step_size", 0.0),
        ("shrink", 0.0),
        ("temperature", -1.0),
        ("rate", 0.0),
        ("betas", (0.5, 1.0)),
        ("lead", 1.0),
        ("teach", -0.5),
        ("pool", 0),
    ],
)
def test_a_bad_setting_is_named_as_its_option_is(name, value):
    with pytest.raises(ValueError, match=rf"^revision\.{name} must be "):
        RevisionSettings(**{name: value})


@pytest.mark.parametrize(
    "size, pool, grid",
    [(64, None, 32), (16, None, 8), (8, None, 8), (18, None, 18), ((16, 24), None, (8, 12))]
    + [(32, 1, 32), (32, 4, 8)],
)
def test_the_descriptor_revises_squares_of_pixels(size, pool, grid):
    recipe = CooperativeRecipe(
        size, latent_dim=2, network=GeneratorNetwork(width=4), revision=RevisionSettings(pool=pool)
    )
    assert recipe.grid == grid
    said = "averaged over squares" in recipe.describe()
    assert said is (grid != size)


def test_squares_that_images_do_not_have_are_refused():
    for pool in (3, 8):
        with pytest.raises(
            ValueError, match=rf"^revision\.pool {pool}: images 32 must be even mul"
        ):
            CooperativeRecipe(32, latent_dim=2, revision=RevisionSettings(pool=pool)).model()


def test_the_descriptor_learns_at_its_own_rate():
    recipe = CooperativeRecipe(**SMALL, iterations=1, revision=RevisionSettings(width=4))
    trainer = recipe.trainer(image_set(8))
    generator, descriptor = trainer.optimizer.param_groups
    assert (descriptor["lr"], descriptor["betas"]) == (0.04, (0.5, 0.95))
    assert (generator["lr"], generator["betas"]) == (2e-3, (0.9, 0.999))
    own = set(trainer.learner.model.descriptor.parameters())
    assert set(descriptor["params"]) == own and not own & set(generator["params"])
    assert len(own) + len(generator["params"]) == len(list(trainer.learner.parameters()))


def record(**values):
    return {"gradient_norm": 1.0} | values


def test_the_guard_watches_the_revision_once_there_is_one():
    guard, usual = RevisionGuard(), 1.0
    assert guard.trouble(record(), usual) is None
    assert guard.trouble(record(gap=11.0, saturation=0.0), usual) == "gap"
    assert guard.trouble(record(gap=0.0, saturation=0.6), usual) == "chains"
    assert not guard.suspicions(record())["collapse"]
    spreads = {"revised_spread": 0.05, "proposed_spread": 0.8}
    assert guard.suspicions(record(**spreads))["collapse"]
    for cause in ("gap", "chains", "collapse"):
        assert "--revision." in guard.causes[cause][1]


def test_records_lack_the_revision_while_the_generator_learns_alone():
    recipe = CooperativeRecipe(
        **SMALL, iterations=6, revision=RevisionSettings(width=4, steps=2, lead=0.5)
    )
    records = recipe.trainer(image_set(8)).fit()
    assert ["gap" in one for one in records] == 3 * [False] + 3 * [True]
    early, late = recipe.summary(records[:2]), recipe.summary(records)
    assert early["revision"] == "the descriptor has not begun to learn"
    assert "last 3 logged" in late["|gap| of the revision"]
    names = [finding.name for finding in recipe.judge(records)]
    assert [n for n in names if n.endswith("of the revision")] == [
        "gap of the revision",
        "saturation of the revision",
        "spread of the revision",
    ]
    assert not any("revision" in finding.name for finding in recipe.judge(records[:3]))
