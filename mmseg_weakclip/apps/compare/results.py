"""What the runs of a comparison have made, read from their folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.run_folder.store import RunFolder, read_run
from mmseg_weakclip.common.masks import (
    check_mask_ids,
    check_mask_size,
    read_mask,
)

from .contenders import LAST, Contender

# Stage that every run has, and that takes the same time for all.
DATA_STAGE = 'data'


@dataclass(frozen=True)
class Result:
    """The run of one method.

    Attributes:
        contender: The method.
        run: Its run.
        images: Images with a mask, by the user's path.
    """

    contender: Contender
    run: RunFolder
    images: dict[str, RunImage]

    @property
    def training_seconds(self) -> float:
        """Duration of the method's trainings."""
        return sum(
            stage.seconds or 0
            for stage in self.run.stages
            if stage.name in self.contender.trainings
        )

    @property
    def seconds_per_photo(self) -> float:
        """Duration of the other stages, by photo, without the data."""
        names = [stage.name for stage in self.run.stages]
        others = sum(
            stage.seconds or 0
            for stage in self.run.stages[: names.index(LAST) + 1]
            if stage.name not in (DATA_STAGE, *self.contender.trainings)
        )
        return others / max(1, len(self.images))

    @property
    def trained_on(self) -> int:
        """Number of photos that the method's trainings have seen."""
        if not self.contender.trainings:
            return 0
        return sum(image.split == 'train' for image in self.run.images)

    def mask(self, path: str) -> np.ndarray:
        """Return the mask of a photo, class ids, uint8, (H, W).

        Raises:
            UserError: It is damaged, of another size, or has unknown ids.
        """
        image = self.images[path]
        return _read(self.run, image, self.run.mask_path(LAST, image.id))

    def truth(self, path: str) -> np.ndarray | None:
        """Return the user's mask of a photo; None without one.

        Raises:
            UserError: It is damaged, or has unknown ids.
        """
        image = self.images[path]
        file = self.run.truth_path(image)
        return None if file is None else _read(self.run, image, file)


def read_results(contenders: Sequence[Contender]) -> list[Result]:
    """Read the runs of all methods, which must have made their masks.

    Raises:
        RunError: A file of a run is damaged.
    """
    results = []
    for one in contenders:
        run = read_run(one.folder)
        images = {
            image.source: image
            for image in run.images
            if run.mask_path(LAST, image.id).is_file()
        }
        results.append(Result(one, run, images))
    return results


def common_photos(
    results: Sequence[Result], chosen: Sequence[str]
) -> list[str]:
    """Return the chosen photos of which every method has made a mask.

    Raises:
        UserError: There are none.
    """
    common = [
        path
        for path in chosen
        if all(path in result.images for result in results)
    ]
    if not common:
        counts = ', '.join(
            f'{result.contender.title} '
            f'{sum(path in result.images for path in chosen)}'
            for result in results
        )
        raise UserError(
            f'no photo has a mask by every method (of {len(chosen)}: {counts})'
        )
    return common


def _read(run: RunFolder, image: RunImage, path: Path) -> np.ndarray:
    try:
        mask = read_mask(str(path))
        check_mask_size(
            mask, str(path), image.size, str(run.image_path(image))
        )
        check_mask_ids(mask, str(path), range(len(run.classes)))
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    return mask.astype(np.uint8)
