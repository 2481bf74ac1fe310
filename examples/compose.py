"""Draw from two models at once: their mixture and their product."""

import numpy as np

import tigon

photographs = tigon.load_images("embedded:animal-faces", image_size=16)
models = []
for rows in (range(0, 5), range(5, 10)):
    some = photographs.read(np.asarray(rows))
    trainer = tigon.DescriptorRecipe(image_size=16, iterations=20).trainer(tigon.as_data(some))
    trainer.fit()
    models.append(trainer.learner.model)

mixture = tigon.Composed(models, way="mixture")
product = tigon.Composed(models, [0.5, 0.5])
for name, model in (("mixture", mixture), ("product", product)):
    images = model.sample(8, tigon.RowRng(0, 0, range(8)))
    higher = [each.log_density(images).mean().item() for each in models]
    print(f"{name}: mean log-densities {higher[0]:.0f} and {higher[1]:.0f}, up to constants")
