"""A run's images: how to recognise them, regardless of their names and location."""

import os
from typing import Any

from tigon.data.batches import ImageData
from tigon.data.sources import is_named
from tigon.errors import TigonError


def perhaps_moved(error: TigonError, data: str) -> TigonError:
    """Return the error about a run's data; if the data are gone, add what to do."""
    if is_named(data) or os.path.exists(data):
        return error
    return TigonError(f"{error}; if these have moved, --data NEW says where they are")


def describe_images(images: ImageData) -> dict[str, Any]:
    """Return what identifies a data set: the number of images, and hashes of them.

    `fingerprint` also covers their names; runs of earlier versions have only that.
    """
    return {
        "count": len(images),
        "fingerprint": images.fingerprint(),
        "content": images.content(),
    }


def same_images(before: Any, now: dict[str, Any]) -> bool:  # noqa: ANN401
    """Return whether a run's images, as it described them, are the same as these."""
    if not isinstance(before, dict):
        return False
    by = "content" if "content" in before else "fingerprint"
    return all(before.get(name) == now[name] for name in ("count", by))
