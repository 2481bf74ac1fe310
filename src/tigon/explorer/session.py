"""One open page: its requests, its chains, and the messages to it."""

import json
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tigon.errors import TigonError
from tigon.explorer.panels import panel_asked
from tigon.explorer.panels.base import Adjustment, Course, Model, Request
from tigon.explorer.requests import Follow, Look, Steer

UNSENT = 8  # messages that may wait for the page before its chains do
Message = str | bytes


@dataclass
class CourseState:
    """The course of a panel.

    Arguments:
        course: chains that the page watches
        running: whether steps are left
        held: whether it waits until the page lets it go on
        due: when its next step may be taken, as `time.monotonic` tells
    """

    course: Course
    running: bool = True
    held: bool = False
    due: float = 0.0


class Session:
    """A page's requests and its courses, one of each panel, processed by the worker's thread.

    Arguments:
        send: sends a message to the page; may be called from any thread
        wake: tells the worker that there is work

    Attributes:
        model: the displayed model; None while there is no checkpoint
        follows: whether the page loads new checkpoints as they appear
        offered: the newest model, if the page shows another
    """

    def __init__(
        self,
        send: Callable[[Message], None],
        wake: Callable[[], None],
    ) -> None:
        self.model: Model | None = None
        self.offered: Model | None = None
        self.follows = True
        self._send, self._wake = send, wake
        self._asked: dict[str, Request] = {}
        self._lock = threading.Lock()
        self._courses: dict[str, CourseState] = {}
        self._seen, self.unsent = True, 0

    def ask(self, request: Request) -> None:
        """Queue a request; it replaces a waiting one with the same purpose."""
        with self._lock:
            self._asked.pop(request.slot, None)
            self._asked[request.slot] = request
        self._wake()

    def wait(self, now: float) -> float | None:
        """Return in how many seconds there is work; None while there are no requests."""
        if self._asked:
            return 0
        name = self._next() if self._seen and self.unsent <= UNSENT else None
        return None if name is None else max(0.0, self._courses[name].due - now)

    def _next(self) -> str | None:
        """Return the panel whose course takes the next step: the one that has waited longest."""
        due = {n: s.due for n, s in self._courses.items() if s.running and not s.held}
        return min(due, key=due.__getitem__, default=None)

    def turn(self) -> None:
        """Answer one request, or take one step of a course."""
        with self._lock:
            waiting = sorted(self._asked.values(), key=lambda asked: not asked.urgent)
            request = self._asked.pop(waiting[0].slot) if waiting else None
        name = self._next()
        try:
            if request is not None:
                self._answer(request)
            elif name is not None:
                self._step(self._courses[name])
        except TigonError as error:
            self._fail(request, name, str(error))
        except Exception as error:  # the page is told, and the server goes on
            traceback.print_exc()
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self._fail(request, name, f"the server could not do this ({reason})")

    def say(self, **values: Any) -> None:  # noqa: ANN401
        """Send a message without arrays."""
        self.tell(json.dumps(values, allow_nan=False))

    def tell(self, message: Message) -> None:
        """Send a message."""
        with self._lock:
            self.unsent += 1
        self._send(message)

    def sent(self) -> None:
        """Note that a message has left."""
        with self._lock:
            self.unsent -= 1
        if self.unsent == UNSENT:
            self._wake()

    def offer(self, model: Model) -> None:
        """Show a newer model if the page follows; otherwise only announce it."""
        self.offered = model
        if self.follows or self.model is None:
            self._take(model)
        else:
            self.say(type="offer", iteration=model.iteration)

    def _take(self, model: Model) -> None:
        for name in list(self._courses):
            self._end(name, "a newer checkpoint was loaded")
        self.model = model
        self.tell(model.message)

    def _fail(self, request: Request | None, name: str | None, reason: str) -> None:
        """Report why a request, or else the step of a panel's course, has failed."""
        if request is None:
            self._end(name, reason)
        else:
            self.say(type="error", of=request.type, id=getattr(request, "id", 0), message=reason)

    def _answer(self, request: Request) -> None:
        match request:
            case Steer():
                self._steer(request)
            case Look():
                self._seen = request.seen
            case Follow():
                self._follow(request)
            case Adjustment():
                self._adjust(request)
            case _:
                self._ask_panel(request)

    def _ask_panel(self, request: Request) -> None:
        if self.model is None:
            raise TigonError("there is no checkpoint yet")
        panel = panel_asked(request)
        answer = panel.answer(self.model, request)
        if isinstance(answer, bytes):
            self.tell(answer)
            return
        self._end(panel.name, "another was started")
        self._courses[panel.name] = CourseState(answer)

    def _step(self, state: CourseState) -> None:
        course = state.course
        message = next(course, None)
        if message is None:
            state.running = False
            self.say(type="ended", id=course.id, reason="")
            return
        state.due = time.monotonic() + course.pause
        self.tell(message)

    def _adjust(self, request: Adjustment) -> None:
        state = self._courses.get(panel_asked(request).name)
        if state is not None:
            goes_on = state.course.adjust(request)
            state.due, state.running = 0.0, state.running or goes_on

    def _steer(self, asked: Steer) -> None:
        for name, state in list(self._courses.items()):
            if asked.id not in (None, state.course.id):
                continue
            state.held = asked.type == "hold"
            if asked.type == "stop":
                self._end(name, "stopped")

    def _end(self, name: str | None, reason: str) -> None:
        """Forget the course of a panel, and report why it has ended if it was running."""
        state = self._courses.pop(name, None) if name is not None else None
        if state is not None and state.running:
            self.say(type="ended", id=state.course.id, reason=reason)

    def _follow(self, request: Follow) -> None:
        self.follows = request.on
        if (request.on or request.now) and self.offered is not self.model and self.offered:
            self._take(self.offered)
