"""How probable photographs of clothes are, and how wide the bracket of log p is.

    python benchmarks/brackets.py [--minutes 10] [--images 16] [--few 4]
        [--write benchmarks/RESULTS.md]

It trains `generator` on clothing64 (64 x 64, width 32) and runs `tigon evaluate --likelihood` on
the data's own test images. Then it brackets log p of images that the model drew, with more and
more temperatures, from chains that start at the mode and at the prior.
"""

import json
import time
from pathlib import Path

from measuring import arguments, publish
from recipes import ROOT, SHARED, clothing, stored, tigon
from results import machine, table
from tigon.inference.likelihood import Start, log_likelihood, simulated
from tigon.mcmc.annealed import AIS
from tigon.models.base import Model
from tigon.random.streams import make_rng
from tigon.runs.run import Run

CASES: tuple[tuple[Start, int], ...] = (
    ("mode", 5),
    ("mode", 25),
    ("prior", 25),
)
TEXT = """## How probable photographs of clothes are

`tigon train generator --data clothes.npz --network.width 32 --minutes {minutes:g}` on the training
images of clothing64 ({training} of 64 x 64, CC0; {latents} latents, {iterations} iterations), and
`tigon evaluate --likelihood --likelihood-images {images}` on its test images: {chains} chains and
{temperatures} temperatures each way. Nats per image, as a density on [-1, 1].

{rows}

The same, of {few} images that the model drew: ends of the mean of log p, ± standard errors over
chains, and how far apart those of an image are at most:

{widths}

Printed by `python benchmarks/brackets.py --minutes {minutes:g} --images {images} --few {few}`,
seed 0, on {machine}."""


def widths(model: Model, count: int) -> list[dict[str, str]]:
    """Bracket log p of images that the model drew, once for each case."""
    images, latents = simulated(model, count, make_rng("benchmark", 0))
    lines = []
    for start, temperatures in CASES:
        began, how = time.perf_counter(), AIS(temperatures=temperatures)
        found = log_likelihood(model, images, make_rng("benchmark", 1), how, latents, start)
        ends = found.mean
        taken = (time.perf_counter() - began) / count
        lines.append(
            {
                "chains start at": f"the {start}",
                "temperatures": str(temperatures),
                "from below": f"{ends.below:.2f} ± {ends.below_error:.2f}",
                "from above": f"{ends.above:.2f} ± {ends.above_error:.2f}",
                "99.9 % bracket": f"{ends.lower:.2f} to {ends.upper:.2f}",
                "farthest apart": f"{(found.above - found.below).abs().max():.2f}",
                "chains that count, of 8": f"{found.ess.mean():.1f}",
                "seconds an image": f"{taken:.1f}",
            }
        )
    return lines


def main() -> None:
    """Learn, evaluate, and print."""
    parser = arguments(__doc__, "brackets")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "brackets")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--few", type=int, default=4)
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"brackets: skipped, since the shared data are not at {SHARED}\n")
    data = stored(options.out / "clothes.npz", lambda: clothing("train"))
    unseen = stored(options.out / "unseen.npz", lambda: clothing("test"))
    run = Run(options.out / "generator")
    words = ["--data", data, "--out", run.folder, "--network.width", 32]
    tigon("train", "generator", *words, "--minutes", options.minutes, threads=1)
    asked = ["--likelihood", "--likelihood-images", options.images, "--count", 200, "--starts", 2]
    tigon("evaluate", run.folder, "--data", unseen, *asked, threads=1)
    found = json.loads(run.evaluation.read_text())
    likelihood, last = found["likelihood"], run.records()[-1]
    rows = [
        {
            "": name,
            "images": row["images"],
            "log p from below, nats": f"{row['below']:.2f} ± {row['below_error']:.2f}",
            "from above": f"{row['above']:.2f} ± {row['above_error']:.2f}",
            "width of the 99.9 % bracket": f"{row['width']:.2f}" if row["width"] else "exact",
            "over images": f"± {row['error']:.1f}",
            "bits/dim": f"{row['bits_per_dimension']['below']:.3f}",
            "in [0, 255]": f"{row['bits_per_dimension_of_255']['below']:.3f}",
            "sigma": f"{row['sigma']:.3g}",
        }
        for name, row in likelihood["rows"].items()
    ]
    text = TEXT.format(
        minutes=options.minutes,
        training=found["training"],
        latents=run.plain_config()["latent_dim"],
        iterations=last["iteration"],
        images=options.images,
        chains=likelihood["chains"],
        temperatures=likelihood["temperatures"],
        rows=table(rows),
        few=options.few,
        widths=table(widths(run.model().eval(), options.few)),
        machine=machine(),
    )
    publish(options.write, "brackets", text)


if __name__ == "__main__":
    main()
