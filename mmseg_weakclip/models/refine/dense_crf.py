"""Fully connected CRF: fit soft masks to the edges of the image.

Kraehenbuehl and Koltun (NIPS 2011) with the defaults of pydensecrf. There is
one definition of the energy (:mod:`.mean_field`) and three ways to compute
it, which the argument ``backend`` of :func:`dense_crf` chooses from:

``'torch-lattice'``
    The permutohedral lattice in PyTorch. It is linear in the number of
    pixels and the algorithm of pydensecrf itself: on photographs the labels
    are the same and marginals differ by 1e-6 in the mean.
``'torch-exact'``
    Dense N x N kernels in PyTorch: the true sums, which the lattice
    approximates. Quadratic in the number of pixels, so meant for small maps.
    Its labels are those of pydensecrf in 93 to 99 % of the pixels.
``'pydensecrf'``
    The C++ library, an optional extra; it runs on one CPU core, image by
    image.

``'auto'`` and ``'torch'`` take the lattice, on every device and at every
size: ``benchmarks/dense_crf.py`` finds it faster than the exact form from
32 x 32 pixels on, it needs no extra, and one form everywhere means that a
result depends neither on the machine nor on the size of a batch.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor

from .crf_params import CRFParams, resolve_crf_params
from .mean_field import (
    ExactMessages,
    Kernel,
    LatticeMessages,
    crf_kernels,
    mean_field,
)

BACKENDS = ('auto', 'torch', 'torch-lattice', 'torch-exact', 'pydensecrf')
# Probabilities below this one are raised to it (published value).
MIN_PROB = 1e-5
# Interpolated images may leave 0..255 by rounding errors; normalised ones
# leave it by far more.
COLOUR_TOLERANCE = 0.1


@torch.no_grad()
def dense_crf(
    images: Tensor,
    probs: Tensor,
    params: CRFParams | str | Mapping[str, float],
    backend: str = 'auto',
    max_bytes: int = 2**30,
) -> Tensor:
    """Return marginals of the CRF with unaries -log(clip(probs, 1e-5, 1)).

    Computed in float32, under autocast too. No gradient flows. Images of a
    batch do not influence each other.

    Args:
        images: RGB in 0..255, not normalised, uint8 or float, shape
            (B, 3, H, W).
        probs: Class probabilities or scores in [0, 1], shape (B, K, H, W);
            they need not sum to one over K.
        params: A :class:`CRFParams`, a preset's name or a dict of values.
        backend: One of ``BACKENDS``; see the docstring of the module.
        max_bytes: Largest working memory of the torch backends, in bytes.
            Batches are split to keep it. One image on the lattice needs
            about ``H * W * (1000 + 50 K)`` bytes whatever the limit; the
            exact form splits its kernel into rows.

    Returns:
        float32, shape (B, K, H, W), on the device of ``probs``, summing to
        one over K.

    Raises:
        ValueError: Shapes do not match, values are NaN, negative, or (for
            images) outside 0..255, or a name is unknown.
        ImportError: pydensecrf was asked for and is not installed.
    """
    params = resolve_crf_params(params)
    form = _resolve_backend(backend, probs.device.type)
    _check_inputs(images, probs)
    images = images.to(probs.device, torch.float32)
    with torch.autocast(probs.device.type, enabled=False):
        size = _images_at_once(form, probs, max_bytes)
        marginals = [
            _infer(*pair, params, form, max_bytes)
            for pair in zip(images.split(size), probs.float().split(size))
        ]
    return torch.cat(marginals)


def dense_crf_image(
    image: np.ndarray,
    probs: np.ndarray,
    params: CRFParams | str | Mapping[str, float],
    backend: str = 'auto',
) -> np.ndarray:
    """Run :func:`dense_crf` on one image on the CPU, for process pools.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        probs: Class probabilities, shape (K, H, W).
        params: Parameters, as in :func:`dense_crf`.
        backend: One of ``BACKENDS``.

    Returns:
        float32, shape (K, H, W).
    """
    # ascontiguousarray: a flipped BGR view has strides torch cannot take.
    colours = torch.from_numpy(np.ascontiguousarray(image))
    scores = torch.from_numpy(np.ascontiguousarray(probs))
    marginals = dense_crf(
        colours.movedim(-1, 0)[None], scores[None], params, backend
    )
    return marginals[0].numpy()


def lattice_bytes(num_points: int, num_classes: int) -> int:
    """Return the working memory of the lattice for one image, in bytes.

    Measured: sorting the vertices, then tables of a column for each class.
    Photographs take 0.5 to 0.7 of it, noise up to 1.25.

    Args:
        num_points: Number of pixels.
        num_classes: Number of classes K.
    """
    return num_points * (1000 + 50 * num_classes)


def _infer(
    images: Tensor, probs: Tensor, params: CRFParams, form: str, max_bytes: int
) -> Tensor:
    unary = -probs.clamp(MIN_PROB, 1).log().flatten(2).transpose(1, 2)
    unary = unary.contiguous()
    kernels = crf_kernels(images, params)
    if form == 'pydensecrf':
        q = pydensecrf_inference(unary, kernels, params.iterations)
    else:
        if form == 'torch-lattice':
            messages = LatticeMessages(kernels)
        else:
            messages = ExactMessages(kernels, max_bytes)
        q = mean_field(unary, messages, params.iterations)
    return q.transpose(1, 2).reshape_as(probs)


def _resolve_backend(backend: str, device_type: str) -> str:
    if backend not in BACKENDS:
        raise ValueError(
            f'unknown CRF backend {backend!r}, choose one of {BACKENDS}'
        )
    if backend not in ('auto', 'torch'):
        return backend
    form = 'torch-lattice'
    _log_choice(backend, form, device_type)
    return form


@cache
def _log_choice(backend: str, form: str, device_type: str) -> None:
    """Log once per process which backend was chosen."""
    MMLogger.get_current_instance().info(
        f'dense CRF: backend {backend!r} is {form!r} on {device_type}'
    )


def _images_at_once(form: str, probs: Tensor, max_bytes: int) -> int:
    """Return the number of images that fit into memory, at least one."""
    num_classes, height, width = probs.shape[1:]
    num_points = height * width
    if form == 'torch-exact':
        # Half of the memory is for the kernel, half for making it.
        bytes_per_image = 2 * 4 * num_points**2
    else:
        bytes_per_image = lattice_bytes(num_points, num_classes)
    return max(1, max_bytes // bytes_per_image)


def _check_inputs(images: Tensor, probs: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            'images must be RGB of shape (B, 3, H, W), got '
            f'{tuple(images.shape)}'
        )
    if probs.ndim != 4 or 0 in probs.shape:
        raise ValueError(
            f'probs must have shape (B, K, H, W), got {tuple(probs.shape)}'
        )
    if (images.shape[0], *images.shape[2:]) != (
        probs.shape[0],
        *probs.shape[2:],
    ):
        raise ValueError(
            f'images {tuple(images.shape)} and probs {tuple(probs.shape)} '
            'differ in batch or size: resize one of them first'
        )
    # One transfer from the device for all checks; NaN wins in both.
    extremes = [
        torch.stack(tensor.aminmax()).to(probs.device, torch.float32)
        for tensor in (images, probs)
    ]
    darkest, brightest, least, most = torch.cat(extremes).tolist()
    if not (
        darkest >= -COLOUR_TOLERANCE and brightest <= 255 + COLOUR_TOLERANCE
    ):
        raise ValueError(
            'images must hold RGB in 0..255, got '
            f'{darkest:.4g}..{brightest:.4g}: undo the normalisation first'
        )
    if not (least >= 0 and most < float('inf')):
        bad = ~(probs >= 0) | probs.isinf()
        where = bad.flatten(1).any(1).nonzero().flatten().tolist()
        raise ValueError(
            f'probs must be finite and >= 0, got {least:.4g}..{most:.4g}, '
            f'in image(s) {where} of the batch'
        )


def pydensecrf_inference(
    unary: Tensor, kernels: Sequence[Kernel], iterations: int
) -> Tensor:
    """Return the marginals of pydensecrf, image by image on one CPU core.

    Args:
        unary: Energies -log p, float32, shape (B, N, K).
        kernels: Kernels with features of shape (B, N, d) or (1, N, d).
        iterations: Number of mean-field updates.

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
        for features, compat, _ in kernels:
            # A kernel that all images share has a batch of one.
            points = features[min(index, len(features) - 1)]
            crf.addPairwiseEnergy(_columns(points), compat=compat)
        q = np.array(crf.inference(iterations), dtype=np.float32)
        marginals.append(torch.from_numpy(q).T)
    return torch.stack(marginals).to(unary.device)


def _columns(rows: Tensor) -> np.ndarray:
    """Turn an (N, C) tensor into a contiguous (C, N) array."""
    return np.ascontiguousarray(rows.T.cpu().numpy(), dtype=np.float32)
