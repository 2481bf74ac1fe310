"""The descriptor (4): an energy-based model."""

from torch import Tensor, nn

from tigon.densities.gaussian import Gaussian


class EnergyModel(nn.Module):
    """Descriptor (4): log-density f(x) + log p0(x), up to log Z, with p0 = N(loc, scale^2 I).

    Arguments:
        network: f, images (B, C, H, W) to (B,)
        scale: standard deviation of the reference density p0, in units of the images, > 0
        loc: mean of p0 in every dimension: 0 is grey, -1 black as in the original
    """

    def __init__(self, network: nn.Module, scale: float = 0.7, loc: float = 0.0) -> None:
        super().__init__()
        self.network, self.reference = network, Gaussian(loc, scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-density up to a constant, (B, C, H, W) to (B,)."""
        return self.network(x).to(x.dtype) + self.reference.log_prob(x)
