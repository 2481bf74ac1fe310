"""Images from Python: what is scaled or laid out otherwise is refused, with a call that works."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tigon
from small import descriptor_learner, generator_learner, generator_recipe, image_set
from tigon.data.checks import require_bytes, require_images, require_points
from tigon.errors import TigonError

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)
PIXELS[0, 0, 0], PIXELS[0, 0, 1] = 0, 255
FLOATS = torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 127.5 - 1
SCALES = {
    "uint8": lambda x: x,
    "int64": lambda x: x.astype(np.int64),
    "uint16": lambda x: x.astype(np.uint16) * 257,
    "12 bits in uint16": lambda x: (x.astype(np.float64) * 4095 / 255).round().astype(np.uint16),
    "int32 of 16 bits": lambda x: x.astype(np.int32) * 257,
    "0 to 1": lambda x: x.astype(np.float32) / 255,
    "0 to 255": lambda x: x.astype(np.float32),
    "0 to 65535": lambda x: x.astype(np.float32) * 257,
    "-1 to 1": lambda x: (x / np.float32(127.5) - 1).astype(np.float32),
}
LAYOUTS = {
    "last": lambda x: x,
    "first": lambda x: np.moveaxis(x, -1, -3),
    "alpha last": lambda x: np.concatenate([x, np.full_like(x[..., :1], x.max())], -1),
    "alpha first": lambda x: np.moveaxis(LAYOUTS["alpha last"](x), -1, -3),
    "grey": lambda x: x[..., 0],
    "grey with alpha": lambda x: np.stack([x[..., 0], np.full_like(x[..., 0], x.max())], -1),
}
CALL = re.compile(r"convert x by (.*?)(?:, if \d+ is white|; or if none .*)?$")


def accepted(door, x):
    """Give x to a door, and where it is refused, what the call that it names makes of it."""
    try:
        door(x)
    except TigonError as error:
        said = str(error)
        assert "\n" not in said and str(tuple(x.shape)) in said and " ranges from " in said
        x = eval(CALL.search(said)[1], {"x": x, "np": np, "torch": torch})
        door(x)
    return x


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SCALES)), st.sampled_from(sorted(LAYOUTS)), st.booleans())
def test_the_call_that_is_named_makes_the_images_that_were_meant(scale, layout, tensor):
    x = LAYOUTS[layout](SCALES[scale](PIXELS))
    wanted = FLOATS[:, :1] if layout.startswith("grey") else FLOATS
    taken = accepted(tigon.as_data, torch.from_numpy(x.copy()) if tensor else x)
    assert (tigon.as_data(taken).read() - wanted).abs().max() <= 1.01 / 255
    pixels = accepted(lambda x: tigon.ImageSet(x, ["a", "b", "c"], []), x)
    assert (tigon.ImageSet(pixels, ["a", "b", "c"], []).read() - wanted).abs().max() <= 1.01 / 255


@pytest.mark.parametrize("scale", sorted(SCALES.keys() - {"-1 to 1"}))
def test_a_model_is_given_floats_in_its_range_and_shape(scale):
    x = torch.from_numpy(SCALES[scale](PIXELS[:, :, :8]).copy())
    generator, descriptor = generator_learner().model, descriptor_learner(image_set()).model
    z = torch.zeros(3, 2)
    doors = (
        lambda x: generator.infer(x, tigon.make_rng(0), tigon.ColdStart(1, 1, 1.0, 1)),
        lambda x: generator.posterior(x)(z),
        lambda x: generator.log_likelihood(x, z),
        descriptor.log_density,
    )
    for door in doors:
        channels_first = x.movedim(-1, -3)
        found = accepted(door, channels_first)
        assert (found - FLOATS[:, :, :, :8]).abs().max() <= 1.01 / 255
        with pytest.raises(TigonError, match=r"\(3, 1, 8, 8\): those of this model are .*3, 8, 8"):
            door(found[:, :1])


def test_points_of_chains_and_draws_of_models_are_taken_where_they_are():
    """They leave [-1, 1], and a bright picture of 8 bits has no value that black would have."""
    rng = torch.Generator().manual_seed(0)
    for x in (torch.randn(2, 3, 8, 8, generator=rng) * 9, torch.full((1, 3, 8, 8), 1 / 255)):
        require_points(x, "images")
    how = tigon.ColdStart(1, 1, 1.0, 1)
    white = generator_learner().model.infer(torch.ones(1, 3, 8, 8).double(), rng, how)
    assert white.errors.shape == (1,) and white.errors.dtype == torch.float32


LINES = {
    "floats": (
        lambda: tigon.ImageSet(PIXELS / 255, ["a", "b", "c"], []),
        "pixels of an ImageSet of float64 (3, 8, 12, 3) ranges from 0 to 1: images are uint8, "
        "(H, W, C), with 1 or 3 channels; convert x by (x * 255).round().astype('uint8'); or if "
        "none of it is meant to be darker than mid grey, give bytes",
    ),
    "uint16": (
        lambda: tigon.as_data(PIXELS.astype(np.uint16) * 257),
        "images of uint16 (3, 8, 12, 3) ranges from 0 to 65535: images are floats in [-1, 1], "
        "(C, H, W), or uint8, (H, W, C), with 1 or 3 channels; convert x by "
        "(x * (255 / 65535)).round().astype('uint8'), if 65535 is white",
    ),
    "alpha": (
        lambda: generator_recipe().trainer(torch.zeros(2, 8, 8, 4, dtype=torch.uint8)),
        "images of uint8 (2, 8, 8, 4) ranges from 0 to 0: images are floats in [-1, 1], "
        "(C, H, W), or uint8, (H, W, C), with 1 or 3 channels; convert x by x[..., :3]",
    ),
    "to be shown": (
        lambda: tigon.to_uint8(FLOATS * 127.5 + 127.5),
        "images of float32 (3, 3, 8, 12) ranges from 0 to 255: images are floats in [-1, 1], "
        "(C, H, W), with 1 or 3 channels; convert x by x / 127.5 - 1",
    ),
    "an array to a model": (
        lambda: generator_learner().model.infer(PIXELS, tigon.make_rng(0)),
        "images are a ndarray: give a tensor of floats in [-1, 1], (C, H, W)",
    ),
    "names": (
        lambda: tigon.ImageSet(PIXELS, ["a"], []),
        "1 names for 3 images: give one for each",
    ),
    "a trainer": (
        lambda: tigon.Trainer(generator_learner(), FLOATS / 2 + 0.5),
        "images of float32 (3, 3, 8, 12) ranges from 0 to 1: images are floats in [-1, 1], "
        "(C, H, W), or uint8, (H, W, C), with 1 or 3 channels; convert x by 2 * x - 1; or if none "
        "of it is meant to be darker than mid grey, give bytes",
    ),
    "start images": (
        lambda: tigon.start_images(FLOATS + 300, "mean-image"),
        "images of float32 (3, 3, 8, 12) ranges from 299 to 301: images are floats in [-1, 1], "
        "(C, H, W), or uint8, (H, W, C), with 1 or 3 channels; convert x by x / 32767.5 - 1, "
        "if 65535 is white",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_the_line_says_type_shape_range_and_call(case):
    call, said = LINES[case]
    with pytest.raises(TigonError) as error:
        call()
    assert str(error.value) == said


@pytest.mark.parametrize(
    "door", [require_bytes, require_images, require_points], ids=lambda door: door.__name__
)
@given(
    st.sampled_from(["c8", "O", "U1", "b1", "f2", "i1", "u8", "datetime64[s]"]),
    st.lists(st.integers(0, 5), max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_whatever_is_given_is_taken_or_refused_in_one_line(door, dtype, shape):
    x = np.zeros(shape, dtype)
    for given_ in (x, torch.from_numpy(x) if x.dtype.kind in "cbfiu" else x):
        try:
            door(given_, "images")
        except TigonError as error:
            assert "\n" not in str(error)
