"""Walk from one photograph to another, and by what light and dark ones differ in."""

import torch

import tigon

light = tigon.load_images("embedded:animal-faces", image_size=16).read()
dark = (light + 1) / 2 - 1
data = tigon.as_data(torch.cat([light, dark]))
trainer = tigon.GeneratorRecipe(image_size=16, latent_dim=8, iterations=100).trainer(data)
trainer.fit()
model, latents = trainer.learner.model, trainer.learner.store.points  # (20, 8)

for along in ("line", "arc"):
    walk = tigon.interpolate(model, light[:1], light[1:2], tigon.make_rng(0), 5, along)
    norms = [round(norm, 1) for norm in walk.latents[0].norm(dim=1).tolist()]
    print(f"{along}: {len(walk.images[0])} images, norms of their latents {norms}")

walk = tigon.latent_arithmetic(model, latents[:1], latents[1:10], latents[11:])  # of nine others
before, after = ((walk.images[0, k] - dark[0]).square().mean() for k in (0, -1))
print(f"error to the dark photograph: {before:.2f}, then {after:.2f}")
