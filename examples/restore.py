"""Restore a hole: draw what may have been there, given the rest of the image."""

import torch

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=16)
trainer = tigon.GeneratorRecipe(image_size=16, iterations=100).trainer(images)
trainer.fit()

kept = torch.ones(16, 16)
kept[5:11, 5:11] = 0  # 1 is what is kept
physics = tigon.Mask(kept)
y = physics(images.read()[:2])
how = tigon.Draws(chains=4, draws=2)
found = tigon.restore(trainer.learner.model, y, physics, tigon.make_rng(0), how=how)
inside = found.spread[:, :, 5:11, 5:11].mean()
print(f"{found.samples.shape[1]} draws of each, spread {inside:.2f} in the hole")
