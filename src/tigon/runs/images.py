"""A run's images: how to recognise them, regardless of their names and location."""

import os
from typing import Any

from tigon.data.batches import ImageData
from tigon.data.masks import ALPHA
from tigon.data.mirrored import distinct
from tigon.data.sources import is_named
from tigon.errors import TigonError

MOVED = "--data NEW says where they are"


def perhaps_moved(
    error: TigonError, data: str | None, mask: str | None = None, remedy: str = MOVED
) -> TigonError:
    """Return the error about a run's data; if the data or their masks are gone, add what to do.

    Arguments:
        data: where the run's config has them; None if another place was given
        mask: where the masks are, if there are any
        remedy: what to do if the data have moved
    """
    if data is not None and not is_named(data) and not os.path.exists(data):
        return TigonError(f"{error}; if these have moved, {remedy}")
    if mask is not None and mask != ALPHA and not os.path.exists(mask):
        return TigonError(
            f"{error}; if the run's masks have moved, move them back, or change `mask` in its "
            "config.toml"
        )
    return error


def describe_images(images: ImageData) -> dict[str, Any]:
    """Return what identifies a data set: the number of images, and hashes of them.

    `fingerprint` also covers their names; runs of earlier versions have only that.
    """
    return {
        "count": len(images),
        "fingerprint": images.fingerprint(),
        "content": images.content(),
        "said": said_of(images),
    }


def said_of(images: ImageData, size: str = "") -> str:
    """Say how many images are learned from, what they are, and how many are not learned from.

    Arguments:
        size: of each, if that is to be said
    """
    count, of = distinct(images), f" of {size}" if size else ""
    if images.streamed:
        return f"a stream, whose first {count}{of} were looked at"
    found = f"{count}{of}{' and a mirrored copy of each' if count < len(images) else ''}"
    if images.incomplete:
        found += ", with values missing"
    return f"{found}; {len(images.held_out)} others were held out" if images.held_out else found


def same_images(before: Any, now: dict[str, Any]) -> bool:  # noqa: ANN401
    """Return whether a run's images, as it described them, are the same as these."""
    if not isinstance(before, dict):
        return False
    by = "content" if "content" in before else "fingerprint"
    return all(before.get(name) == now[name] for name in ("count", by))
