"""State shared by all pages: the run, its newest model, its curves, and the worker."""

import sys
from collections.abc import Callable
from typing import Any

import torch

from tigon import __version__
from tigon.errors import TigonError
from tigon.explorer.curves import Tail, thinned
from tigon.explorer.models import load_model, newest_checkpoint
from tigon.explorer.panels import panels_named
from tigon.explorer.panels.base import Model
from tigon.explorer.session import Message, Session
from tigon.explorer.worker import Worker
from tigon.learners.metrics import Metric
from tigon.runs.run import Run
from tigon.sizes import sides

STILL = 60.0  # seconds without a new record after which a run is not called training


class Hub:
    """A run that pages display.

    `check` is called repeatedly from one thread, and `join` and `leave` from the same.

    Arguments:
        run: a run with a readable config
        device: device of its model
    Raises:
        TigonError: if it has checkpoints but none that can be used, or its recipe lists an
            unknown panel
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.run, self.device, self.worker = run, device, Worker()
        recipe, self.problem = run.experiment.recipe, ""
        self.tail = Tail(run.metrics, recipe.metrics)
        self.sessions: list[Session] = []
        self.model: Model | None = None
        self._tried: int | None = None
        panels_named(recipe.panels)
        if newest_checkpoint(run) is not None:
            self._tried = newest_checkpoint(run)
            self.model = load_model(run, device, None)
        while self.tail.read():
            pass
        self._state = self.state()

    def join(self, send: Callable[[Message], None]) -> Session:
        """Return a session for a new page, with everything known about the run sent to it."""
        session = Session(send, self.worker.wake)
        session.say(type="run", **self.description())
        session.say(type="curves", anew=True, rows=thinned(self.tail.rows))
        session.say(type="training", **self.state())
        self.sessions.append(session)
        self.worker.add(session)
        self.worker.submit(lambda: self._show(session))
        return session

    def leave(self, session: Session) -> None:
        """Forget a page that has closed."""
        self.sessions.remove(session)
        self.worker.remove(session)

    def description(self) -> dict[str, Any]:
        """Return what a page shows about the run."""
        experiment = self.run.experiment
        recipe = experiment.recipe
        return {
            "version": __version__,
            "name": self.run.folder.resolve().name,
            "recipe": experiment.name,
            "what": recipe.describe(),
            "panels": list(recipe.panels),
            "metrics": [_shown(metric) for metric in recipe.metrics],
            "image_size": sides(recipe.image_size),
            "channels": recipe.channels,
            "fit": recipe.fit,
            "device": str(self.device),
            "checkpoint": self._tried is not None,
        }

    def state(self) -> dict[str, Any]:
        """Return the progress of the run's training, for a page."""
        length, last = self.run.experiment.recipe.budget, (self.tail.rows or [{}])[-1]
        iteration, spent = int(last.get("iteration") or 0), last.get("gradient_evaluations") or 0.0
        seconds = last.get("seconds") or 0.0
        over = iteration > 0 and length.over(iteration, spent, seconds, spent / iteration)
        age = self.tail.age()
        return {
            "iteration": iteration,
            "total": length.iterations if length.by_iterations else None,
            "progress": 1.0 if over else length.progress(iteration, spent, seconds),
            "state": "finished" if over else _activity(age, self.tail.event),
            "event": self.tail.event,
            "problem": self.problem or self._damage(),
        }

    def check(self) -> None:
        """Look for new records and a new checkpoint, and notify the pages."""
        while growth := self.tail.read():
            rows = thinned(growth.rows)
            for session in list(self.sessions):
                session.say(type="curves", anew=growth.anew, rows=rows)
        newest = newest_checkpoint(self.run)
        if newest is None:
            self._tried = None  # a new run may end at the same iteration
        elif newest != self._tried:
            self._tried = newest
            self.worker.submit(self._load)
        state = self.state()
        if state != self._state:
            self._state = state
            for session in list(self.sessions):
                session.say(type="training", **state)

    def _load(self) -> None:
        """Load the newest checkpoint in the worker's thread, and offer it to all pages."""
        run = Run(self.run.folder, data=self.run.data)
        before = self.model
        known = (before.images or before.note) if before is not None else None
        try:
            model = load_model(run, self.device, known)
        except TigonError as error:
            if self.problem != str(error):
                print(f"tigon: {error}", file=sys.stderr)
            self.problem, self._tried = str(error), None
            return
        self.run, self.model, self.problem = run, model, ""
        for session in list(self.sessions):
            session.offer(model)

    def _show(self, session: Session) -> None:
        """Give a new page the newest model, unless it has it, in the worker's thread."""
        if self.model is not None and session.model is not self.model:
            session.offer(self.model)

    def _damage(self) -> str:
        if not self.tail.damaged:
            return ""
        return f"{self.tail.damaged} lines of metrics.jsonl are damaged and left out"


def _shown(metric: Metric) -> dict[str, Any]:
    """Return what a page needs to draw the curve of a metric."""
    return {
        "name": metric.name,
        "title": metric.title,
        "unit": metric.unit,
        "axis": metric.axis,
        "caption": metric.caption,
        "healthy": metric.healthy,
        "marks": list(metric.marks.values()),
    }


def _activity(age: float | None, event: str) -> str:
    """Return what an unfinished run seems to be doing."""
    if age is None:
        return "waiting"
    if event.startswith("stopped"):
        return "stopped"
    return "training" if age < STILL else "still"
