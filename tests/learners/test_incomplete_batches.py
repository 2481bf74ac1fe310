"""Learners of images with missing values: what these are has no influence, ones change nothing."""

from dataclasses import replace

import pytest
import torch

from small import descriptor_recipe, generator_recipe, image_set
from tigon.data.batches import Batch
from tigon.data.datasets import as_data
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.models.energy import EnergyModel
from tigon.models.image_noise import Correlated
from tigon.random.streams import RowRng, make_rng
from tigon.recipes import recipes
from tigon.recipes.settings import GeneratorNetwork
from tigon.training.trainer import Trainer

NAMES = ["generator", "descriptor", "cooperative", "latent-ebm"]
MASK = (torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(3)) < 0.5).float()


class Items(torch.utils.data.Dataset):
    """Images and masks, one by one: a mask of ones is kept."""

    def __init__(self, images, mask):
        self.images, self.mask = images, mask

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return {"image": self.images[row], "mask": self.mask[row]}


def small(name):
    """A recipe of 16 x 16 images: a descriptor has two grids."""
    options = {"image_size": 16, "iterations": 4}
    if name == "descriptor":
        return descriptor_recipe(**options)
    plain = generator_recipe(**options, network=GeneratorNetwork(width=4))
    if name == "generator":
        return plain
    kind = recipes()[name]
    recipe = kind(**options, held_out=0.0, latent_dim=2, network=plain.network)
    if name == "cooperative":
        recipe = replace(recipe, revision=replace(recipe.revision, lead=0.0, steps=3, width=4))
    return recipe


def run(name, data):
    """The learner's numbers after four iterations, what it shows, and its records' errors."""
    trainer = small(name).trainer(data)
    records = trainer.fit()
    measure = [record[trainer.learner.measure] for record in records]
    if name != "descriptor":  # what f(z) leaves out is known though much was never seen
        assert isinstance(trainer.learner.model.image_noise(), Correlated)
    state = [tensor.double().flatten() for tensor in trainer.learner.state_dict().values()]
    return torch.cat([*state, trainer.learner.show(5).flatten()]), measure


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_have_no_influence_and_a_mask_of_ones_changes_nothing(name):
    images = image_set(5, 16).read()
    hidden = MASK.expand_as(images) == 0
    found = [
        run(name, as_data(images.masked_fill(hidden, fill), mask=MASK))
        for fill in (torch.nan, 0.7)
    ]
    assert torch.equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    ones, none = run(name, Items(images, torch.ones_like(images))), run(name, as_data(images))
    assert torch.equal(ones[0], none[0]) and ones[1] == none[1]
    assert not torch.allclose(found[0][0], none[0], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_completed_batches_keep_what_was_observed(name):
    images = image_set(5, 16).read()
    data = as_data(images, mask=MASK)
    trainer = small(name).trainer(data)
    trainer.fit()
    batch = data.batch(torch.tensor([4, 1]))
    rng = torch.Generator().manual_seed(0)
    full = trainer.learner.completed(batch, rng)
    known = MASK[[4, 1]].expand_as(full.images) > 0
    assert full.mask is None and torch.equal(full.images[known], images[[4, 1]][known])
    assert full.images[~known].std() > 1e-3  # not the grey of what is missing


def test_the_reconstruction_error_is_a_sum_over_observed_values_by_their_number():
    learner: GeneratorLearner = small("generator").learner(image_set(5, 16))
    images, index = image_set(5, 16).read(), torch.arange(5)
    mask = MASK.clone()
    mask[0], mask[1, :, 2:] = 1, 0  # weights of images differ
    _, metrics = learner(Batch(images, index, mask), learner.store.points)
    squares = (images - learner.decode(learner.store.points)) ** 2
    known = mask.expand_as(squares) > 0
    torch.testing.assert_close(metrics["reconstruction_error"], squares[known].mean())


def test_images_are_completed_row_by_row(monkeypatch):
    """A chain on the missing values of an image sees neither other images nor what is behind."""
    learner = small("descriptor").learner(image_set(5, 16))
    images = image_set(5, 16).read()
    whole = learner.model.complete(images, MASK, RowRng(0, 0, range(5)))
    other = images.masked_fill(MASK.expand_as(images) == 0, -1.0)
    alone = learner.model.complete(other[2:4], MASK[2:4], RowRng(0, 0, range(2, 4)))
    torch.testing.assert_close(whole[2:4], alone, rtol=1e-4, atol=1e-5)


def test_missing_values_stay_in_the_range_of_images_however_long_the_steps():
    learner = small("descriptor").learner(image_set(5, 16))
    learner.scale_steps(30.0)
    images = image_set(5, 16).read()
    free = learner.model.sample(5, RowRng(0, 0, range(5)))
    completed = learner.model.complete(images, MASK, RowRng(0, 0, range(5)))
    assert completed.abs().max() <= 1 < free.abs().max()


class Places(torch.nn.Module):
    """f(x): sums of x over some places and over others, each times a weight."""

    def __init__(self, places):
        super().__init__()
        self.register_buffer("places", places)
        self.weights = torch.nn.Parameter(torch.tensor([0.3, 0.2]))

    def forward(self, images):
        both = [(images * places).flatten(1).sum(1) for places in self.places]
        return torch.stack(both, 1) @ self.weights


def test_what_completes_images_teaches_a_descriptor_nothing():
    """A weight of the missing values alone has no gradient, that of the observed ones has."""
    mask = MASK[:1].expand_as(MASK)
    network, starts = Places(torch.stack([MASK[0], 1 - MASK[0]])), torch.zeros(1, 3, 1, 1)
    learner = DescriptorLearner(EnergyModel(network, starts=starts, image_size=16))
    batch = Batch(image_set(5, 16).read(), torch.arange(5), mask)
    loss, _ = learner(batch, learner.run_chains(batch, make_rng(0)))
    loss.backward()
    seen, missing = network.weights.grad.abs()
    assert missing < 1e-4 < 0.1 < seen


def test_a_learner_that_knows_no_masks_refuses_incomplete_images(monkeypatch):
    monkeypatch.setattr(GeneratorLearner, "masks", False)
    data = as_data(image_set(5, 16).read(), mask=MASK)
    with pytest.raises(ValueError, match="learns from complete images alone"):
        Trainer(small("generator").learner(data), data)
