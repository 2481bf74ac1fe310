r"""A network whose value is a sum over positions, so that it takes images of any size.

.. math:: f(x) = \sum_p \langle w, h_p(x) \rangle

where :math:`h_p` are the features of convolutions at position p, whose weights all positions
share. The image lies on a torus: its opposite borders meet, so that every position is inside.

References:
    Zhu, Wu and Mumford, "Filters, random fields and maximum entropy (FRAME)", IJCV 1998.
    Lu, Zhu and Wu, "Learning FRAME models using CNN filters", AAAI 2016.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tigon.nn.dcgan import SLOPE, initialise

FIRST, STRIDE, OTHERS = 4, 2, 3  # the first kernel and its stride; the other kernels


def seen(layers: int) -> int:
    """Return how many pixels across a position sees with so many convolutions."""
    return FIRST + STRIDE * (OTHERS - 1) * (layers - 1)


class StationaryDescriptor(nn.Module):
    """f of a texture: convolutions, and the same weighted sum of features at each position.

    Conv 4x4 stride 2-LReLU to `width` channels, then Conv 3x3-LReLU to twice as many; no
    normalisation, and no zeros beyond the border. With two convolutions a position sees 8 x 8
    pixels, with each further one 4 more on each axis. A shift of an image on the torus by two
    pixels leaves f unchanged.

    Arguments:
        channels: channels of the image, 1 or 3
        width: channels of the first convolution
        layers: number of convolutions, >= 2
        rng: for the initial weights
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        layers: int = 2,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"layers must be at least 2, not {layers}")
        self.channels, self.width = channels, width
        sizes = [channels, width, *[2 * width] * (layers - 1)]
        convolutions = [nn.Conv2d(channels, width, FIRST, STRIDE)]
        convolutions += [nn.Conv2d(k, 2 * width, OTHERS) for k in sizes[1:-1]]
        self.layers = nn.ModuleList(convolutions)
        self.last = nn.Linear(sizes[-1], 1, bias=False)  # a constant would change no score
        initialise(self, rng)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def config(self) -> dict[str, object]:
        """Return the arguments of this network, except `rng`."""
        return {"channels": self.channels, "width": self.width, "layers": len(self.layers)}

    @property
    def seen(self) -> int:
        """How many pixels across a position sees."""
        return seen(len(self.layers))

    def forward(self, images: Tensor) -> Tensor:
        """Return f(images) on a torus: (B, C, H, W) in [-1, 1], of even sides, to (B,)."""
        features = self._features(images, True)
        return self._weighted(features.sum((2, 3), dtype=self.last.weight.dtype))

    def inside(self, images: Tensor) -> Tensor:
        """Return f of images whose borders do not meet, (B, C, H, W) to (B,).

        It is the mean over the positions that see no border, as many times as a torus of this size
        has positions: equal to `forward` on average, if both are drawn from one stationary field.

        Arguments:
            images: of at least `seen` pixels on each side
        """
        positions = images.shape[2] * images.shape[3] / STRIDE**2
        features = self._features(images, False)
        return positions * self._weighted(features.mean((2, 3), dtype=self.last.weight.dtype))

    def _features(self, images: Tensor, periodic: bool) -> Tensor:
        features = images.contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.layers):
            if periodic:
                more = OTHERS - 1 if number else FIRST - STRIDE
                features = functional.pad(features, (0, more, 0, more), mode="circular")
            features = functional.leaky_relu(layer(features), SLOPE)
        return features

    def _weighted(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):  # differences of sums matter
            return self.last(features).squeeze(1)
