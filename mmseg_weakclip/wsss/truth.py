"""The user's own masks, which nothing but scores ever sees."""

from collections.abc import Sequence
from pathlib import Path

from .image_ids import ImageFinder
from .problems import WrongUse


def find_truth(folder: Path, images: Sequence[str]) -> dict[str, Path]:
    """The mask of each image that has one.

    Args:
        folder: Of PNGs, called like the images, in any folders.
        images: Relative paths of the images.

    Returns:
        Mask by path of the image.

    Raises:
        WrongUse: No such folder, no PNG in it, or none belongs to an image.
    """
    if not folder.is_dir():
        raise WrongUse(f'--truth {folder} is no folder')
    masks = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.suffix.lower() == '.png'
    )
    if not masks:
        raise WrongUse(f'--truth {folder} holds no PNG')
    finder = ImageFinder(images)
    found: dict[str, Path] = {}
    for mask in masks:
        image = finder.find(mask[: -len('.png')], f'--truth {folder}')
        if image is not None:
            found[image] = folder / mask
    if not found:
        raise WrongUse(
            f'--truth {folder}: no mask is called like an image; the first '
            f'mask is {masks[0]}, the first image {images[0]}'
        )
    return found
