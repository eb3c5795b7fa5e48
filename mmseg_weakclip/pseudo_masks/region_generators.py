"""Generators of regions: superpixels, SAM, and pipelines of Hugging Face.

A generator is a function of an RGB image, uint8, (H, W, 3), to
:class:`Regions`, or to the region of each pixel, (H, W), where they are a
partition. Superpixels are, and need no weights.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmseg_weakclip.common.region_files import Regions
from mmseg_weakclip.datasets.captions.superpixels import (
    felzenszwalb_superpixels,
)
from mmseg_weakclip.models.clip.weight_files.reading import read_state_dict

Generator = Callable[[np.ndarray], Regions | np.ndarray]
GENERATORS = ('slic', 'felzenszwalb', 'sam', 'hf')
# Level of the masks of SAM's three outputs: subpart, part, whole.
WHOLE = 2


def require_scikit_image() -> None:
    """Check that superpixels can be found.

    Raises:
        ImportError: scikit-image is not installed.
    """
    if find_spec('skimage') is None:
        raise ImportError(
            'superpixels need scikit-image: pip install '
            "'mmseg_weakclip[segclip]'"
        )


def slic_regions(
    image: np.ndarray, count: int = 150, compactness: float = 10.0
) -> np.ndarray:
    """Return superpixels of k-means in place and colour, ids from 0, (H, W).

    Source: Achanta et al., "SLIC superpixels compared to state-of-the-art
    superpixel methods", TPAMI 2012; scikit-image's.

    Args:
        image: RGB, uint8, (H, W, 3).
        count: About how many.
        compactness: Weight of place beside colour.

    Raises:
        ImportError: scikit-image is not installed.
    """
    require_scikit_image()
    from skimage.segmentation import slic

    return slic(
        image, n_segments=count, compactness=compactness, start_label=0
    )


def felzenszwalb_regions(
    image: np.ndarray,
    scale: float = 200.0,
    sigma: float = 0.8,
    min_size: int = 100,
) -> np.ndarray:
    """Return superpixels of a graph of pixels, ids from 0, (H, W).

    Source: Felzenszwalb and Huttenlocher, "Efficient graph-based image
    segmentation", IJCV 2004; scikit-image's.

    Args:
        image: RGB, uint8, (H, W, 3).
        scale: Preference for large ones.
        sigma: Deviation of the Gaussian that smooths the image, in pixels.
        min_size: Smallest number of pixels.

    Raises:
        ImportError: scikit-image is not installed.
    """
    # Which takes BGR images, and reduces none to their own size.
    return felzenszwalb_superpixels(
        image[..., ::-1], scale, sigma, min_size, short_side=max(image.shape)
    )


def regions_of_sam(found: list[dict[str, Any]], size: tuple) -> Regions:
    """Return the masks of a ``SamAutomaticMaskGenerator``.

    It does not say which of a point's three masks one is: a mask within
    which others lie has a higher level than they.

    Args:
        found: Its dicts, with 'segmentation' and 'predicted_iou'.
        size: H and W of the image.
    """
    masks = [one['segmentation'] for one in found]
    scores = [one.get('predicted_iou', 1.0) for one in found]
    return Regions.of_masks(masks, size, scores, nesting_levels(masks))


def nesting_levels(masks: list[np.ndarray], inside: float = 0.9) -> list[int]:
    """Return 1 + the highest level of what lies in a mask, 0 without any.

    Args:
        masks: Masks, bool, (H, W) each.
        inside: Share of a smaller mask that must be in the larger one. Masks
            of nearly one size are not within each other.
    """
    areas = [int(mask.sum()) for mask in masks]
    levels = [0] * len(masks)
    order = sorted(np.flatnonzero(areas), key=areas.__getitem__)
    for position, large in enumerate(order):
        for small in order[:position]:
            if areas[small] > inside * areas[large]:
                continue
            shared = np.count_nonzero(masks[small] & masks[large])
            if shared >= inside * areas[small]:
                level = min(levels[small] + 1, WHOLE)
                levels[large] = max(levels[large], level)
    return levels


def sam_generator(
    weights: str, model: str = 'vit_h', device: str = 'cpu', **options
) -> Generator:
    """Return SAM's automatic mask generator.

    Args:
        weights: File of Meta's weights, such as ``sam_vit_h_4b8939.pth``.
        model: ``'vit_h'``, ``'vit_l'`` or ``'vit_b'``.
        device: Device to run on.
        options: Arguments of ``SamAutomaticMaskGenerator``.

    Raises:
        ImportError: segment-anything is not installed.
        ValueError: The file is missing or damaged, or holds the weights of
            another model; or there is no such model.
    """
    try:
        import segment_anything
    except ImportError as error:
        raise ImportError(
            'regions of SAM need segment-anything: pip install '
            "'mmseg_weakclip[sam]'"
        ) from error
    if not Path(weights).is_file():
        raise ValueError(
            f'the weights {weights} of SAM do not exist: download '
            'sam_vit_h_4b8939.pth (2.4 GB) from '
            'https://github.com/facebookresearch/segment-anything and give '
            'it by --weights'
        )
    registry = segment_anything.sam_model_registry
    if model not in registry:
        raise ValueError(
            f'SAM has no model {model!r}; there are {sorted(registry)}'
        )
    network = registry[model]()
    try:
        network.load_state_dict(read_state_dict(Path(weights)))
    except RuntimeError as error:
        raise ValueError(
            f'{weights} does not hold the weights of SAM {model}; --model '
            f'chooses another ({str(error).splitlines()[-1].strip()[:200]})'
        ) from error
    return sam_regions(network.to(device).eval(), **options)


def sam_regions(network: Any, **options) -> Generator:
    """Return the generator of a SAM that is there already."""
    from segment_anything import SamAutomaticMaskGenerator

    generator = SamAutomaticMaskGenerator(network, **options)

    def find(image: np.ndarray) -> Regions:
        return regions_of_sam(generator.generate(image), image.shape[:2])

    return find


def hf_generator(model: str, device: str = 'cpu', **options) -> Generator:
    """Return a mask-generation pipeline of transformers (SAM, SAM 2, SAM 3).

    Args:
        model: Repository of Hugging Face, or a folder.
        device: Device to run on.
        options: Arguments of the pipeline's call.

    Raises:
        ImportError: transformers is not installed.
    """
    try:
        from transformers import pipeline
    except ImportError as error:
        raise ImportError(
            'a pipeline of Hugging Face needs transformers: pip install '
            "'mmseg_weakclip[hf]'"
        ) from error
    run = pipeline('mask-generation', model=model, device=device)
    return partial(pipeline_regions, run=run, options=options)


def pipeline_regions(
    image: np.ndarray, run: Callable, options: dict[str, Any]
) -> Regions:
    """Return the regions that a mask-generation pipeline finds."""
    from PIL import Image

    found = run(Image.fromarray(image), **options)
    masks = [np.asarray(mask, bool) for mask in found['masks']]
    scores = [float(score) for score in found['scores']]
    return Regions.of_masks(
        masks, image.shape[:2], scores, nesting_levels(masks)
    )


def reduce_first(generator: Generator, longest: int | None) -> Generator:
    """Find regions in a smaller copy of a large image.

    Args:
        generator: Generator of regions.
        longest: Longest side of the copy, in pixels; None keeps the image.
    """
    if longest is None:
        return generator

    def find(image: np.ndarray) -> Regions | np.ndarray:
        height, width = image.shape[:2]
        factor = longest / max(height, width)
        if factor >= 1:
            return generator(image)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        found = generator(small)

        def enlarge(ids: np.ndarray) -> np.ndarray:
            return cv2.resize(
                ids, (width, height), interpolation=cv2.INTER_NEAREST
            )

        if isinstance(found, np.ndarray):
            return enlarge(found.astype(np.int32))
        masks = [enlarge(mask.view(np.uint8)) for mask in found.masks]
        return Regions.of_masks(
            masks, (height, width), found.scores, found.levels
        )

    return find
