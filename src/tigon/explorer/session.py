"""One open page: its requests, its chain, and the messages to it."""

import json
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from tigon.errors import TigonError
from tigon.explorer.panels import panel_asked
from tigon.explorer.panels.base import Adjustment, Course, Model, Request
from tigon.explorer.requests import Follow, Look, Steer

UNSENT = 8  # messages that may wait for the page before its chain does
Message = str | bytes


class Session:
    """A page's requests and its chain, processed only by the worker's thread.

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
        self._course: Course | None = None
        self._running, self._held, self._seen, self._due = False, False, True, 0.0
        self.unsent = 0

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
        idle = self._held or not self._seen or self.unsent > UNSENT
        if not self._running or idle:
            return None
        return max(0.0, self._due - now)

    def turn(self) -> None:
        """Answer one request, or take one step of the chain."""
        with self._lock:
            waiting = sorted(self._asked.values(), key=lambda asked: not asked.urgent)
            request = self._asked.pop(waiting[0].slot) if waiting else None
        try:
            self._answer(request) if request else self._step()
        except TigonError as error:
            self._fail(request, str(error))
        except Exception as error:  # the page is told, and the server goes on
            traceback.print_exc()
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self._fail(request, f"the server could not do this ({reason})")

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
        self._end("a newer checkpoint was loaded")
        self.model = model
        self.tell(model.message)

    def _fail(self, request: Request | None, reason: str) -> None:
        if request is None:
            self._end(reason)
        else:
            self.say(type="error", of=request.type, id=getattr(request, "id", 0), message=reason)

    def _answer(self, request: Request) -> None:
        match request:
            case Steer():
                self._steer(request.type)
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
        answer = panel_asked(request).answer(self.model, request)
        if isinstance(answer, bytes):
            self.tell(answer)
            return
        self._end("another was started")
        self._course, self._running, self._held, self._due = answer, True, False, 0.0

    def _step(self) -> None:
        if self._course is None or not self._running:
            return
        message = next(self._course, None)
        if message is None:
            self._running = False
            self.say(type="ended", id=self._course.id, reason="")
            return
        self._due = time.monotonic() + self._course.pause
        self.tell(message)

    def _adjust(self, request: Adjustment) -> None:
        if self._course is None:
            return
        goes_on = self._course.adjust(request)
        self._due, self._running = 0.0, self._running or goes_on

    def _steer(self, word: str) -> None:
        self._held = word == "hold"
        if word == "stop":
            self._end("stopped")

    def _end(self, reason: str) -> None:
        """Forget the chains, and report why they have ended if they were running."""
        course, running = self._course, self._running
        self._course, self._running = None, False
        if course is not None and running:
            self.say(type="ended", id=course.id, reason=reason)

    def _follow(self, request: Follow) -> None:
        self.follows = request.on
        if (request.on or request.now) and self.offered is not self.model and self.offered:
            self._take(self.offered)
