"""The original code's two networks: Table 1 (generator) and Table 2 (descriptor).

Images may be rectangular. There is no normalisation by default: batch statistics couple chains.
"""

from collections.abc import Callable
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn

from tigon.choices import require_choice
from tigon.densities.log_density import evaluated
from tigon.nn.halving import doubled, halved
from tigon.sizes import ImageSize, sides, size_text

Norm = Literal["none", "group", "batch"]
SLOPE = 0.2
BEYOND = (0, 1, 0, 1)  # zeros right of an image and below it, for a convolution of 2 x 2
BRIGHTEST = 0.95  # colour that images begin at, at most: tanh is not yet saturated there


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Return the normalisation layer with this name for (B, channels, H, W)."""
    require_choice("norm", norm, Norm)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(min(32, channels // 2), channels)
    return nn.Identity()


class DCGANGenerator(nn.Module):
    """Table 1: latents to images by transposed convolutions.

    FC-norm-LReLU to 512 x 4 x 4; Deconv-norm-LReLU to 256 x 8 x 8, 128 x 16 x 16, 64 x 32 x 32;
    Deconv-tanh to 3 x 64 x 64. Other sizes have as many doublings as they need, and rectangles a
    first grid of their own: 48 x 64 has 6 x 8.

    Arguments:
        latent_dim: d >= 1
        image_size: height and width, 8 to 1024: a grid whose shorter side is 4 to 7, doubled k
            times, such as 64, 56 or (48, 64); a power of two starts from 4 x 4
        channels: channels of the image, 1 or 3
        width: channels of the last hidden layer; they double towards the latents, up to 8 x width
        kernel_size: size of the transposed convolutions, 4 or 5 (5 in the original)
        norm: none, group or batch
        rng: generator for the initial weights; PyTorch's global generator if not given
    """

    def __init__(
        self,
        latent_dim: int,
        image_size: ImageSize = 64,
        channels: int = 3,
        width: int = 64,
        kernel_size: int = 4,
        norm: Norm = "none",
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_choice("norm", norm, Norm)
        doublings = doublings_to(image_size)
        if kernel_size not in (4, 5):
            raise ValueError(f"kernel_size must be 4 or 5, not {kernel_size}")
        self._config = {
            "latent_dim": latent_dim,
            "image_size": image_size,
            "channels": channels,
            "width": width,
            "kernel_size": kernel_size,
            "norm": norm,
        }
        widths = [width * min(8, 2**k) for k in reversed(range(doublings))]
        height, width = (side // 2**doublings for side in sides(image_size))
        self.seed_shape = (widths[0], height, width)
        self.first = nn.Linear(latent_dim, widths[0] * height * width)
        layers: list[nn.Module] = [
            normalisation(norm, widths[0]),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [_deconvolution(before, after, kernel_size)]
            layers += [normalisation(norm, after), nn.LeakyReLU(SLOPE, inplace=True)]
        layers += [_deconvolution(widths[-1], channels, kernel_size), nn.Tanh()]
        self.rest = nn.Sequential(*layers)
        initialise(self, rng)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def config(self) -> dict[str, object]:
        """Return the arguments of this network, except `rng`."""
        return {**self._config}

    @torch.no_grad()
    def begin_at(self, colour: Tensor) -> None:
        """Set the last layer's bias so that images begin near a mean colour (C,) in [-1, 1].

        Without it the first updates move all outputs there together. Where most pixels are black,
        as in drawings, they go on until tanh is saturated everywhere, and the network is dead.
        """
        last = self.rest[-2]
        assert isinstance(last, nn.ConvTranspose2d) and last.bias is not None
        last.bias.copy_(torch.atanh(colour.clamp(-BRIGHTEST, BRIGHTEST)))

    def forward(self, z: Tensor) -> Tensor:
        """Decode latents (B, d) to images (B, C, H, W) in [-1, 1]."""
        seeds = self.first(z).unflatten(1, self.seed_shape)
        return self.rest(seeds.contiguous(memory_format=torch.channels_last))


class ConvDescriptor(nn.Module):
    """Table 2: images to one number, with two convolutions.

    Conv 4x4 stride 2 to 64; Conv 2x2 stride 1 to 128; norm-LReLU after each; FC to 1.

    Arguments:
        image_size: height and width, even, >= 8
        channels: channels of the image, 1 or 3
        width: channels of the first convolution; the second has twice as many
        norm: none, group or batch
        bytes_range: feed pixels from 0 to 255 to the first convolution, as in the original
        rng: generator for the initial weights; PyTorch's global generator if not given
    """

    def __init__(
        self,
        image_size: ImageSize = 64,
        channels: int = 3,
        width: int = 64,
        norm: Norm = "none",
        bytes_range: bool = False,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not _even(image_size):
            raise ValueError(
                f"image_size must be even and at least 8, not {size_text(image_size)}"
                f"{_nearest(image_size, _even)}"
            )
        self._config = {
            "image_size": image_size,
            "channels": channels,
            "width": width,
            "norm": norm,
            "bytes_range": bytes_range,
        }
        height, width_pixels = sides(image_size)
        self.bytes_range = bytes_range
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.ZeroPad2d(BEYOND),
            nn.Conv2d(width, 2 * width, 2),
            normalisation(norm, 2 * width),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        self.last = Projection(2 * width * (height // 2) * (width_pixels // 2), 1)
        initialise(self, rng)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def config(self) -> dict[str, object]:
        """Return the arguments of this network, except `rng`."""
        return {**self._config}

    def forward(self, images: Tensor) -> Tensor:
        """Return f(images): (B, C, H, W) in [-1, 1] to (B,)."""
        if self.bytes_range:
            images = (images + 1) * 127.5
        images = images.contiguous(memory_format=torch.channels_last)
        return self.last(self.features(images)).squeeze(1)

    def value_and_grad(self, images: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return f(images), (B,), and its gradient, (B, C, H, W), both detached.

        Chains take it. Without normalisation f is :math:`w^T r(W_2\, r(W_1 x))` up to biases, with
        r the leaky ReLU, and its gradient, :math:`W_1^T D_1 W_2^T D_2 w` with the slopes of r in
        diagonal matrices D, is written out: autograd takes a third more of the time.
        """
        plain = type(self) is ConvDescriptor and self._config["norm"] == "none"
        if not plain or self.bytes_range or torch.is_autocast_enabled(images.device.type):
            return evaluated(self, images)
        with torch.no_grad():
            return self._value_and_grad(images.contiguous(memory_format=torch.channels_last))

    def _value_and_grad(self, images: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (part for part in self.features if isinstance(part, nn.Conv2d))
        slopes = torch.ops.aten.leaky_relu_backward  # times the slopes at what the ReLU returned
        one = nn.functional.leaky_relu_(halved(images, first.weight, first.bias), SLOPE)
        two = nn.functional.conv2d(nn.functional.pad(one, BEYOND), second.weight, second.bias)
        two = nn.functional.leaky_relu_(two, SLOPE)
        weight = self.last.weight.unflatten(1, two.shape[1:])
        weight = weight.contiguous(memory_format=torch.channels_last)
        back = slopes(weight.expand_as(two), two, SLOPE, True)
        back = nn.functional.conv_transpose2d(back, second.weight)[:, :, :-1, :-1]
        return self.last(two).squeeze(1), doubled(slopes(back, one, SLOPE, True), first.weight)


class Projection(nn.Linear):
    """A linear layer from features (B, C, H, W) to (B, out), whose weight is in that order.

    It reads features in memory order, channels last: flattening them as (C, H, W) would copy them
    and their gradient. It keeps its own precision under autocast, since differences between its
    sums matter.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return the projected features, (B, out)."""
        weight = self.weight.unflatten(1, features.shape[1:]).permute(0, 2, 3, 1).flatten(1)
        flat = features.permute(0, 2, 3, 1).flatten(1)
        with torch.autocast(flat.device.type, enabled=False):
            return nn.functional.linear(flat.to(weight.dtype), weight, self.bias)


def doublings_to(image_size: ImageSize) -> int:
    """Return how often a generator's first grid is doubled to make images of this size.

    Raises:
        ValueError: if no grid fits; it names the nearest sizes for which one does
    """
    if not _doubled(image_size):
        raise ValueError(
            "image_size must be a grid whose shorter side is 4 to 7, doubled to 8 to 1024, not "
            f"{size_text(image_size)}{_nearest(image_size, _doubled)}"
        )
    return _doublings(image_size)


def _doublings(image_size: ImageSize) -> int:
    return min(sides(image_size)).bit_length() - 3


def _doubled(image_size: ImageSize) -> bool:
    """Return whether a grid whose shorter side is 4 to 7 can be doubled to this size."""
    whole = [side for side in sides(image_size) if 8 <= side <= 1024]
    return len(whole) == 2 and all(side % 2 ** _doublings(image_size) == 0 for side in whole)


def _even(image_size: ImageSize) -> bool:
    return all(side >= 8 and side % 2 == 0 for side in sides(image_size))


def _nearest(image_size: ImageSize, fits: Callable[[ImageSize], bool]) -> str:
    """Name the two nearest sizes that fit."""
    height, width = sides(image_size)
    steps = [2**k for k in range(1, 9)]
    around = [
        {side // step * step + more for step in steps for more in (0, step)}
        for side in (min(max(height, 8), 1024), min(max(width, 8), 1024))
    ]
    found = [(h, w) for h, w in product(*around) if fits((h, w)) and (h == w or height != width)]
    found.sort(key=lambda size: (abs(size[0] - height) + abs(size[1] - width), size))
    return f"; the nearest are {' and '.join(map(size_text, sorted(found[:2])))}"


def _deconvolution(before: int, after: int, kernel_size: int) -> nn.Module:
    """Double height and width: 4x4 covers each pixel evenly, 5x5 is from the original."""
    return nn.ConvTranspose2d(
        before, after, kernel_size, stride=2, padding=kernel_size // 2 - (kernel_size == 4),
        output_padding=int(kernel_size == 5),
    )  # fmt: skip


def initialise(module: nn.Module, rng: torch.Generator | None) -> None:
    """Initialise weights to preserve variance through leaky ReLUs (He et al., 2015); biases 0.

    An output pixel of a transposed convolution with stride 2 sums a quarter of the kernel's taps.

    Raises:
        ValueError: if a layer has no weights
    """
    if not all(weights.numel() for weights in module.parameters()):
        raise ValueError("a layer has no weights: width, channels and latents must be at least 1")
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            fan_in = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1] / 4
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
        else:
            continue
        gain = 2 / (1 + SLOPE**2)
        nn.init.normal_(layer.weight, std=(gain / fan_in) ** 0.5, generator=rng)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
