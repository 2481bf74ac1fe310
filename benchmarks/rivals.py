"""What other kinds of model learn from the same images in the same time, measured alike.

    python benchmarks/rivals.py vae IMAGES.npz --minutes 10 --latent-dim 16 [--unseen OTHERS.npz]
    python benchmarks/rivals.py ddpm IMAGES.npz --minutes 10 [--unseen OTHERS.npz]
    python benchmarks/rivals.py copies IMAGES.npz [--unseen OTHERS.npz]

It prints one JSON object: what `tigon evaluate` measures, and how many updates were made. Without
--unseen, images are held out as a run holds them out, and are not learned from. A VAE also learns
from mirrored copies where a generator does; a diffusion model's images are those of a descriptor.
"""

import argparse
import json
from pathlib import Path

import torch

import ddpm
import vae
from copies import Copies
from tigon.data.load import load_images
from tigon.diagnostics.evaluation import Infer, evaluate
from tigon.memory import keep_freed_memory
from tigon.models.base import Model
from tigon.recipes import DescriptorRecipe, GeneratorRecipe


def main() -> None:
    """Learn, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=["vae", "ddpm", "copies"])
    parser.add_argument("images", type=Path)
    parser.add_argument("--unseen", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latent-dim", type=int, default=16, help="of a VAE, as the next three")
    parser.add_argument("--batch-size", type=int, default=vae.BATCH)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--sigma", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    recipe = DescriptorRecipe if options.kind == "ddpm" else GeneratorRecipe
    images = recipe(image_size=options.image_size).load(str(options.images))
    if options.unseen is None:
        unseen = images.held_out
    else:
        unseen = load_images(str(options.unseen), options.image_size)
    if unseen is None:
        parser.error("too few images to hold some out: give others with --unseen")
    minutes, seed = options.minutes, options.seed
    infer: Infer | None = None  # a diffusion model has no latents
    model: Model
    if options.kind == "vae":
        how = options.latent_dim, options.width, options.sigma, seed, options.batch_size
        found, updates = vae.learn(images, minutes, *how)
        model, infer = found.model, found.infer
    elif options.kind == "ddpm":
        model, updates = ddpm.learn(images, minutes, seed)
    else:
        model, updates, minutes = Copies(images, seed), 0, 0.0
    measured = evaluate(model, unseen, images, infer, seed=seed).to_plain()
    print(json.dumps({"updates": updates, "minutes": minutes} | measured))


if __name__ == "__main__":
    main()
