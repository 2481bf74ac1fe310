"""The user's own picture, read like all pictures, in the form that the model needs."""

import numpy as np

from tigon.data.form import Form
from tigon.data.pictures import decode_all, decode_bytes
from tigon.errors import TigonError
from tigon.recipes import Recipe

LARGEST = 20 * 2**20


def read_picture(content: bytes, recipe: Recipe) -> np.ndarray:
    """Return the picture in a file's bytes as uint8 (H, W, C), in the recipe's form.

    Raises:
        TigonError: if it is not a picture, or one that the package does not read
    """
    if len(content) > LARGEST:
        raise too_large()
    form = Form(recipe.image_size, recipe.fit, recipe.channels)
    _, found = next(decode_all([("it", content)], decode_bytes, form))
    if isinstance(found, str):
        raise TigonError(f"this file {found.partition('; --')[0]}")
    return found.pixels


def too_large() -> TigonError:
    """Return the message about a file that is too large."""
    return TigonError(f"this file is larger than {LARGEST // 2**20} MB")
