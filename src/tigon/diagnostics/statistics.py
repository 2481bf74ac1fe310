"""Statistics of chains: how informative they are, whether they agree, and fit their density.

Draws are (K, C, *): K states of each of C parallel chains.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tigon.data.batches import Batch
from tigon.densities.log_density import sum_event, value_and_grad
from tigon.learners.abilities import InfersLatents, SynthesisesImages

FEATURES = (
    "red or grey",
    "green",
    "blue",
    "contrast",
    "top against bottom",
    "left against right",
    "centre against border",
    "roughness",
)


def effective_sample_size(draws: Tensor) -> NDArray[np.float64]:
    """Return the bulk effective sample size of each quantity, (*), from draws (K, C, *), K >= 4.

    References:
        Vehtari, Gelman, Simpson, Carpenter and Buerkner, Bayesian Analysis 2021.
    """
    from arviz_stats.base import array_stats

    return np.asarray(array_stats.ess(_arranged(draws), chain_axis=0, draw_axis=1))


def split_rhat(draws: Tensor) -> NDArray[np.float64]:
    """Return rank-normalised split R-hat of each quantity, (*), from draws (K, C, *), K >= 4.

    It is 1 if all halves of all chains agree; above 1.01 they do not quite, above 1.1 not at all.
    Of one chain, K >= 8, its quarters are compared.
    """
    from arviz_stats.base import array_stats

    if draws.shape[1] == 1:
        half = len(draws) // 2
        draws = torch.cat([draws[:half], draws[-half:]], 1)
    return np.asarray(array_stats.rhat(_arranged(draws), chain_axis=0, draw_axis=1))


def implied_temperature(draws: Tensor, gradients: Tensor, centre: Tensor | None = None) -> float:
    r"""Return the temperature at which the draws fit the density with these gradients.

    .. math:: T = -\tfrac1D\, E\left[(x - \bar x) \cdot \nabla\log p(x)\right]

    holds for draws from p^(1/T) (integration by parts). It reveals chains that have not forgotten
    their start, and steps that are too long for an unadjusted kernel.

    Arguments:
        draws: (K, C, *)
        gradients: gradients of log p at the draws, (K, C, *)
        centre: centre of each chain, (C, *); its mean over these draws if not given
    """
    away = draws - (draws.mean(0) if centre is None else centre)
    return -(away * gradients).flatten(2).sum(2).mean().item() / draws[0, 0].numel()


def coupling(learner: InfersLatents | SynthesisesImages, batch: Batch, x: Tensor) -> float:
    """Return how much a chain's gradient depends on the other chains in its batch; 0 is correct.

    Compares the gradient of the first row's log-density within the batch with that of the row
    alone: the norm of the difference relative to the norm.

    Arguments:
        batch: two or more images
        x: the chains' points, (B, *)
    """
    first = batch.take(slice(1))._replace(total=None, among=None)
    with learner.chain_density(batch) as log_density:
        _, together = value_and_grad(log_density, x)
    with learner.chain_density(first) as log_density:
        _, alone = value_and_grad(log_density, x[:1])
    size = sum_event(alone**2).sqrt()
    difference = sum_event((together[:1] - alone) ** 2).sqrt()
    return (difference / size.clamp(min=1e-30)).item()


def image_features(images: Tensor) -> Tensor:
    """Return eight fixed features of images (..., C, H, W) in [-1, 1]: (..., 8), see `FEATURES`.

    These are mean colours, contrast, three differences of brightness, and the root mean squared
    difference between neighbouring pixels.
    """
    grey = images.mean(-3)
    height, width = grey.shape[-2:]
    colours = images.mean((-1, -2))
    colours = colours.expand(*colours.shape[:-1], 3)
    inner = grey[..., height // 4 : -(height // 4), width // 4 : -(width // 4)].mean((-1, -2))
    down, across = grey.diff(dim=-2), grey.diff(dim=-1)
    others = [
        images.std((-1, -2, -3)),
        grey[..., : height // 2, :].mean((-1, -2)) - grey[..., height // 2 :, :].mean((-1, -2)),
        grey[..., : width // 2].mean((-1, -2)) - grey[..., width // 2 :].mean((-1, -2)),
        inner - grey.mean((-1, -2)),
        ((down**2).mean((-1, -2)) + (across**2).mean((-1, -2))).sqrt(),
    ]
    return torch.cat([colours, torch.stack(others, -1)], -1)


def _arranged(draws: Tensor) -> NDArray[np.float64]:
    return draws.detach().cpu().double().transpose(0, 1).numpy()
