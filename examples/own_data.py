"""Your own data: a folder of pictures, or an array, with some held out."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import tigon


def disk(numbers: np.random.Generator) -> np.ndarray:
    """Draw a disk of random colour at a random position, uint8 (48, 64, 3)."""
    y, x = np.mgrid[:48, :64]
    centre, radius = numbers.uniform((14, 14), (34, 50)), numbers.uniform(8, 14)
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    return np.where(inside[:, :, None], numbers.integers(80, 256, 3), 40).astype(np.uint8)


numbers = np.random.default_rng(0)
with TemporaryDirectory() as folder:
    for k in range(24):  # any names, sizes, modes and folder depth
        Image.fromarray(disk(numbers)).save(Path(folder) / f"{k:02}.png")
    images = tigon.load_images(folder, image_size=32, fit="crop")
print(f"{len(images)} images, {images.pixels.shape}, {len(images.skipped)} left out")

# An array becomes an ImageSet too: uint8 (N, H, W, C), and a name for each image.
learned = tigon.ImageSet(images.pixels[:20], images.names[:20], [])
held_out = tigon.ImageSet(images.pixels[20:], images.names[20:], [])

trainer = tigon.GeneratorRecipe(latent_dim=5, iterations=150).trainer(learned)
trainer.fit()
model, rng = trainer.learner.model, tigon.make_rng("held out", 0)
found = model.infer(held_out.read(), rng)
for name, error in zip(held_out.names, found.errors.tolist(), strict=True):
    print(f"{name}: mean squared error {error:.3f} on [-1, 1]")
