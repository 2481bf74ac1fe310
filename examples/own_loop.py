"""A custom training loop around a learner: chains, loss, one step, no trainer."""

import torch

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=16)
network = tigon.DCGANGenerator(2, image_size=16, width=8, rng=tigon.make_rng("weights", 0))
learner = tigon.GeneratorLearner(tigon.GeneratorModel(network, latent_dim=2), len(images))
adam = torch.optim.Adam(learner.parameters(), lr=2e-3)

for iteration in range(60):
    index = torch.randperm(len(images), generator=tigon.make_rng("order", iteration))[:5]
    batch = tigon.Batch(images.read(index), index, among=len(images))
    rng = tigon.RowRng(0, iteration, index)  # a chain's noise depends on its image, not its batch
    latents = learner.run_chains(batch, rng)  # weights get no gradient here
    loss, metrics = learner(batch, latents)
    adam.zero_grad()
    loss.backward()
    adam.step()
    learner.after_update(adam)
    if iteration % 20 == 19:
        print(f"iteration {iteration + 1}: error {metrics['reconstruction_error']:.3f}")
