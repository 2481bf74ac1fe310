"""The requests of a page and how they are read; anything else is refused with one line."""

from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from tigon.errors import TigonError
from tigon.explorer.frames import unpack
from tigon.explorer.panels import PANELS
from tigon.explorer.panels.base import Number, Request


@dataclass(frozen=True)
class Steer(Request):
    """Stop chains for good, hold them, or resume them: those with this number, or all."""

    type: Literal["stop", "hold", "go"]
    id: Number | None = None

    @property
    def slot(self) -> str:
        """Each of the chains waits separately."""
        return f"{self.type} {self.id}"


@dataclass(frozen=True)
class Look(Request):
    """Report whether the page is visible; a chain waits while it is not."""

    type: Literal["look"]
    seen: bool


@dataclass(frozen=True)
class Follow(Request):
    """Say whether to load every new checkpoint; `now` loads the newest once."""

    type: Literal["follow"]
    on: bool
    now: bool = False


REQUESTS = (
    Steer,
    Look,
    Follow,
    *(request for panel in PANELS.values() for request in panel.requests),
)
_any: Any = Annotated[reduce(or_, REQUESTS), Field(discriminator="type")]
_reader: TypeAdapter[Request] = TypeAdapter(_any, config={"strict": False})


def read_request(message: str | bytes) -> Request:
    """Return the request in a text or binary message.

    Raises:
        TigonError: if it is not a request
    """
    try:
        if isinstance(message, str):
            return _reader.validate_json(message)
        header, pixels = unpack(message)
        asked = _reader.validate_json(header)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:6])
        said = f"{where + ': ' if where else ''}{first['msg']}"
        said = " ".join(said.split())  # it may quote what was sent, line breaks included
        raise TigonError(f"no such request: {said}") from error
    except (ValueError, RecursionError) as error:
        raise TigonError(f"no such request: {error}") from error
    if not hasattr(asked, "pixels"):
        raise TigonError(f"no such request: {asked.type} has no bytes")
    return replace(asked, pixels=pixels)  # type: ignore[call-arg]
