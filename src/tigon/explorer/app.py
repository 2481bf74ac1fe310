"""The server's interface to the browser: static files, uploads, and one websocket per page."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles

from tigon.errors import TigonError
from tigon.explorer.hub import Hub
from tigon.explorer.requests import read_request
from tigon.explorer.safety import App, Guarded
from tigon.explorer.session import Message, Session
from tigon.explorer.uploads import LARGEST, read_picture, too_large

STATIC = Path(__file__).parent / "static"
EVERY = 1.0  # seconds between two looks at the run folder


def make_app(hub: Hub, port: int, ready: Callable[[], None] = lambda: None) -> App:
    """Return the ASGI application of a run.

    Arguments:
        port: that it is served at, on 127.0.0.1; other hosts and origins are refused
        ready: called once when it has started
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hub.worker.start()
        checking = asyncio.create_task(_check(hub))
        ready()
        yield
        checking.cancel()
        await asyncio.to_thread(hub.worker.stop)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.post("/picture")
    async def picture(request: Request) -> Response:
        return await _picture(hub, request)

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await _converse(hub, websocket)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return Guarded(app, port)


async def _check(hub: Hub) -> None:
    while True:
        hub.check()
        await asyncio.sleep(EVERY)


async def _picture(hub: Hub, request: Request) -> Response:
    """Read a picture from the body of a request; return its pixels, or an error."""
    content = bytearray()
    try:
        if int(request.headers.get("content-length", "0")) > LARGEST:
            raise too_large()
        async for part in request.stream():
            content += part
            if len(content) > LARGEST:
                raise too_large()
        recipe = hub.run.experiment.recipe
        pixels = await asyncio.to_thread(read_picture, bytes(content), recipe)
    except TigonError as error:
        return PlainTextResponse(str(error), 413 if str(error) == str(too_large()) else 415)
    return Response(pixels.tobytes(), media_type="application/octet-stream")


async def _converse(hub: Hub, websocket: WebSocket) -> None:
    """Serve one page until it closes."""
    await websocket.accept()
    loop, outgoing = asyncio.get_running_loop(), asyncio.Queue[Message]()

    def send(message: Message) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the page with it
            loop.call_soon_threadsafe(outgoing.put_nowait, message)

    session = hub.join(send)
    sending = asyncio.create_task(_send(websocket, outgoing, session))
    try:
        await _listen(websocket, session)
    finally:
        hub.leave(session)
        sending.cancel()


async def _listen(websocket: WebSocket, session: Session) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text, content = message.get("text"), message.get("bytes")
        try:
            session.ask(read_request(text if text is not None else content or b""))
        except TigonError as error:
            session.say(type="error", of="", id=0, message=str(error))


async def _send(
    websocket: WebSocket, outgoing: "asyncio.Queue[Message]", session: Session
) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
        while True:
            message = await outgoing.get()
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)
            session.sent()
