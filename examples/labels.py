"""Labels from subfolders: where a generator that never saw them puts each class."""

from pathlib import Path

import numpy as np
from PIL import Image

import tigon

numbers = np.random.default_rng(0)
for name, colour in (("blue", (40, 60, 200)), ("red", (200, 60, 40))):
    Path("colours", name).mkdir(parents=True, exist_ok=True)
    for k in range(8):
        pixels = np.clip(colour + numbers.normal(0, 20, (16, 16, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(f"colours/{name}/{k}.png")

images = tigon.load_images("colours", image_size=16)
trainer = tigon.GeneratorRecipe(image_size=16, latent_dim=1, iterations=150).trainer(images)
trainer.fit()
latents = trainer.learner.latents()[:, 0].numpy()
for number, name in enumerate(images.classes):
    print(f"{name}: latents around {latents[images.labels == number].mean():+.2f}")
