"""Panel for how unusual the user's own picture is, beside images that the run held out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from tigon.explorer.calibration import Calibration
from tigon.explorer.frames import pack, shades
from tigon.explorer.panels.base import Course, Model, Number, Panel, Part, Question, Request
from tigon.inference.score import HOW, NOT, Scored, percentiles, score_names, scoring, white_of
from tigon.random.streams import RowRng


@dataclass(frozen=True)
class Judge(Question):
    """Score a picture, whose bytes follow: uint8 (H, W, C), as the model's."""

    type: Literal["score"]
    seed: Number
    pixels: bytes = b""


class ScorePanel(Panel):
    """The scores of the user's own picture, their percentiles, and where it is unusual."""

    name = "score"
    requests = (Judge,)

    def part(self, model: Model) -> Part:
        """Return the names of the scores, the main one first, and what they are not.

        Raises:
            TigonError: if the model has neither latents nor a log-density
        """
        names = score_names(model.learner.model)
        remarks = [said for name, said in NOT.items() if name in names[0]]
        return Part({"names": names, "remarks": remarks})

    def answer(self, model: Model, request: Request) -> Course:
        """Return the chains that infer its latent, its scores, and those of held-out images.

        The scores are those of `tigon score` with the same seed.

        Raises:
            TigonError: if the picture has another size, or the model gives no scores
        """
        assert isinstance(request, Judge)
        image = model.picture(request.pixels)
        score_names(model.learner.model)
        return Course(request.id, _judging(model, image, request))


def _judging(model: Model, image: torch.Tensor, request: Judge) -> Iterator[bytes]:
    """Yield messages about steps, then the scores, and again once there are percentiles."""
    rng = RowRng(request.seed, 0, range(HOW.starts), "score")
    for seen in scoring(model.learner.model, image, rng, HOW):
        if seen.found is None:
            header = {"type": "scoring", "id": request.id, "step": seen.step}
            yield pack(header | {"steps": seen.steps})
    found, beside = seen.found, model.calibration
    assert found is not None
    yield _scores(request.id, found, beside)
    if beside.finished:
        return
    while not beside.finished:
        beside.advance()
        header = {"type": "calibrating", "id": request.id, "done": beside.done}
        yield pack(header | {"count": beside.count})
    yield _scores(request.id, found, beside)


def _scores(id: int, found: Scored, beside: Calibration) -> bytes:
    """Return the message about scores, with percentiles if held-out images have been scored."""
    held = beside.scored
    maps = found.maps.cpu()
    white = white_of(maps if held is None else held.maps)
    rows = []
    for name, values in found.scores.items():
        above = None if held is None else percentiles(values.cpu(), held.scores[name]).item()
        rows.append({"name": name, "value": values.item(), "percentile": above})
    header = {
        "type": "scored",
        "id": id,
        "scores": rows,
        "calibrated": 0 if held is None else beside.count,
        "finished": beside.finished,
        "why": beside.why,
        "white": white,
    }
    return pack(header, map=shades(maps / white))
