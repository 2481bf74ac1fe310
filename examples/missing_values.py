"""Learn from images with missing values: half of the pixels of every image are hidden."""

import torch

import tigon

size = 16  # of windows that move over ten photographs
photographs = tigon.load_images("embedded:animal-faces", image_size=size + 4).read()
windows = photographs.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5)
whole = windows.reshape(-1, 3, size, size)
mask = (torch.rand(len(whole), 1, size, size) > 0.5).float()  # 1 is what was observed
data = tigon.as_data(whole, mask=mask)
recipe = tigon.GeneratorRecipe(image_size=size, latent_dim=16, sigma=0.15, iterations=150)
trainer = recipe.trainer(data)
trainer.fit()

batch = data.batch(torch.arange(len(data)))
completed = trainer.learner.completed(batch, tigon.make_rng(0)).images
missing = (mask == 0).expand_as(whole)
left = (completed - whole)[missing].square().mean()
grey = (batch.images - whole)[missing].square().mean()
print(f"error of what was missing {left:.3f}, of grey in its place {grey:.3f}")
