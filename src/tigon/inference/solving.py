r"""Solve with the covariance of what is observed of residuals, and fit it to an image's own.

:math:`K = \tau A S A^T + s^2 I` is formed only if it is small. Else conjugate gradients (Hestenes
and Stiefel, 1952) solve with it, in as many iterations as it has distinct eigenvalues: two for a
mask and S = sigma^2 I. Otherwise they are preconditioned by an E and a spectrum w with
:math:`K \approx E C^T \mathrm{diag}(w) C E`, C the cosine transform: for a mask those of S itself,
whose inverse is known, and else the deviations of what A makes of draws of N(0, S), and the
spectrum of what it is relative to them. A hole then takes 5 to 20 iterations, averages, grey or a
blur 5 to 30, and half of the pixels at random 40 with the S of residuals of photographs, 220 with
that of whole ones, rather than two to ten times as many.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tigon.densities.conjugate_gradients import LinearMap
from tigon.densities.log_density import sum_event
from tigon.errors import TigonError
from tigon.models.image_noise import smooth, transformed

LANCZOS = 60  # steps: of a spectrum over five powers of ten they leave an error of a nat in 10^4
ROUNDING, WORST = 1e-7, 1e-3  # of the largest diagonal entry of a matrix in single precision
LEAST = 1e-4  # of squares and variances of a preconditioner, relative to the largest
SCALES = 0.1, 10.0  # bounds of tau
RATIOS = 10 ** torch.linspace(-5, 3, 65, dtype=torch.float64)  # of noise to residuals


class Observed(NamedTuple):
    """What is observed of residuals, as draws of N(0, S) show it, for each image.

    Attributes:
        energy: E|A r|^2, (B,)
        squares: E[(A r)^2], (B, c, h, w), averaged over neighbours; None if observations have no
            such shape
        spectrum: that of A r relative to the root of its squares, likewise
    """

    energy: Tensor
    squares: Tensor | None = None
    spectrum: Tensor | None = None

    @classmethod
    def of(cls, seen: Tensor, count: int) -> "Observed":
        """Return what A makes of draws, those of each of `count` images adjacent, (B * S, *)."""
        energy = sum_event(seen.square()).view(count, -1).mean(1)
        if seen.dim() != 4:
            return cls(energy)
        squares = smooth(seen.square().unflatten(0, (count, -1)).mean(1))
        relative = _relative(seen, squares)
        spectrum = transformed(relative).square().unflatten(0, (count, -1)).mean(1)
        return cls(energy, squares, smooth(spectrum))

    def fitted(self, residual: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        r"""Estimate tau and the noise level s of each image from its observed residuals.

        By Whittle's likelihood of their frequencies p_k, :math:`- \sum_k \log m_k + p_k / m_k`
        with :math:`m_k = \tau w_k + s^2 e` and e the spectrum of white noise relative to E.

        Arguments:
            residual: (B * S, c, h, w), whose images have their rows adjacent
            seen: as above
        Returns:
            tau and s, (B,)
        References:
            Whittle, "Estimation and information in stationary time series", 1953.
        """
        assert self.squares is not None and self.spectrum is not None
        relative = _relative(residual, self.squares)
        found = transformed(relative).square().unflatten(0, (len(seen), -1)).mean(1)
        found, spectrum = found.flatten(1).double(), self.spectrum.flatten(1).double()
        white = (seen / self.squares).where(seen != 0, 0).flatten(1).double().mean(1)
        worst, best = torch.full_like(white, torch.inf), torch.zeros_like(white)
        scale = best
        for ratio in RATIOS.to(found):
            shape = spectrum + ratio
            size = (found / shape).mean(1)
            value = shape.log().mean(1) + size.log()
            scale = torch.where(value < worst, size, scale)
            best = torch.where(value < worst, size * ratio, best)
            worst = worst.minimum(value)
        return scale.to(residual).clamp(*SCALES), (best / white).sqrt().to(residual)


def _relative(values: Tensor, squares: Tensor) -> Tensor:
    """Return values (B * S, c, h, w) over the root of their images' squares, or 0."""
    roots = squares.sqrt().repeat_interleave(len(values) // len(squares), 0)
    return (values / roots).where(values != 0, 0)


def bounded(values: Tensor) -> Tensor:
    """Return values (B, *) above 0, none far below an image's largest."""
    return values.maximum(LEAST * values.amax((1, 2, 3), keepdim=True))


def factorised(gram: Tensor, scale: Tensor, ridge: Tensor, seen: Tensor) -> Tensor:
    """Return Cholesky's factors of scale G + ridge I, where something is observed, (B, M, M).

    Where the ridge is below the rounding of G, which was computed in single precision, so much is
    added that there are factors: from 1e-7 of the largest diagonal entry up.

    Arguments:
        gram: G of each image, (B, M, M)
        scale, ridge: of each image, (B,)
        seen: 1 where something is observed, (B, *) of M values
    Raises:
        TigonError: if there are none with a thousandth of it either
    """
    kept = seen.flatten(1).double()
    diagonal = ridge[:, None].double() * kept + (1 - kept)
    matrix = scale[:, None, None].double() * gram + diagonal.diag_embed()
    factor, failed = torch.linalg.cholesky_ex(matrix)
    extra = ROUNDING
    while failed.any():
        if extra > WORST:
            raise TigonError("the noise is too small for what was done to the images; give more")
        most = matrix.diagonal(dim1=1, dim2=2).amax(1)
        added = (extra * most * (failed > 0))[:, None] * kept
        factor, failed = torch.linalg.cholesky_ex(matrix + added.diag_embed())
        extra *= 10
    return factor


def solve_factorised(factor: Tensor, seen: Tensor, values: Tensor) -> Tensor:
    """Solve with `factorised` matrices for values (B * S, *), where something is observed."""
    kept = seen.flatten(1).double()
    right = values.flatten(1).double().unflatten(0, (len(factor), -1)) * kept[:, None]
    return torch.cholesky_solve(right.mT, factor).mT.reshape(values.shape).to(values)


@torch.no_grad()
def log_quadratic(product: LinearMap, probes: Tensor) -> Tensor:
    r"""Estimate :math:`v^T \log(K) \, v` for probes v, which K maps into their space, (B,).

    By Lanczos's tridiagonal T of K from v, as :math:`|v|^2 e_1^T \log(T) \, e_1`. For entries of v
    that are 1 or -1 at random its mean is :math:`\log \det K`.

    Arguments:
        product: K u for each row
    References:
        Ubaru, Chen and Saad, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature",
        SIAM Journal on Matrix Analysis 2017.
    """
    squares = sum_event(probes.square())
    along = _normalised(probes, squares.sqrt())
    basis, diagonal, beside = [along.flatten(1)], [], []
    for _ in range(min(LANCZOS, probes[0].numel())):
        image = product(basis[-1].view_as(probes)).flatten(1)
        diagonal.append((image * basis[-1]).sum(1))
        before = torch.stack(basis, 1)
        for _ in "12":  # twice is enough
            image = image - ((before @ image[:, :, None]).mT @ before).squeeze(1)
        size = image.norm(dim=1)
        size = torch.where(size > 1e-5 * torch.stack(diagonal).amax(0), size, 0)
        beside.append(size)
        basis.append(_normalised(image, size))
    sizes = torch.stack(beside, 1).double()
    ended = functional.pad(sizes[:, :-1] == 0, (1, 0)).cumsum(1) > 0  # v sees no more of K
    main = torch.stack(diagonal, 1).double().where(~ended, 1.0)
    off = sizes[:, :-1].where(~ended[:, 1:], 0.0)
    matrix = main.diag_embed() + off.diag_embed(1) + off.diag_embed(-1)
    values, vectors = torch.linalg.eigh(matrix)
    logs = values.clamp(min=torch.finfo(torch.float32).tiny).log()
    return squares.double() * (vectors[:, 0].square() * logs).sum(1)


def _normalised(values: Tensor, size: Tensor) -> Tensor:
    """Return values (B, *) divided by a number of each row; 0 where that is 0."""
    size = size.view(-1, *[1] * (values.dim() - 1))
    return torch.where(size > 0, values / size, 0)
