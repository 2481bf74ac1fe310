"""Access control: only a page that the server served itself may talk to it.

A page of another site can send requests to 127.0.0.1, and a name of another site can be made to
point there (DNS rebinding). The first has another Origin, the second another Host.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

NAMES = ("127.0.0.1", "localhost")
READING = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)


class Guarded:
    """An application that can only be reached by its own page.

    Arguments:
        app: the ASGI application within
        port: that the server listens at, on 127.0.0.1
    """

    def __init__(self, app: App, port: int) -> None:
        self.app, self.port = app, port
        self.hosts = {f"{name}:{port}" for name in NAMES} | ({*NAMES} if port == 80 else set())
        self.origins = {f"http://{host}" for host in self.hosts}
        sockets = " ".join(sorted(f"ws://{host}" for host in self.hosts))
        self.headers = [
            (b"content-security-policy", POLICY.format(sockets=sockets).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on requests from the page itself; refuse all others with status 403."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self.headers]
            await send(message)

        reason = self.refusal(scope)
        if reason is None:
            await self.app(scope, receive, sealed)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason.split(";")[0]})
        else:
            await _forbid(sealed, reason)

    def refusal(self, scope: Message) -> str | None:
        """Return why a request or a handshake is refused, or None if it is not."""
        if _values(scope, b"host") not in [[host] for host in self.hosts]:
            return elsewhere(self.port)
        origins = _values(scope, b"origin")
        reads = scope["type"] == "http" and scope["method"] in READING
        if not origins and reads:  # browsers name the origin of all but plain reading
            return None
        if len(origins) != 1 or origins[0] not in self.origins:
            return "requests from other sites are refused"
        return None


def elsewhere(port: int) -> str:
    """Say where a page at a port is, and how a browser of another machine gets there.

    A tunnel has the same port at both ends: the page answers to its own address alone.
    """
    return (
        f"this page is http://127.0.0.1:{port}/ on its own machine only; from another one, "
        f"ssh -L {port}:127.0.0.1:{port} USER@MACHINE there, and open http://127.0.0.1:{port}/"
    )


def _values(scope: Message, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())
    return [value.decode("latin-1").lower() for key, value in headers if key.lower() == name]


async def _forbid(send: Send, reason: str) -> None:
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": 403, "headers": [kind]})
    await send({"type": "http.response.body", "body": reason.encode()})
