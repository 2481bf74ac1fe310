"""Double precision, where single precision would lose what is asked for."""

from torch import Tensor


def wide(values: Tensor) -> Tensor:
    """Return values in double precision: on their device, or the CPU where that has none (MPS)."""
    return (values.cpu() if values.device.type == "mps" else values).double()
