"""Optimizer, scheduler, clipping, callbacks and averaged weights of one's own; and resuming."""

import torch

import tigon

images = tigon.load_images("embedded:animal-faces", image_size=32)


def made(iterations: int) -> tigon.Trainer:
    """Return a trainer: the same one each time, but for its length."""
    network = tigon.DCGANGenerator(4, image_size=32, width=8, rng=tigon.make_rng("weights", 0))
    learner = tigon.GeneratorLearner(tigon.GeneratorModel(network, latent_dim=4), len(images))
    optimizer = torch.optim.SGD(learner.parameters(), lr=1e-3, momentum=0.9)
    return tigon.Trainer(
        learner,
        images,
        optimizer,  # or several by name: {"encoder": one, "decoder": other}
        scheduler=torch.optim.lr_scheduler.StepLR(optimizer, step_size=5),
        clip=10.0,  # largest norm of the gradient
        callbacks=[report, tigon.callbacks.Checkpoints("my-run")],
        budget=tigon.Budget(iterations),
        average=0.9,  # of the weights, which is what is saved to be sampled
    )


def report(trainer: tigon.Trainer, record: dict) -> None:
    if record["iteration"] % 5 == 0:
        error, rate = record["reconstruction_error"], record["learning_rate"]
        print(f"iteration {record['iteration']}: error {error:.3f}, rate {rate:.1g}")


made(10).fit()
made(15).restore("my-run").fit()  # goes on at iteration 11, as if it had not stopped
