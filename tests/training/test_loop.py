import math
from itertools import count

import pytest
import torch

from small import descriptor_recipe, generator_recipe, image_set, parameters
from tigon.errors import DivergenceError
from tigon.training.settings import AdamSettings, Budget


def run(recipe, images=None, **options):
    trainer = recipe.trainer(images or image_set(), **options)
    return trainer, trainer.fit()


@pytest.mark.parametrize("recipe", [generator_recipe(), descriptor_recipe()], ids=["gen", "desc"])
def test_two_runs_with_one_seed_are_identical(recipe):
    one, records = run(recipe)
    two, again = run(recipe)
    assert torch.equal(parameters(one.learner), parameters(two.learner))
    for name, tensor in one.learner.chain_tensors().items():
        assert torch.equal(tensor, two.learner.chain_tensors()[name])
    for a, b in zip(records, again, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}


@pytest.mark.parametrize("recipe", [generator_recipe, descriptor_recipe], ids=["gen", "desc"])
def test_another_seed_is_another_run(recipe):
    one, _ = run(recipe(seed=1))
    two, _ = run(recipe(seed=2))
    assert not torch.equal(parameters(one.learner), parameters(two.learner))


def test_no_iteration_draws_from_the_global_generator():
    trainer = generator_recipe().trainer(image_set())
    before = torch.get_rng_state()
    trainer.step()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sigma", [0.2, "learn"])
def test_a_run_that_ends_early_leaves_the_model_its_own_sigma(sigma):
    """While it is annealed, chains have another."""
    trainer = generator_recipe(sigma=sigma, iterations=20).trainer(image_set())
    (record,) = trainer.fit(stop=lambda: trainer.iteration == 1)
    own = trainer.learner.model.sigma.item()
    assert record["sigma"] == 2.0 and own == pytest.approx(
        record["reconstruction_error"] ** 0.5 if sigma == "learn" else 0.2
    )


def test_a_run_ends_after_its_iterations():
    trainer, records = run(generator_recipe(iterations=4))
    assert [record["iteration"] for record in records] == [1, 2, 3, 4]
    assert trainer.finished and trainer.progress == 1


@pytest.mark.parametrize(("budget", "iterations"), [(9, 3), (10, 3), (11, 3), (12, 4)])
def test_a_budget_of_gradient_evaluations_is_never_exceeded(budget, iterations):
    """One MALA step costs two evaluations and the update one."""
    trainer, records = run(generator_recipe(gradient_evaluations=budget))
    assert len(records) == iterations
    assert trainer.evaluations == 3 * iterations


def test_a_budget_holds_with_small_batches_too():
    """Batches of 2, 2 and 1 of 5 images cost 1.2, 1.2 and 0.6 passes over the set."""
    trainer, _ = run(generator_recipe(gradient_evaluations=5, batch_size=2), image_set(5))
    assert trainer.evaluations == pytest.approx(4.2)


def test_a_budget_of_less_than_one_iteration_is_refused():
    with pytest.raises(ValueError, match=r"2 is less than one iteration takes \(3\)"):
        generator_recipe(gradient_evaluations=2).trainer(image_set())


def test_every_image_is_learned_from_in_small_batches():
    trainer, records = run(generator_recipe(batch_size=2, iterations=3), image_set(5))
    assert trainer.evaluations == pytest.approx(3.0)
    assert records[-1]["gradient_evaluations"] == pytest.approx(3.0)


def test_the_cosine_schedule_falls_from_the_rate_to_nothing():
    def rate(settings, iteration, progress):
        factors = [schedule(iteration, progress) for schedule in settings.schedules()]
        return settings.learning_rate * math.prod(factors)

    adam = AdamSettings(learning_rate=2.0, warm_up=4)
    assert rate(adam, 0, 0.0) == pytest.approx(0.5)
    assert rate(adam, 10, 0.5) == pytest.approx(1.0)
    assert rate(adam, 10, 1.0) == pytest.approx(0.0)
    assert rate(AdamSettings(2.0, floor=0.25), 10, 0.5) == pytest.approx(1.25)
    assert rate(AdamSettings(2.0, floor=0.25), 10, 1.0) == pytest.approx(0.5)
    assert rate(AdamSettings(2.0, schedule="constant"), 10, 0.7) == 2.0


def test_fit_stops_between_iterations_and_can_go_on():
    trainer = generator_recipe().trainer(image_set())
    asked = iter([False, False, True])
    trainer.fit(stop=lambda: next(asked))
    assert trainer.iteration == 2
    trainer.fit()
    whole, _ = run(generator_recipe())
    assert torch.equal(parameters(trainer.learner), parameters(whole.learner))


def test_callbacks_see_every_iteration_in_order():
    seen = []
    trainer = generator_recipe(iterations=2).trainer(image_set())
    trainer.callbacks = [
        lambda t, r: seen.append(("a", t.iteration)),
        lambda t, r: seen.append("b"),
    ]
    trainer.fit()
    assert seen == [("a", 1), "b", ("a", 2), "b"]


def test_a_loss_that_is_not_finite_stops_the_run_before_the_update():
    trainer = descriptor_recipe().trainer(image_set())
    trainer.step()
    with torch.no_grad():
        trainer.learner.model.network.last.bias.fill_(math.nan)
    before = parameters(trainer.learner)
    with pytest.raises(DivergenceError, match="iteration 2: .*not finite .loss nan, gap nan"):
        trainer.step()
    assert torch.equal(parameters(trainer.learner).nan_to_num(7), before.nan_to_num(7))


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_update():
    trainer = generator_recipe().trainer(image_set())
    trainer.learner.model.network.first.weight.register_hook(lambda g: g * math.inf)
    before = parameters(trainer.learner)
    with pytest.raises(DivergenceError, match="gradient_norm"):
        trainer.step()
    assert torch.equal(parameters(trainer.learner), before)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Budget(0),
        lambda: Budget(gradient_evaluations=0),
        lambda: Budget(minutes=0.0),
        lambda: Budget(minutes=math.inf),
        lambda: AdamSettings(-1.0),
        lambda: AdamSettings(betas=(1.0, 0.9)),
        lambda: AdamSettings(warm_up=-1),
        lambda: AdamSettings(floor=1.5),
        lambda: AdamSettings(clip=0.0),
    ],
)
def test_numbers_that_make_no_sense_are_refused(build):
    with pytest.raises(ValueError, match="not"):
        build()


def test_a_run_by_the_clock_ends_when_its_minutes_are_over_and_anneals_by_them(monkeypatch):
    """Each iteration takes half a minute; what is done between two does not count."""
    monkeypatch.setattr("tigon.training.trainer.time.perf_counter", count(step=30).__next__)
    trainer = generator_recipe(minutes=2.0, iterations=1).trainer(image_set())
    stops = iter([False, False, True])
    trainer.fit(lambda: next(stops))
    assert trainer.iteration == 2 and trainer.progress == 0.5 and not trainer.finished
    records = trainer.fit()
    assert trainer.iteration == 4 and trainer.finished and trainer.seconds == 120
    rates = [record["learning_rate"] for record in records]
    assert rates == pytest.approx([1e-3, 1e-3 * (1 - 0.5**0.5)])


def test_two_budgets_are_one_too_many():
    with pytest.raises(ValueError, match="give one of them"):
        generator_recipe(minutes=1.0, gradient_evaluations=10)
