"""What the page paints over, by the module that the page loads, in node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tigon.explorer

STATIC = Path(tigon.explorer.__file__).parent / "static"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
PROGRAM = """
import { readFileSync } from "node:fs";
const { Mask } = await import(process.argv[1]);
const found = JSON.parse(readFileSync(0)).map(({ height, width, kept, acts }) => {
  const mask = new Mask(height, width, kept);
  const said = acts.map(([name, ...given]) => { mask[name](...given); return mask.painted; });
  return { kept: [...mask.kept], said, undoable: mask.undoable };
});
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Returns what masks are after some acts."""
    module = tmp_path_factory.mktemp("page") / "mask.mjs"
    shutil.copy(STATIC / "mask.js", module)

    def after(cases):
        words = [NODE, "--input-type=module", "-e", PROGRAM, str(module)]
        given = json.dumps(cases)
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return after


def case(*acts, height=5, width=7, kept=None):
    return {"height": height, "width": width, "kept": kept, "acts": acts}


def test_a_stroke_covers_the_pixels_whose_centres_are_near_it(painted):
    numbers = np.random.default_rng(0)
    cases, wanted = [], []
    for _ in range(100):
        height, width = numbers.integers(1, 20, 2)
        ends, radius = numbers.uniform(-4, 22, (2, 2)), numbers.uniform(0.5, 6)
        cases.append(
            case(["stroke", *ends.tolist(), radius, 0], height=int(height), width=int(width))
        )
        wanted.append(stroke(int(height), int(width), ends, radius))
    for one, kept in zip(painted(cases), wanted, strict=True):
        assert np.array_equal(np.reshape(one["kept"], kept.shape), kept)
        assert one["said"] == [(kept == 0).sum()]


def stroke(height, width, ends, radius):
    """What a stroke leaves, (H, W)."""
    down, across = np.mgrid[:height, :width] + 0.5
    points, (start, end) = np.stack([across, down], -1), ends
    along = ((points - start) @ (end - start) / ((end - start) ** 2).sum()).clip(0, 1)
    near = np.linalg.norm(points - start - along[..., None] * (end - start), axis=-1) <= radius
    for x, y in np.floor(ends).astype(int):
        if 0 <= x < width and 0 <= y < height:
            near[y, x] = True
    return 1 - near


def test_a_rectangle_covers_what_is_between_its_corners_and_no_pixel_outside(painted):
    first, second = painted(
        [case(["rectangle", [4.5, 3.2], [2.9, 1], 0]), case(["rectangle", [-9, -9], [99, 99], 0])]
    )
    kept = np.ones((5, 7), int)
    kept[1:4, 2:5] = 0
    assert np.array_equal(np.reshape(first["kept"], (5, 7)), kept)
    assert not any(second["kept"]) and len(second["kept"]) == 35


def test_an_eraser_uncovers_and_undo_goes_back_stroke_by_stroke(painted):
    dab = ["stroke", [2.5, 2.5], [2.5, 2.5], 1, 0]
    erase = ["stroke", [2.5, 2.5], [2.5, 2.5], 0.5, 1]
    acts = [["begin"], dab, ["begin"], erase, ["undo"], ["undo"], ["undo"]]
    (found,) = painted([case(*acts)])
    assert found["said"] == [0, 5, 5, 4, 5, 0, 0] and not found["undoable"]


def test_clear_returns_to_the_start_and_can_be_undone(painted):
    kept = [1] * 34 + [0]
    acts = [["begin"], ["rectangle", [0, 0], [1, 1], 0], ["clear"], ["undo"]]
    (found,) = painted([case(*acts, kept=kept)])
    assert found["said"] == [1, 5, 1, 5] and found["undoable"]


def test_only_the_last_strokes_are_remembered(painted):
    dabs = [["stroke", [k + 0.5, 0.5], [k + 0.5, 0.5], 0.4, 0] for k in range(60)]
    acts = [act for dab in dabs for act in (["begin"], dab)] + [["undo"]] * 60
    (found,) = painted([case(*acts, height=1, width=60)])
    assert found["said"][119] == 60 and found["said"][-1] == 10


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.js")), ids=lambda path: path.name)
def test_every_module_of_the_page_can_be_parsed(path, tmp_path):
    module = shutil.copy(path, tmp_path / "module.mjs")
    assert subprocess.run([NODE, "--check", module], capture_output=True).returncode == 0
