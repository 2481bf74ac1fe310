import math

import pytest
import torch

from small import descriptor_recipe, generator_recipe, image_set, parameters
from tigon.errors import DivergenceError
from tigon.training.loop import fit
from tigon.training.settings import Length, Optimizer


def run(recipe, images=None, **options):
    training = recipe.training(images or image_set(), **options)
    return training, fit(training)


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
    training = generator_recipe().training(image_set())
    before = torch.get_rng_state()
    training.step()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sigma", [0.2, "learn"])
def test_a_run_that_ends_early_leaves_the_model_its_own_sigma(sigma):
    """While it is annealed, chains have another."""
    training = generator_recipe(sigma=sigma, iterations=20).training(image_set())
    (record,) = fit(training, stop=lambda: training.iteration == 1)
    own = training.learner.model.sigma.item()
    assert record["sigma"] == 2.0 and own == pytest.approx(
        record["reconstruction_error"] ** 0.5 if sigma == "learn" else 0.2
    )


def test_a_run_ends_after_its_iterations():
    training, records = run(generator_recipe(iterations=4))
    assert [record["iteration"] for record in records] == [1, 2, 3, 4]
    assert training.finished and training.progress == 1


@pytest.mark.parametrize(("budget", "iterations"), [(9, 3), (10, 3), (11, 3), (12, 4)])
def test_a_budget_of_gradient_evaluations_is_never_exceeded(budget, iterations):
    """One MALA step costs two evaluations and the update one."""
    training, records = run(generator_recipe(gradient_evaluations=budget))
    assert len(records) == iterations
    assert training.evaluations == 3 * iterations


def test_a_budget_holds_with_small_batches_too():
    """Batches of 2, 2 and 1 of 5 images cost 1.2, 1.2 and 0.6 passes over the set."""
    training, _ = run(generator_recipe(gradient_evaluations=5, batch_size=2), image_set(5))
    assert training.evaluations == pytest.approx(4.2)


def test_a_budget_of_less_than_one_iteration_is_refused():
    with pytest.raises(ValueError, match=r"2 is less than one iteration takes \(3\)"):
        generator_recipe(gradient_evaluations=2).training(image_set())


def test_every_image_is_learned_from_in_small_batches():
    training, records = run(generator_recipe(batch_size=2, iterations=3), image_set(5))
    assert training.evaluations == pytest.approx(3.0)
    assert records[-1]["gradient_evaluations"] == pytest.approx(3.0)


def test_the_cosine_schedule_falls_from_the_rate_to_nothing():
    optimizer = Optimizer(learning_rate=2.0, warm_up=4)
    assert optimizer.rate(0, 0.0) == pytest.approx(0.5)
    assert optimizer.rate(10, 0.5) == pytest.approx(1.0)
    assert optimizer.rate(10, 1.0) == pytest.approx(0.0)
    assert Optimizer(2.0, floor=0.25).rate(10, 0.5) == pytest.approx(1.25)
    assert Optimizer(2.0, floor=0.25).rate(10, 1.0) == pytest.approx(0.5)
    assert Optimizer(2.0, schedule="constant").rate(10, 0.7) == 2.0


def test_fit_stops_between_iterations_and_can_go_on():
    training = generator_recipe().training(image_set())
    asked = iter([False, False, True])
    fit(training, stop=lambda: next(asked))
    assert training.iteration == 2
    fit(training)
    whole, _ = run(generator_recipe())
    assert torch.equal(parameters(training.learner), parameters(whole.learner))


def test_watchers_see_every_iteration_in_order():
    seen = []
    training = generator_recipe(iterations=2).training(image_set())
    fit(training, [lambda t, r: seen.append(("a", t.iteration)), lambda t, r: seen.append("b")])
    assert seen == [("a", 1), "b", ("a", 2), "b"]


def test_a_loss_that_is_not_finite_stops_the_run_before_the_update():
    training = descriptor_recipe().training(image_set())
    training.step()
    with torch.no_grad():
        training.learner.model.network.last.bias.fill_(math.nan)
    before = parameters(training.learner)
    with pytest.raises(DivergenceError, match="iteration 2: .*not finite .loss nan, gap nan"):
        training.step()
    assert torch.equal(parameters(training.learner).nan_to_num(7), before.nan_to_num(7))


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_update():
    training = generator_recipe().training(image_set())
    training.learner.model.network.first.weight.register_hook(lambda g: g * math.inf)
    before = parameters(training.learner)
    with pytest.raises(DivergenceError, match="gradient_norm"):
        training.step()
    assert torch.equal(parameters(training.learner), before)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Length(0),
        lambda: Length(gradient_evaluations=0),
        lambda: Optimizer(-1.0),
        lambda: Optimizer(betas=(1.0, 0.9)),
        lambda: Optimizer(warm_up=-1),
        lambda: Optimizer(floor=1.5),
    ],
)
def test_numbers_that_make_no_sense_are_refused(build):
    with pytest.raises(ValueError, match="not"):
        build()
