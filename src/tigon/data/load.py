"""Load data by name: images from any source, converted to one size."""

import os

from tigon.data.cache import cached
from tigon.data.form import MAX_PIXELS, Form, Frames
from tigon.data.images import ImageSet
from tigon.data.masks import ALPHA, with_masks
from tigon.data.mirrored import mirrored
from tigon.data.pixels import Fit
from tigon.data.shards import image_set, load_pattern
from tigon.data.sources import is_pattern, open_source
from tigon.sizes import ImageSize


def load_images(
    data: str | os.PathLike[str],
    image_size: ImageSize = 64,
    fit: Fit = "stretch",
    channels: int = 3,
    mirror: bool = False,
    frames: Frames = "first",
    max_pixels: int = MAX_PIXELS,
    mask: str | os.PathLike[str] | None = None,
) -> ImageSet:
    """Load images of any depth, size and mode, and convert them to one size.

    Arguments:
        data: a folder (searched recursively), a `.npz` with `images` (uint8, N H W C), one
            picture file, `hf:NAME` (see `data.hf`), `embedded:animal-faces`, or a pattern with *
            of pictures, read like a folder's, or of shards (see `data.shards`)
        image_size: height and width in pixels, >= 8; one number for a square
        fit: `stretch` each image to this size, or `crop` its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: whether to append a mirrored copy of every image
        frames: read the `first` or `all` pages or frames of a file
        max_pixels: largest picture to read, >= 1
        mask: which values were observed: a picture of this size for all images, white where they
            were, or a folder with one for each image, of the same name; or `alpha`: those where
            the images are not transparent
    Raises:
        TigonError: if nothing can be read; it says what and why
    """
    mask = None if mask is None else os.fspath(mask)
    form = Form(image_size, fit, channels, frames, max_pixels, mask == ALPHA)
    data = os.fspath(data)
    if is_pattern(data):
        images = load_pattern(data, form)
    else:
        images = image_set(cached(open_source(data), form), form.alpha)
    images = images if mask is None else with_masks(images, mask)
    return mirrored(images) if mirror else images
