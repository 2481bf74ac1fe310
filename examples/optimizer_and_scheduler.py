"""A custom optimizer and scheduler, gradient clipping, and averaged weights."""

import torch

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=16)
network = tigon.DCGANGenerator(4, image_size=16, width=8, rng=tigon.make_rng("weights", 0))
learner = tigon.GeneratorLearner(tigon.GeneratorModel(network, latent_dim=4), len(images))

sgd = torch.optim.SGD(learner.parameters(), lr=1e-3, momentum=0.9)
steps = torch.optim.lr_scheduler.StepLR(sgd, step_size=20)
trainer = tigon.Trainer(
    learner, images, sgd, steps, clip=10.0, budget=tigon.Budget(50), average=0.9
)
records = trainer.fit()
print(f"error {records[-1]['reconstruction_error']:.3f}, rate {records[-1]['learning_rate']:.0e}")
with trainer.averaged() as smooth:  # chains and loss use the live weights
    print(smooth.sample(4, tigon.make_rng("samples", 0)).shape)
