"""Mean-field inference in a fully connected CRF with Potts energy.

Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs with
Gaussian Edge Potentials" (NIPS 2011), Algorithm 1, with kernels normalised
symmetrically to D^-1/2 K D^-1/2, the default of pydensecrf.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .crf_params import CRFParams

# Keeps a pixel without neighbours (row sum 0) finite, as in pydensecrf.
NORM_EPS = 1e-20


class Kernel(NamedTuple):
    """One Gaussian kernel, exp(-|f_i - f_j|^2 / 2), of the pairwise energy.

    Attributes:
        features: Points in units of the kernel's standard deviation, shape
            (B, N, d), or (1, N, d) where they are those of every image.
        compat: Weight of the kernel, > 0.
    """

    features: Tensor
    compat: float


def crf_kernels(images: Tensor, params: CRFParams) -> list[Kernel]:
    """The kernels of a batch of images; those of zero weight are left out.

    Args:
        images: Colours in 0..255, float32, shape (B, 3, H, W).

    Returns:
        The smoothness kernel on (x, y) and the appearance kernel on
        (x, y, r, g, b). The order of the axes matters: the lattice is not
        symmetric in them, and this is pydensecrf's.
    """
    batch, _, height, width = images.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device, dtype=torch.float32),
        torch.arange(width, device=images.device, dtype=torch.float32),
        indexing='ij',
    )
    place = torch.stack([x, y], dim=-1).reshape(1, -1, 2)
    colour = images.flatten(2).transpose(1, 2)
    kernels = []
    if params.gaussian_compat > 0:
        deviation = params.gaussian_sxy / params.scale_factor
        kernels.append(Kernel(place / deviation, params.gaussian_compat))
    if params.bilateral_compat > 0:
        deviation = params.bilateral_sxy / params.scale_factor
        features = [
            (place / deviation).expand(batch, -1, -1),
            colour / params.bilateral_srgb,
        ]
        kernels.append(
            Kernel(torch.cat(features, dim=-1), params.bilateral_compat)
        )
    return kernels


def mean_field(
    unary: Tensor, messages: Callable[[Tensor], Tensor], iterations: int
) -> Tensor:
    """Iterate ``q = softmax(messages(q) - unary)`` from ``softmax(-unary)``.

    Args:
        unary: Energies -log p, shape (B, N, K).
        messages: The filter sum_m compat_m D_m^-1/2 K_m D_m^-1/2 q, with D_m
            the row sums of K_m, on tensors of that shape. K_m holds the
            pixel itself too.
        iterations: Number of updates.

    Returns:
        Marginals q, shape (B, N, K), summing to one over K.
    """
    q = torch.softmax(-unary, dim=-1)
    for _ in range(iterations):
        q = torch.softmax(messages(q) - unary, dim=-1)
    return q
