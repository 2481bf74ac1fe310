"""Fine-tune a saved model on other images."""

import torch

import tigon

faces = tigon.load_images("embedded:animal-faces", image_size=16).read()
recipe = tigon.GeneratorRecipe(image_size=16, iterations=100)
trainer = recipe.trainer(tigon.as_data(faces[:7]))
trainer.fit()
trainer.learner.model.save_pretrained("seven-faces")

model = tigon.GeneratorModel.from_pretrained("seven-faces")
others = tigon.as_data(faces[7:])  # three images that it has not seen
learner = tigon.GeneratorLearner(model, len(others))
learner.store.load(
    model.infer(others.read(), tigon.make_rng("begin", 0)).latents
)  # instead of from noise
adam = torch.optim.Adam(model.parameters(), lr=5e-4)
records = tigon.Trainer(learner, others, adam, budget=tigon.Budget(60)).fit()
errors = [record["reconstruction_error"] for record in records]
print(f"error on the three others: {errors[0]:.3f}, then {errors[-1]:.3f}")
