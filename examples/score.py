"""How unusual images are, beside images that the model has not learned from."""

import torch

import tigon

colours = torch.randn(66, 3, 1, 1, generator=tigon.make_rng(0)).mul(0.3)
images = (colours + 0.2 * torch.linspace(-1, 1, 16)).expand(-1, -1, 16, -1).clamp(-1, 1)
trainer = tigon.GeneratorRecipe(image_size=16, latent_dim=3, iterations=60).trainer(images[:40])
trainer.fit()
model = trainer.learner.model

detector = tigon.Detector(model, contamination=0.05, how=tigon.ColdStart(2))
detector.fit(images[40:64])
others = images[64:].clone()
others[1, :, 4:8, 4:8] = 1  # a white square in one of two
above = [round(value, 1) for value in detector.percentiles(others).tolist()]
print(f"percentiles {above}, labels {detector.predict(others).tolist()}")

found = tigon.score(model, others, tigon.make_rng(1))
square = found.maps[1, 4:8, 4:8].sum() / found.maps[1].sum()
print(f"{found.main} {found.scores[found.main][1]:.0f}, {square:.0%} of its map in the square")
