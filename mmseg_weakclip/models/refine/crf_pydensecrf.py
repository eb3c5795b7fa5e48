"""Dense CRF by the C++ library pydensecrf, an optional extra."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .mean_field import Kernel


def pydensecrf_inference(
    unary: Tensor, kernels: Sequence[Kernel], iterations: int
) -> Tensor:
    """Marginals of each image in turn, on one CPU core.

    Args:
        unary: Energies, float32, shape (B, N, K).
        kernels: Kernels with features of shape (B, N, d) or (1, N, d).
        iterations: Mean-field updates.

    Returns:
        Shape (B, N, K), on the device of ``unary``.

    Raises:
        ImportError: pydensecrf is not installed.
    """
    try:
        from pydensecrf.densecrf import DenseCRF
    except ImportError as error:
        raise ImportError(
            "the CRF backend 'pydensecrf' is not installed: run "
            "`pip install mmseg_weakclip[crf]`, or take backend='auto', "
            'which computes the same'
        ) from error
    marginals = []
    for index, energies in enumerate(unary):
        num_points, num_classes = energies.shape
        crf = DenseCRF(num_points, num_classes)
        crf.setUnaryEnergy(_columns(energies))
        for features, compat in kernels:
            # A kernel that all images share has a batch of one.
            points = features[min(index, len(features) - 1)]
            crf.addPairwiseEnergy(_columns(points), compat=compat)
        q = np.array(crf.inference(iterations), dtype=np.float32)
        marginals.append(torch.from_numpy(q).T)
    return torch.stack(marginals).to(unary.device)


def _columns(rows: Tensor) -> np.ndarray:
    """(N, C) tensor to a (C, N) array, contiguous as the library wants."""
    return np.ascontiguousarray(rows.T.cpu().numpy(), dtype=np.float32)
