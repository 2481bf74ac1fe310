"""A run's images: how to recognise them, regardless of their names and location."""

import os
from typing import Any

from tigon.data.batches import ImageData
from tigon.data.masks import ALPHA
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
    }


def same_images(before: Any, now: dict[str, Any]) -> bool:  # noqa: ANN401
    """Return whether a run's images, as it described them, are the same as these."""
    if not isinstance(before, dict):
        return False
    by = "content" if "content" in before else "fingerprint"
    return all(before.get(name) == now[name] for name in ("count", by))
