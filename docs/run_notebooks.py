"""Run the notebooks and save their outputs: `python docs/run_notebooks.py [NAME ...]`.

With their outputs, the site can be built, and they can be read on the web, without training.
The tests run them again.
"""

import base64
import io
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from made_pictures import HERE, machine

FOLDER = HERE / "notebooks"


def run(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of a run, without anything that varies between runs.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", coalesce_streams=True, record_timing=False
    ).execute()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/jpeg"] = smaller(output.data.pop("image/png"))
    return notebook


def smaller(png: str) -> str:
    """Return a picture in base 64 as a JPEG, a fifth of the size."""
    stream = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.save(stream, "jpeg", quality=82, optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def main(names: list[str]) -> None:
    """Run the notebooks with these names, or all."""
    for path in [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb")):
        began = time.perf_counter()
        nbformat.write(run(path), path)
        size = path.stat().st_size / 1000
        print(f"{path.name}: {time.perf_counter() - began:.0f} s, {size:.0f} kB; {machine()}")


if __name__ == "__main__":
    main(sys.argv[1:])
