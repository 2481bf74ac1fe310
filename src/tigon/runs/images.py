"""The images of a run: what tells them from others, wherever they are and whatever their names."""

import os
from typing import Any

from tigon.data.batches import ImageData
from tigon.data.sources import is_named
from tigon.errors import TigonError


def perhaps_moved(error: TigonError, data: str) -> TigonError:
    """Return the error of data that a run learned from; if they are gone, with what to do."""
    if is_named(data) or os.path.exists(data):
        return error
    return TigonError(f"{error}; if these have moved, --data NEW says where they are")


def describe_images(images: ImageData) -> dict[str, Any]:
    """Return what tells one data set from another: how many images, and hashes of them.

    `fingerprint` is of their names too: runs of earlier versions have no other.
    """
    return {
        "count": len(images),
        "fingerprint": images.fingerprint(),
        "content": images.content(),
    }


def same_images(before: Any, now: dict[str, Any]) -> bool:  # noqa: ANN401
    """Return whether a run's images, as it described them, are these."""
    if not isinstance(before, dict):
        return False
    by = "content" if "content" in before else "fingerprint"
    return all(before.get(name) == now[name] for name in ("count", by))
