"""What a page may ask for, and how it is read: anything else is refused with one line."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from tigon.errors import TigonError
from tigon.explorer.frames import unpack

MOST_AT_ONCE = 64
Finite = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Latent = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=65536)]
Number = Annotated[int, Field(ge=0, le=2**53)]


@dataclass(frozen=True)
class Decode:
    """Decode latents; of several for the same `place`, only the last is answered."""

    type: Literal["decode"]
    id: Number
    place: Literal["point", "strip", "grid", "end"]
    latents: Annotated[tuple[Latent, ...], Field(min_length=1, max_length=MOST_AT_ONCE)]


@dataclass(frozen=True)
class Infer:
    """Infer the latent of a picture, whose bytes follow: uint8 (H, W, C), as the model's."""

    type: Literal["infer"]
    id: Number
    starts: Annotated[int, Field(ge=1, le=64)]
    seed: Number
    pixels: bytes = b""


@dataclass(frozen=True)
class Settings:
    """Numbers of a synthesis that act at once.

    Arguments:
        temperature: T >= 0
        step_size: s of the first step, > 0
        steps: after which the chain has arrived
        pace: steps a second at most; 0 as fast as it goes
    """

    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    step_size: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    steps: Annotated[int, Field(ge=1, le=100_000)]
    pace: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


@dataclass(frozen=True)
class Synthesise:
    """Start a chain from noise, from the mean image, or where a training image's chain starts."""

    type: Literal["synthesise"]
    id: Number
    start: Literal["noise", "mean", "image"]
    image: Number
    seed: Number
    settings: Settings


@dataclass(frozen=True)
class Change:
    """Give the running chain other numbers."""

    type: Literal["change"]
    settings: Settings


@dataclass(frozen=True)
class Steer:
    """Stop the chain for good, hold it, or let it go on."""

    type: Literal["stop", "hold", "go"]


@dataclass(frozen=True)
class Look:
    """Say whether the page can be seen; a chain waits while it cannot."""

    type: Literal["look"]
    seen: bool


@dataclass(frozen=True)
class Follow:
    """Say whether to take every new checkpoint as it comes; `now` takes the newest once."""

    type: Literal["follow"]
    on: bool
    now: bool = False


Request = Decode | Infer | Synthesise | Change | Steer | Look | Follow
_reader: TypeAdapter[Request] = TypeAdapter(
    Annotated[Request, Field(discriminator="type")], config={"strict": False}
)


def read_request(message: str | bytes) -> Request:
    """Return what a text or binary message asks for.

    Raises:
        TigonError: if it is no request
    """
    try:
        if isinstance(message, str):
            return _reader.validate_json(message)
        header, pixels = unpack(message)
        asked = _reader.validate_json(header)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:6])
        raise TigonError(
            f"no such request: {where + ': ' if where else ''}{first['msg']}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TigonError(f"no such request: {error}") from error
    if not isinstance(asked, Infer):
        raise TigonError("no such request: only infer has bytes")
    return Infer(asked.type, asked.id, asked.starts, asked.seed, pixels)
