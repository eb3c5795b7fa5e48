"""Class activation maps: normalise, gate, add a background, make seeds.

Nothing here uses ground truth; thresholds and powers are arguments.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from mmseg_weakclip.common.options import check_options


def normalize_cam(
    cam: Tensor,
    mode: str = 'minmax',
    eps: float = 1e-6,
    others: Tensor | None = None,
) -> Tensor:
    """Scale each map to [0, 1] by its own extremes.

    Args:
        cam: Maps of any scale, shape (..., H, W).
        mode: ``'minmax'`` takes the minimum to 0 and the maximum to 1;
            ``'max'`` cuts negative values and divides by the maximum.
        eps: A map whose range is at most this share of its largest
            magnitude is constant but for rounding errors, and becomes zero.
            (Relative, since gradients of a confident class are tiny.) In mode
            ``'max'`` the range starts at 0, so a positive constant becomes
            one.
        others: Further values of each map that count among its extremes,
            such as that of the class token, shape (..., n).

    Returns:
        Shape of ``cam``. NaN stays NaN.

    Raises:
        ValueError: ``mode`` is unknown.
    """
    values = cam.flatten(-2)
    if others is not None:
        values = torch.cat([values, others], -1)
    top = values.amax(-1)[..., None, None]
    scale = values.abs().amax(-1)[..., None, None]
    if mode == 'minmax':
        least = values.amin(-1)[..., None, None]
        cam, top = cam - least, top - least
    elif mode == 'max':
        cam, top = cam.clamp(min=0), top.clamp(min=0)
    else:
        raise ValueError(f"mode must be 'minmax' or 'max', got {mode!r}")
    flat = top <= eps * scale
    return torch.where(flat, 0, cam / torch.where(flat, 1, top))


def gate_by_labels(
    cam: Tensor, image_labels: Sequence[Sequence[int]]
) -> Tensor:
    """Zero the maps of classes that an image does not have.

    Args:
        cam: Maps, shape (B, K, H, W).
        image_labels: Channels of the classes of each image, 0..K-1.

    Returns:
        Shape of ``cam``, a new tensor.

    Raises:
        ValueError: There are not B sets of labels, or one names a channel
            that the maps do not have.
    """
    if len(image_labels) != len(cam):
        raise ValueError(
            f'{len(cam)} images come with {len(image_labels)} sets of labels'
        )
    num_classes = cam.shape[1]
    present = torch.zeros(len(cam), num_classes, dtype=torch.bool)
    for index, labels in enumerate(image_labels):
        for label in labels:
            if not 0 <= label < num_classes:
                raise ValueError(
                    f'image {index} of the batch has label {label}, but the '
                    f'maps have channels 0..{num_classes - 1}'
                )
            present[index, label] = True
    # where, not a product: 0 * inf of an absent class would be NaN.
    return torch.where(present.to(cam.device)[..., None, None], cam, 0)


def background_score(
    cams: Tensor, threshold: float | None = None, power: float | None = None
) -> Tensor:
    """Return a background score to put before the maps of the classes.

    Args:
        cams: Foreground maps in [0, 1], shape (B, K, H, W), K >= 1.
        threshold: A constant score in [0, 1]: a pixel is background where no
            map exceeds it.
        power: Exponent a > 0 of (1 - max cam)^a (CLIP-ES, CVPR 2023; also
            AffinityNet, CVPR 2018). A larger one leaves less background.

    Returns:
        Shape (B, 1, H, W). ``cat([background_score(cams), cams], 1)`` are
        scores of background and classes.

    Raises:
        ValueError: Not exactly one of ``threshold`` and ``power`` is given,
            ``threshold`` is not in [0, 1], or ``power`` is not positive.
    """
    if (threshold is None) == (power is None):
        raise ValueError(
            'give either threshold or power, got '
            f'threshold={threshold}, power={power}'
        )
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'threshold={threshold} must be in [0, 1]')
        return torch.full_like(cams[:, :1], threshold)
    if not power > 0:
        raise ValueError(f'power must be > 0, got {power}')
    # clamp: rounding may lift a resized map over 1, and (-0.)^0.5 is NaN.
    return (1 - cams.amax(1, keepdim=True)).clamp(min=0) ** power


def check_background(options: Mapping[str, float | None]) -> None:
    """Check the arguments of :func:`background_score` in a config.

    Raises:
        ValueError: There is no such argument, or one has a wrong value.
    """
    check_options(
        'background',
        options,
        partial(background_score, torch.zeros(1, 1, 1, 1)),
    )


def cam_to_seed(
    scores: Tensor,
    min_confidence: float | None = None,
    ignore_index: int = 255,
) -> Tensor:
    """Return the class of highest score; ties go to the lowest class id.

    Args:
        scores: Scores of background and classes, shape (B, 1 + K, H, W).
        min_confidence: Pixels whose highest score is below become
            ``ignore_index``. CLIP-ES has 0.95 on the marginals of its CRF
            (confidence-guided loss).
        ignore_index: Id of ignored pixels.

    Returns:
        Class ids, int64, shape (B, H, W).
    """
    confidence, seed = scores.max(dim=1)
    if min_confidence is None:
        return seed
    return seed.masked_fill(confidence < min_confidence, ignore_index)


def two_threshold_seed(
    cams: Tensor,
    low: float | Tensor,
    high: float | Tensor,
    ignore_index: int = 255,
) -> Tensor:
    """Return seeds with an ignored band between foreground and background.

    AffinityNet (CVPR 2018) learns from such seeds, made with two powers:
    ``low = background_score(cams, power=12)`` and ``high =
    background_score(cams, power=1)`` in MCTformer's recipe for it; IRN (CVPR
    2019) has two constants. Where both scores are the same, the seed is
    ``cam_to_seed(cat([low, cams], 1))``.

    Args:
        cams: Foreground maps, shape (B, K, H, W).
        low: Background score, constant or of shape (B, 1, H, W); pixels
            whose maps all stay at or below it are background, id 0.
        high: Second background score, >= ``low``; pixels with a map above it
            get the id of their highest map, 1..K.
        ignore_index: Id of the pixels between the two.

    Returns:
        Class ids, int64, shape (B, H, W).

    Raises:
        ValueError: ``low`` exceeds ``high`` somewhere.
    """
    if bool((torch.as_tensor(low) > torch.as_tensor(high)).any()):
        raise ValueError(
            'low must not exceed high: the scores of the background are '
            'swapped'
        )
    top, best = cams.max(dim=1, keepdim=True)
    unsure = torch.full_like(best, ignore_index).masked_fill(top <= low, 0)
    return torch.where(top > high, best + 1, unsure)[:, 0]
