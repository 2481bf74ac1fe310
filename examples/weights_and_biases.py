"""A callback that logs to Weights & Biases, or to a stand-in if it is not installed."""

from types import SimpleNamespace

import tigon

try:
    import wandb
except ImportError:
    logged = []
    wandb = SimpleNamespace(
        init=lambda **options: SimpleNamespace(log=lambda *what: logged.append(what)),
        finish=lambda: print(f"{len(logged)} records, the last {logged[-1][0]}"),
    )

run = wandb.init(project="tigon", mode="offline")


def log(trainer: tigon.Trainer, record: dict) -> None:
    run.log({"error": round(record["reconstruction_error"], 3)}, record["iteration"])


images = tigon.load_images("embedded:animal-faces", image_size=16)
tigon.GeneratorRecipe(image_size=16, iterations=20).trainer(images, callbacks=[log]).fit()
wandb.finish()
