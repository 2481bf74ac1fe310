"""Networks that `floor.py` and `peers.py` measure, and their numbers of operations."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tigon import ConvDescriptor, make_rng


class Block(nn.Module):
    """Two 3x3 convolutions around which the input goes, without normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, width, H, W)."""
        return x + self.inner(x)


def resnet(width: int = 32) -> nn.Sequential:
    """Return a residual network from images (B, 3, 32, 32) to (B,)."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        *[nn.Sequential(Block(width), nn.AvgPool2d(2)) for _ in range(3)],
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(width * 16, 1),
        nn.Flatten(0),
    )


def perceptron(width: int = 128) -> nn.Sequential:
    """Return a perceptron from points (B, 2) to (B,)."""
    return nn.Sequential(
        nn.Linear(2, width),
        nn.SiLU(),
        nn.Linear(width, width),
        nn.SiLU(),
        nn.Linear(width, 1),
        nn.Flatten(0),
    )


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Return each network by name, its parameters frozen, with the shape of a point."""
    torch.manual_seed(0)
    found: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "perceptron 2-128-128-1": (perceptron(), (2,)),
        "residual network, 32x32": (resnet(), (3, 32, 32)),
        "Table 2, 64x64": (ConvDescriptor(64, rng=make_rng("weights")), (3, 64, 64)),
    }
    for network, _ in found.values():
        network.requires_grad_(False)
    return found


@torch.no_grad()
def operations(network: nn.Module, x: Tensor) -> int:
    """Return the floating-point operations of a gradient evaluation at x.

    Those of the matrix products and convolutions of one forward pass, twice: the backward pass to
    the input takes as many. Biases, activations and the chain's own arithmetic are not counted.
    """
    with FlopCounterMode(display=False) as counter:
        network(x)
    return 2 * counter.get_total_flops()


@torch.no_grad()
def bytes_moved(network: nn.Module, x: Tensor) -> int:
    """Return the bytes that a gradient evaluation must at least move, if no cache held any.

    Weights are read in both passes, and the result of each layer that has weights is written and
    read in both; activations are counted as part of these layers.
    """
    sizes = [2 * p.numel() for p in network.parameters()]
    hooks = [
        layer.register_forward_hook(lambda _, given, shown: sizes.append(4 * shown.numel()))
        for layer in network.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return 4 * sum(sizes)
