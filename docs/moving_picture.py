"""The animation of the latent plane: a tour past all faces, and what the model decodes there."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.interpolate import CubicSpline

from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.figures import ACCENT, FAINT, INK
from tigon.learners.base import Learner
from tigon.learners.generator import GeneratorLearner

SIDE, GAP, FINE, FRAMES = 300, 20, 2, 150
Points = NDArray[np.float64]


def frames(learner: Learner, images: ImageSet) -> list[Image.Image]:
    """Return the frames of a closed tour through the latent plane of a generator with d = 2."""
    assert isinstance(learner, GeneratorLearner) and learner.model.latent_dim == 2
    points = learner.store.points.double().numpy()
    path = tour(points, FRAMES)
    shown = to_uint8(learner.decode(torch.from_numpy(path).to(learner.store.points)))
    reach = 1.18 * max(np.abs(points).max(), np.abs(path).max())
    plane = background(points, np.asarray(images.pixels), path, reach)
    return [
        frame(plane, place(at, reach), picture) for at, picture in zip(path, shown, strict=True)
    ]


def tour(points: Points, count: int) -> Points:
    """Return `count` points, evenly spaced along a smooth closed curve through all `points`."""
    stops = shortest(points)
    stops = np.vstack([stops, stops[:1]])
    chords = np.sqrt(np.linalg.norm(np.diff(stops, axis=0), axis=1))
    curve = CubicSpline(np.concatenate([[0], chords.cumsum()]), stops, bc_type="periodic")
    fine = curve(np.linspace(0, chords.sum(), 4000))
    length = np.concatenate([[0], np.linalg.norm(np.diff(fine, axis=0), axis=1).cumsum()])
    even = np.linspace(0, length[-1], count, endpoint=False)
    return np.stack([np.interp(even, length, fine[:, axis]) for axis in (0, 1)], 1)


def shortest(points: Points) -> Points:
    """Return the points in the order of a tour that no reversal of a section can shorten."""
    order = list(range(len(points)))

    def length(tour: list[int]) -> float:
        return float(
            np.linalg.norm(points[tour] - np.roll(points[tour], -1, axis=0), axis=1).sum()
        )

    better = True
    while better:
        parts = [(i, j) for i in range(len(order)) for j in range(i + 2, len(order) + 1)]
        tours = [order[:i] + order[i:j][::-1] + order[j:] for i, j in parts]
        best = min(tours, key=length)
        better = length(best) < length(order) - 1e-9
        order = best if better else order
    return points[order]


def place(point: Points, reach: float) -> tuple[float, float]:
    """Return the pixel position of a point (2,) of the plane in its picture."""
    half = SIDE * FINE / 2
    return half * (1 + point[0] / reach), half * (1 - point[1] / reach)


def background(
    points: Points, pixels: NDArray[np.uint8], path: Points, reach: float
) -> Image.Image:
    """Draw the plane: circles of 39, 86 and 99 % of N(0, I), the path, the faces."""
    plane = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
    draw = ImageDraw.Draw(plane)
    for radius in (1, 2, 3):
        (left, top), (right, bottom) = (place(np.array(p) * radius, reach) for p in CORNERS)
        draw.ellipse((left, top, right, bottom), outline=FAINT, width=FINE)
    draw.line([place(p, reach) for p in [*path, path[0]]], fill="#d8c3ad", width=2 * FINE)
    for point, image in zip(points, pixels, strict=True):
        x, y = place(point, reach)
        thumb = Image.fromarray(image).resize((34 * FINE, 34 * FINE), Image.Resampling.LANCZOS)
        plane.paste(thumb, (round(x) - 17 * FINE, round(y) - 17 * FINE))
    return plane


def frame(plane: Image.Image, at: tuple[float, float], picture: NDArray[np.uint8]) -> Image.Image:
    """Put the dot on the plane, and the picture next to it."""
    plane = plane.copy()
    radius = 6 * FINE
    box = (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
    ImageDraw.Draw(plane).ellipse(box, fill=ACCENT, outline="white", width=2 * FINE)
    whole = Image.new("RGB", (2 * SIDE + GAP, SIDE), "white")
    whole.paste(plane.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (0, 0))
    face = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    whole.paste(face, (SIDE + GAP, 0))
    ImageDraw.Draw(whole).rectangle((0, 0, SIDE - 1, SIDE - 1), outline=INK)
    return whole


CORNERS = ((-1.0, 1.0), (1.0, -1.0))
