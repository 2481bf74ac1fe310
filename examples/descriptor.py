"""Train a descriptor: real sampling of images, alternating with gradient steps.

python examples/descriptor.py [FOLDER]   (about 30 s; writes descriptor.png)
"""

import sys

import torch

import tigon
from tigon.figures import stages

data = sys.argv[1] if len(sys.argv) > 1 else "embedded:animal-faces"
images = tigon.load_images(data, image_size=32)

recipe = tigon.DescriptorRecipe(image_size=32, iterations=80)


def report(trainer: tigon.Trainer, record: dict) -> None:
    if record["iteration"] % 20 == 0:
        print(f"iteration {record['iteration']}: gap {record['gap']:+.3f} nats per dimension of f")


trainer = recipe.trainer(images, callbacks=[report])
trainer.fit()
learner = trainer.learner
index = torch.arange(min(10, len(images)))
draws = learner.sample_chain(index, tigon.make_rng("draw", 0), keep=10)  # every tenth state
rows = [
    ("training images", images.pixels[: len(index)]),
    ("start", tigon.to_uint8(learner.start(index))),
    *((f"step {10 * k}", tigon.to_uint8(x)) for k, x in enumerate(draws.trajectory, 1)),
]
stages(rows).savefig("descriptor.png")
chains = recipe.chains
print(f"a sampler of {chains.steps} steps at temperature {chains.temperature:g}, not a density")
print(
    f"its chains target p^(1/T), in whose units gaps are {1 / chains.temperature:g} times as large"
)
