"""What is restored of images that no model has seen, beside what a user would take instead.

    python benchmarks/restoring.py [--seeds 0 1 2] [--minutes 15] [--latent-dim 64] [--images 24]
        [--threads 1] [--table] [--log benchmarks/restoring.jsonl] [--out build/restoring]
        [--write benchmarks/RESULTS.md] [--picture]

A generator learns from the training images of clothing64 by `tigon train generator --latent-dim D
--minutes M --seed S`, and a VAE with its decoder, d and sigma for as many minutes. Of evenly
spaced test images half of the pixels are missing, or a hole of 20 x 20, or squares of 4 x 4 pixels
were averaged. `tigon.restore` draws with its defaults; PCA of the same d is the exact conditional
mean of probabilistic PCA; the VAE's is the mode of its latents given what was observed, found from
several starts; biharmonic and bicubic are scikit-image's and Pillow's. All keep what was observed.
What was measured is added to --log, one line a row, and not measured again while it stands there;
--table measures nothing, and prints those that are there. --picture draws restored.webp and
filled.webp in docs/pictures, of the first seed's run.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import vae
from measuring import arguments, find, publish, record
from recipes import ROOT, SHARED, between, clothing, commit, stored, tigon
from results import machine, table
from tigon import figures
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.data.pixels import to_uint8
from tigon.diagnostics.similarity import psnr_and_ssim
from tigon.inference.physics import Downsample, Mask, Physics
from tigon.inference.restore import WHITE, Draws, restore
from tigon.models.generator import GeneratorModel
from tigon.random.streams import RowRng, make_rng
from tigon.runs.run import Run

SIZE, HOLE, FACTOR, BATCH = 64, (22, 42), 4, 4
PICTURED = 6  # images of the picture
PICTURES = ROOT / "docs" / "pictures"
STARTS, STEPS, RATE = 4, 300, 0.05  # of the search for a mode
INSIDE = 1.645  # standard deviations from the mean: 90 % of a Gaussian
METHODS = ["generator", "PCA", "without a model", "VAE"]
ABOUT = """## Restored images

`python benchmarks/restoring.py`: {images} test images of clothing64 at 64 x 64; a generator and a
VAE of d = {dim} that learned for {minutes:g} minutes each, PCA of the same d, and biharmonic (for
missing pixels) or bicubic interpolation. PSNR in dB and SSIM, means over images, medians over
seeds {seeds} and their range in square brackets if there are several. `of a draw` is of a single
draw, and `without f(z)` the part of the images that it restores by the Gaussian of whole
images, whose evidence is higher. `inside` is the part of the missing values (for 4x: of all) that
lie within the 90 % interval, the mean of the draws and 1.645 times their spread.
`benchmarks/restoring.jsonl` has every number. Printed on {machine}."""


def tasks() -> dict[str, Physics]:
    """Return how images are observed, by name."""
    hole = torch.ones(SIZE, SIZE)
    hole[HOLE[0] : HOLE[1], HOLE[0] : HOLE[1]] = 0
    half = torch.from_numpy(np.random.default_rng(0).random((SIZE, SIZE)) < 0.5).float()
    return {"half missing": Mask(half), "hole": Mask(hole), "4x": Downsample(FACTOR)}


def corrected(x: Tensor, y: Tensor, physics: Physics) -> Tensor:
    """Return the nearest images to x (B, C, H, W) that y was observed of."""
    left = y - physics(x)
    if isinstance(physics, Downsample):  # averages of squares: A^T (A A^T)^-1 repeats
        left = left.repeat_interleave(FACTOR, 2).repeat_interleave(FACTOR, 3)
    return x + left


def by_generator(model: GeneratorModel, y: Tensor, physics: Physics, x: Tensor) -> dict[str, Any]:
    """Draw images given y; return how near they are to x, and how often x is inside."""
    how, found, began = Draws(), [], time.perf_counter()
    for first in range(0, len(y), BATCH):
        rows = range(first * how.chains, min(first + BATCH, len(y)) * how.chains)
        part = y[first : first + BATCH]
        streams = RowRng(0, 0, rows)
        found.append(restore(model, part, physics, streams, how=how))
    seconds = (time.perf_counter() - began) / len(y)
    mean, spread = (torch.cat([getattr(f, name) for f in found]) for name in ("mean", "spread"))
    draws = torch.cat([one.samples[:, 0] for one in found])
    inside = (x - mean).abs() < INSIDE * spread
    if isinstance(physics, Mask):
        inside = inside[(physics.kept == 0).expand_as(x)]
    psnr, ssim = psnr_and_ssim(draws.clamp(-1, 1), x)
    without = torch.cat([one.evidence for one in found]) < 0
    more = {"psnr_draw": psnr, "ssim_draw": ssim, "inside": inside.float().mean().item()}
    more["without"] = without.float().mean().item()
    return near(mean, x) | more | {"seconds": seconds}


def by_pca(images: ImageSet, dim: int) -> Callable[[Tensor, Physics], Tensor]:
    """Return the conditional mean of probabilistic PCA with `dim` components."""
    values = images.read().flatten(1).double()
    middle = values.mean(0)
    _, roots, directions = torch.linalg.svd(values - middle, full_matrices=False)
    variances = roots**2 / len(values)
    noise = variances[dim:].sum() / (values.shape[1] - dim)
    weight = (directions[:dim].T * (variances[:dim] - noise).clamp(min=0).sqrt()).float()
    mean, noise = middle.float().view(1, *images.read(slice(0, 1)).shape[1:]), noise.float()

    def restored(y: Tensor, physics: Physics) -> Tensor:
        seen = physics(weight.T.unflatten(1, mean.shape[1:])).flatten(1)  # (d, M)
        level = noise / FACTOR**2 if isinstance(physics, Downsample) else noise
        precision = torch.eye(dim) + seen @ seen.T / level
        z = (y - physics(mean)).flatten(1) @ seen.T / level @ torch.linalg.inv(precision)
        return corrected(mean + (z @ weight.T).unflatten(1, mean.shape[1:]), y, physics)

    return restored


def by_mode(model: GeneratorModel, y: Tensor, physics: Physics) -> Tensor:
    """Return images of the modes of latents given y, the highest of several starts."""
    repeated, like = y.repeat_interleave(STARTS, 0), model.plane
    z = model.latents(len(repeated), make_rng("mode", 0), like).requires_grad_()
    level = float(model.sigma) ** 2 / (FACTOR**2 if isinstance(physics, Downsample) else 1)
    optimizer = torch.optim.Adam([z], RATE)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        error = (repeated - physics(model(z))).square().flatten(1).sum(1) / (2 * level)
        value = error + z.square().sum(1) / 2
        value.sum().backward()
        optimizer.step()
    best = value.detach().view(-1, STARTS).argmin(1) + STARTS * torch.arange(len(y))
    return corrected(model.decode(z.detach()[best]), y, physics)


def interpolated(y: Tensor, physics: Physics) -> Tensor:
    """Return biharmonic or bicubic interpolations."""
    from skimage.restoration import inpaint_biharmonic

    found = []
    for image in y.permute(0, 2, 3, 1).numpy():
        if isinstance(physics, Mask):
            missing = physics.kept.numpy() == 0
            found.append(inpaint_biharmonic(image, missing, channel_axis=-1))
        else:
            levels = ((image + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
            large = Image.fromarray(levels).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            found.append(np.asarray(large) / 127.5 - 1)
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float()


def near(found: Tensor, x: Tensor) -> dict[str, float]:
    """Return how near restored images are to the truth."""
    psnr, ssim = psnr_and_ssim(found.clamp(-1, 1), x)
    return {"psnr": psnr, "ssim": ssim}


def learned(options: Namespace, seed: int) -> Run:
    """Return the run of a generator, which is made if there is none."""
    run = Run(options.out / f"clothing64-{options.latent_dim}-{seed}-{options.minutes:g}")
    data = stored(options.out / "data" / "clothing64.npz", lambda: clothing("train"))
    if not run.folder.exists():
        words = ["--data", data, "--out", run.folder, "--image-size", SIZE, "--seed", seed]
        words += ["--latent-dim", options.latent_dim, "--minutes", options.minutes]
        tigon("train", "generator", *words, threads=options.threads)
    return run


def picture(options: Namespace) -> None:
    """Show what was observed of some test images, the mean, a draw, the spread and the truth."""
    run = learned(options, options.seeds[0])
    model = run.model()
    path = stored(options.out / "data" / "clothing64-test.npz", lambda: clothing("test"))
    tests = load_images(path, SIZE)
    x = tests.read(torch.linspace(7, len(tests) - 8, PICTURED).long())
    rows = [("photographs that the model has not seen", to_uint8(x))]
    for name, physics in tasks().items():
        y = physics(x)
        streams = RowRng(1, 0, range(len(x) * Draws().chains))
        found = restore(model, y, physics, streams)
        seen = y if y.shape == x.shape else y.repeat_interleave(4, 2).repeat_interleave(4, 3)
        rows += [
            (f"{name}: observed", to_uint8(seen)),
            ("mean", to_uint8(found.mean)),
            ("a draw", to_uint8(found.samples[:, 0])),
            (f"spread (white: {WHITE:g} or more)", to_uint8(found.shaded().expand(-1, 3, -1, -1))),
        ]
    hole = next(k for k, (name, _) in enumerate(rows) if name.startswith("hole"))
    observed, mean, _, spread = rows[hole : hole + 4]
    for name, shown in {"restored": rows, "filled": [observed, mean, spread, rows[0]]}.items():
        made = options.out / f"{name}.png"
        figures.stages(shown).savefig(made, dpi=110)
        to = PICTURES / f"{name}.webp"
        Image.open(made).convert("RGB").save(to, "webp", quality=85, method=6)


def measured(options: Namespace, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of all methods and tasks, measured now if they were not before."""
    same = {"seed": seed, "minutes": options.minutes, "d": options.latent_dim}
    same["images"] = options.images
    wanted = [same | {"task": t, "method": m} for m in METHODS for t in tasks()]
    found = [find(options.log, row) for row in wanted]
    if options.table or all(found):
        yield from (row for row in found if row is not None)
        return
    run = learned(options, seed)
    model, images, learned_at = run.model(), run.images(), commit()
    assert isinstance(model, GeneratorModel)
    path = stored(options.out / "data" / "clothing64-test.npz", lambda: clothing("test"))
    tests = load_images(path, SIZE)
    x = tests.read(torch.linspace(0, len(tests) - 1, options.images).long())
    ways: dict[str, Callable[[Tensor, Physics], Any]] = {
        "generator": lambda y, physics: by_generator(model, y, physics, x),
        "PCA": by_pca(images, options.latent_dim),
        "without a model": interpolated,
    }
    for row, known in zip(wanted, found, strict=True):
        if known is None and row["method"] == "VAE" and "VAE" not in ways:
            width, sigma = model.network.config()["width"], float(model.sigma)  # type: ignore[operator]
            kept = images, options.minutes, options.latent_dim, width, sigma, seed
            other = vae.learn(*kept)[0].model
            ways["VAE"] = partial(by_mode, other)
        if known is None:
            physics = tasks()[row["task"]]
            made = ways[row["method"]](physics(x), physics)
            at = {"machine": machine(threads=options.threads), "commit": learned_at}
            known = row | (made if isinstance(made, dict) else near(made, x)) | at
            record(options.log, known)
        yield known


def lines(options: Namespace) -> Iterator[dict[str, str]]:
    """Yield a line of the table for each task and method."""
    rows = [row for seed in options.seeds for row in measured(options, seed)]
    columns = {"PSNR": "psnr", "SSIM": "ssim"}
    columns |= {"PSNR of a draw": "psnr_draw", "SSIM of a draw": "ssim_draw"}
    columns |= {"inside": "inside", "without f(z)": "without"}
    for task in tasks():
        for method in METHODS:
            some = [row for row in rows if (row["task"], row["method"]) == (task, method)]
            line = {"task": task, "method": method}
            for column, name in columns.items():
                form = "{:.2f}" if name.startswith("psnr") else "{:.3f}"
                values = [row[name] for row in some if name in row]
                line[column] = between(values, form) if values else ""
            if some:
                yield line


def main() -> None:
    """Learn, restore, and print the table."""
    parser = arguments(__doc__, "restoring")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, for each model")
    parser.add_argument("--latent-dim", type=int, default=64)
    parser.add_argument("--images", type=int, default=24, help="that are restored")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", action="store_true", help="draw the guide's picture")
    parser.add_argument("--table", action="store_true", help="print what the log has")
    parser.add_argument("--log", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "restoring")
    options = parser.parse_args()
    if not (options.table or SHARED.is_dir()):
        parser.exit(message=f"restoring: skipped, since the shared data are not at {SHARED}\n")
    torch.set_num_threads(options.threads)
    if options.picture:
        picture(options)
    rows = list(lines(options))
    if not rows:
        parser.exit(1, f"restoring: {options.log} has none of these rows\n")
    numbers = {"images": options.images, "dim": options.latent_dim, "minutes": options.minutes}
    seeds = ", ".join(map(str, options.seeds))
    about = ABOUT.format(seeds=seeds, machine=machine(threads=options.threads), **numbers)
    publish(options.write, "restoring", f"{about}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
