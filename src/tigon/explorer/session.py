"""One open page: what it has asked for, its own chain, and what goes back to it."""

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from tigon.errors import TigonError
from tigon.explorer.frames import pack
from tigon.explorer.models import Model, descriptor_model
from tigon.explorer.requests import (
    Change,
    Decode,
    Follow,
    Infer,
    Look,
    Request,
    Settings,
    Steer,
    Synthesise,
)
from tigon.explorer.synthesis import Synthesis
from tigon.explorer.watching import decoded, inferring, synthesising

UNSENT = 8  # messages that may wait for the page before its chain does
Message = str | bytes


class Session:
    """A page's requests and its chain, worked on by the worker's thread alone.

    Arguments:
        send: hands a message to the page; may be called from any thread
        wake: tells the worker that there is work

    Attributes:
        model: what the page looks at; None while there is no checkpoint
        follows: whether the page takes new checkpoints as they come
        offered: the newest model, where the page has another
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
        self._chain: Iterator[Message] | None = None
        self._synthesis: Synthesis | None = None
        self._held, self._seen, self._due, self._number = False, True, 0.0, 0
        self.unsent = 0

    def ask(self, request: Request) -> None:
        """Take a request; one that waits for the same thing is dropped: the latest wins."""
        place = request.place if isinstance(request, Decode) else ""
        key = f"{request.type} {place}"
        with self._lock:
            self._asked.pop(key, None)
            self._asked[key] = request
        self._wake()

    def wait(self, now: float) -> float | None:
        """Return in how many seconds there is work; None as long as nothing is asked."""
        if self._asked:
            return 0
        idle = self._held or not self._seen or self.unsent > UNSENT
        if self._chain is None or idle:
            return None
        return max(0.0, self._due - now)

    def turn(self) -> None:
        """Answer one request, or take one step of the chain."""
        with self._lock:
            key = "decode point" if "decode point" in self._asked else next(iter(self._asked), "")
            request = self._asked.pop(key, None)
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
        """Look at a newer model, if the page follows; else only say that there is one."""
        self.offered = model
        if self.follows or self.model is None:
            self._take(model)
        else:
            self.say(type="offer", iteration=model.iteration)

    def _take(self, model: Model) -> None:
        if self._chain is not None:
            self.say(type="ended", id=self._number, reason="a newer checkpoint was loaded")
        self.model, self._chain, self._synthesis = model, None, None
        self.tell(model.message)

    def _fail(self, request: Request | None, reason: str) -> None:
        if request is None:
            self._chain = self._synthesis = None
            self.say(type="ended", id=self._number, reason=reason)
        else:
            self.say(type="error", of=request.type, id=getattr(request, "id", 0), message=reason)

    def _answer(self, request: Request) -> None:
        match request:
            case Decode():
                self._decode(request)
            case Infer():
                self._begin(request.id, inferring(self.model, request))
            case Synthesise():
                self._synthesise(request)
            case Change():
                self._change(request.settings)
            case Steer():
                self._steer(request.type)
            case Look():
                self._seen = request.seen
            case Follow():
                self._follow(request)

    def _decode(self, request: Decode) -> None:
        begun = time.perf_counter()
        pixels = decoded(self.model, request)
        took = round(1000 * (time.perf_counter() - begun), 2)
        header = {"type": "decoded", "id": request.id, "place": request.place}
        self.tell(pack(header | {"milliseconds": took}, pixels=pixels))

    def _synthesise(self, request: Synthesise) -> None:
        synthesis = Synthesis(descriptor_model(self.model), request)
        self._begin(request.id, synthesising(synthesis, request.id))
        self._synthesis = synthesis

    def _begin(self, number: int, chain: Iterator[Message]) -> None:
        self._chain, self._synthesis = chain, None
        self._number, self._held, self._due = number, False, 0.0

    def _step(self) -> None:
        if self._chain is None:
            return
        message = next(self._chain, None)
        if message is not None:
            self._due = time.monotonic() + self._pause()
            self.tell(message)
            return
        self._chain = None
        self.say(type="ended", id=self._number, reason="")

    def _pause(self) -> float:
        """Return how many seconds to wait before the next step."""
        pace = self._synthesis.settings.pace if self._synthesis else 0
        return 1 / pace if pace else 0.0

    def _change(self, settings: Settings) -> None:
        synthesis = self._synthesis
        if synthesis is None:
            return
        synthesis.change(settings)
        self._due = 0.0
        if self._chain is None and not synthesis.arrived:
            self._chain = synthesising(synthesis, self._number)

    def _steer(self, word: str) -> None:
        self._held = word == "hold"
        if word == "stop" and self._chain is not None:
            self._chain = self._synthesis = None
            self.say(type="ended", id=self._number, reason="stopped")

    def _follow(self, request: Follow) -> None:
        self.follows = request.on
        if (request.on or request.now) and self.offered is not self.model and self.offered:
            self._take(self.offered)
