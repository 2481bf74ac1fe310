"""Save a model, load it, and use what it can do."""

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=16)
trainer = tigon.GeneratorRecipe(image_size=16, iterations=100).trainer(images)
trainer.fit()
trainer.learner.model.save_pretrained("faces")  # config.json, model.safetensors, README.md

model = tigon.load("faces")  # or a run folder; from_pretrained("OWNER/NAME") loads from the Hub
drawn = model.sample(4, tigon.make_rng("samples", 0))  # (4, 3, 16, 16)
if isinstance(model, tigon.HasLatents):
    found = model.infer(images.read()[:2], tigon.make_rng("infer", 0))
    path = (found.latents[0] * (1 - t) + found.latents[1] * t for t in (0.0, 0.5, 1.0))
    between = [model.decode(z[None]) for z in path]  # from the first picture to the second
    print(f"{type(model).__name__}: error {found.errors.mean():.3f}, {len(between)} between")
