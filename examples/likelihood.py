"""How probable images are: those that a model draws, and those that it has learned from."""

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=16)
trainer = tigon.GeneratorRecipe(image_size=16, iterations=100).trainer(images)
trainer.fit()
model = trainer.learner.model

drawn, latents = tigon.simulated(model, 2, tigon.make_rng(0))
how = tigon.AIS(chains=4, temperatures=10)
found = tigon.log_likelihood(model, drawn, tigon.make_rng(1), how, latents)
for lower, upper in zip(found.lower, found.upper, strict=True):
    print(f"an image that the model drew: log p between {lower:.2f} and {upper:.2f} nats")

found = tigon.log_likelihood(model, images.read()[:2], tigon.make_rng(2), how)
for nats in found.lower.tolist():
    bits = tigon.bits_per_dimension(nats, 3 * 16 * 16, levels=255)
    print(f"a photograph: at least {nats:.0f} nats, {bits:.2f} bits per value of 0 to 255")
