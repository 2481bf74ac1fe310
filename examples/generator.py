"""Train a generator: real inference of latents, alternating with gradient steps.

python examples/generator.py [FOLDER]   (about 15 s; writes generator.png)
"""

import sys

import tigon
from tigon.figures import stages

data = sys.argv[1] if len(sys.argv) > 1 else "embedded:animal-faces"
images = tigon.load_images(data, image_size=32)

recipe = tigon.GeneratorRecipe(image_size=32, latent_dim=2, iterations=150)


def report(trainer: tigon.Trainer, record: dict) -> None:
    if record["iteration"] % 50 == 0:
        error = record["reconstruction_error"]
        print(f"iteration {record['iteration']}: reconstruction error {error:.4f}")


trainer = recipe.trainer(images, callbacks=[report])
trainer.fit()
learner = trainer.learner
count = min(10, len(images))
rows = [
    ("training images", images.pixels[:count]),
    ("reconstructions", tigon.to_uint8(learner.show(count))),
    ("new images", tigon.to_uint8(learner.sample(count, tigon.make_rng("sample", 0)))),
]
stages(rows).savefig("generator.png")

# Latents of images that the model has not seen: here, mirrored training images.
mirrored = images.read(slice(0, 2)).flip(3)
found = learner.model.infer(mirrored, tigon.make_rng("infer", 0))
print("latents of two mirrored images:", found.latents.tolist())
print("mean squared errors, on [-1, 1]:", found.errors.tolist())
