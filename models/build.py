"""Train the models in this folder again, on the photographs that ship with the package.

    python models/build.py [NAME ...]        (or: make models)

Each run has a fixed seed and one thread, so that the same machine gives the same weights. Runs are
made in a temporary folder; a model folder here is replaced only when the new one is complete.
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

import torch

from tigon.cli.main import main

HERE = Path(__file__).parent
DATA = "embedded:animal-faces"
MODELS = {
    "faces-generator": "generator --image-size 32 --network.width 32 --iterations 600",
    "faces-descriptor": "descriptor --image-size 32",
}
TERMS = {
    "--license": "CC0-1.0",
    "--data-license": "CC0-1.0",
    "--data-description": "Ten photographs of animals' faces that ship with tigon; the author and "
    "the source of each are in src/tigon/data/animal_faces/ATTRIBUTION.csv",
}


def build(name: str, work: Path) -> str:
    """Train one model, put its folder here, and return the SHA-256 of its weights."""
    run, new = work / name, work / "model" / name
    do("train", *MODELS[name].split(), "--data", DATA, "--out", str(run), "--device", "cpu")
    do("export", str(run), "--out", str(new), *(w for pair in TERMS.items() for w in pair))
    shutil.rmtree(HERE / name, ignore_errors=True)
    shutil.copytree(new, HERE / name)
    return hashlib.sha256((HERE / name / "model.safetensors").read_bytes()).hexdigest()


def do(*words: str) -> None:
    """Run tigon; exit with its status if it fails."""
    status = main(words)
    if status:
        sys.exit(status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    unknown = [name for name in sys.argv[1:] if name not in MODELS]
    if unknown:
        sys.exit(f"there is no model {unknown[0]!r}; choose from {', '.join(MODELS)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or MODELS:
            print(f"{build(name, Path(folder))}  models/{name}/model.safetensors")
