"""Stop a run and resume it from Python, with exactly the same result."""

import torch

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=16)


def made(folder: str) -> tigon.Trainer:
    """Return a trainer that saves a checkpoint every ten iterations."""
    recipe = tigon.GeneratorRecipe(image_size=16, iterations=40)
    return recipe.trainer(images, callbacks=[tigon.callbacks.Checkpoints(folder, every=10)])


made("whole").fit()
stopped = made("stopped")
stopped.fit(stop=lambda: stopped.iteration == 20)
again = made("stopped").restore("stopped")
print(f"goes on at iteration {again.iteration}")
again.fit()
one, two = (made(name).restore(name).learner.state_dict() for name in ("whole", "stopped"))
print(f"the same weights: {all(torch.equal(one[name], two[name]) for name in one)}")
