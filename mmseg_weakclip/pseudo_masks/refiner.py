"""Refine the scores of one image and write its mask: PAR, CRF, regions.

It takes scores from the test loop, or of what an earlier run stored; see
:mod:`.stored_cams` and :mod:`.seed_masks`. It is sent to worker processes.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.common.region_files import read_regions, region_path
from mmseg_weakclip.evaluation.areas import class_areas
from mmseg_weakclip.models.refine.crf_flips import (
    LIMIT,
    crf_uncertainty,
    flipping_pixels,
)
from mmseg_weakclip.models.refine.dense_crf import dense_crf, lattice_bytes
from mmseg_weakclip.models.refine.par import (
    DILATIONS,
    par_bytes,
    refine_by_pixels,
    resolve_par,
)
from mmseg_weakclip.models.refine.regions import (
    check_region_options,
    refine_by_regions,
)
from mmseg_weakclip.models.refine.sure_pixels import (
    check_sure_share,
    surest_pixels,
)
from mmseg_weakclip.models.refine.transport import transport_cams

from .lost_classes import keep_lost_classes
from .store import MaskStore, save_scores

# Memory of a GPU for the refinement of one image; more is done on the CPU,
# with the same result. Beside it, the scores of all classes are there.
DEVICE_BYTES = 8 * 2**30


@dataclass
class RefineTask:
    """Scores of one image and everything needed to write its mask.

    Attributes:
        image_path: File of the image.
        scores: Scores of n classes at the image's own size, (n, H, W).
        classes: Ids of those classes, (n,).
        truth: True class ids, (H, W); None if unknown.
        palette: RGB triple of each of the K classes.
        num_classes: K.
        folder: Folder of the :class:`MaskStore`.
        view: Colours of the image at another size, 0..255, (3, h, w), which
            are enlarged; None takes those of the file.
        least_scores: Score below which a pixel becomes ``ignore_index``,
            (H, W); None takes ``min_score`` of the refiner for all.
    """

    image_path: str
    scores: Tensor | np.ndarray
    classes: np.ndarray
    truth: np.ndarray | None
    palette: list
    num_classes: int
    folder: str
    view: Tensor | np.ndarray | None = None
    least_scores: np.ndarray | None = None


def set_up_worker() -> None:
    """Use one thread in this process; there is a process per processor."""
    torch.set_num_threads(1)


class Refiner:
    """Refine the scores of an image and write its mask.

    A refiner can be sent to another process. It works on the device of the
    scores, or on the CPU where that would take more than ``DEVICE_BYTES``.

    Args:
        par: Preset (``'par'``, ``'pamr'``) or arguments of
            ``refine_by_pixels``; None for no PAR.
        crf: Preset or arguments of the dense CRF, which runs after PAR; None
            for no CRF.
        crf_backend: See ``dense_crf``.
        min_score: Pixels whose best score is lower become ``ignore_index``.
        ignore_index: Id of ignored pixels, in the truth and in masks.
        score_stride: Side, in pixels, of the cells over which CAMs are
            averaged when they are stored beside the mask, see
            ``save_scores``; None stores none.
        regions: ``folder`` of the regions of all images, see
            ``weakclip regions``, and arguments of ``refine_by_regions``, which
            runs last; None for no regions.
        flips: Which pixels become ``ignore_index`` because their class
            changes with the CRF's trust in it: ``powers`` of
            ``crf_uncertainty`` and ``limit`` of ``flipping_pixels``, both with
            defaults; None for none.
        sure_share: Share of each class's pixels that keep their class, those
            of the largest margin at the end; see ``surest_pixels``. The
            others become ``ignore_index``. 1 keeps all.
        transport: Arguments of ``transport_cams``, by which the image's
            classes and its background compete for the pixels before PAR and
            the CRF; None for no transport.
        keep_lost: Folder of earlier masks of the images, from which a mask
            takes the classes of the image that it has lost; see
            :func:`keep_lost_classes`. None takes nothing.

    Raises:
        ValueError: ``flips`` without a CRF, or with other arguments; regions
            that do not exist; or ``sure_share`` is not in (0, 1].
    """

    def __init__(
        self,
        par: str | dict | None,
        crf: str | dict | None,
        crf_backend: str,
        min_score: float,
        ignore_index: int,
        score_stride: int | None = None,
        regions: dict | None = None,
        flips: dict | None = None,
        sure_share: float = 1.0,
        transport: dict | None = None,
        keep_lost: str | None = None,
    ) -> None:
        self.keep_lost = keep_lost
        check_sure_share(sure_share)
        self.transport = transport
        if transport is not None:
            check_options(
                'transport',
                transport,
                partial(transport_cams, torch.zeros(1, 2, 1, 1)),
            )
        self.sure_share = sure_share
        self.par = None if par is None else resolve_par(par)
        self.crf = crf
        self.crf_backend = crf_backend
        self.min_score = min_score
        self.ignore_index = ignore_index
        self.score_stride = score_stride
        self.regions = regions
        if regions is not None:
            check_region_options(regions, min_score, sure_share)
        self.flips = flips
        if flips is not None:
            _check_flips(flips, crf)

    @property
    def refines(self) -> bool:
        """Whether scores are refined before the argmax."""
        steps = self.par, self.crf, self.regions, self.transport
        return any(step is not None for step in steps)

    def refine_bytes(self, classes: int, height: int, width: int) -> int:
        """Return about how many bytes the refinement of an image takes."""
        pixels, needed = height * width, 0
        if self.par is not None:
            dilations = self.par.get('dilations', DILATIONS)
            needed = par_bytes(pixels, classes, dilations)
        if self.crf is not None:
            needed = max(needed, lattice_bytes(pixels, classes))
        return needed

    def __call__(self, task: RefineTask) -> dict[str, Any]:
        """Refine, write and score one image.

        Args:
            task: Scores of the image.

        Returns:
            Record of the image: ``id``; with truth, the areas of the classes
            that occur, by stage (``raw``, ``refined``); if regions refine,
            the number of them, ``regions``; and, if earlier masks are there
            for it, the classes that were ``lost``.

        Raises:
            ValueError: The scores do not have the size of the image, or its
                regions are missing, damaged or those of another image.
        """
        scores = torch.as_tensor(task.scores).float()
        if self.refine_bytes(*scores.shape) > DEVICE_BYTES:
            scores = scores.cpu()
        image_id = Path(task.image_path).stem
        record: dict[str, Any] = dict(id=image_id)
        stages = dict(raw=scores)
        unsure = None
        if self.refines:
            refined = scores
            if self.transport is not None:
                (refined,) = transport_cams(scores[None], **self.transport)
            if self.par is not None or self.crf is not None:
                images = _colors(task, scores)
                refined, unsure = self._refine(images, refined)
            if self.regions is not None:
                refined, record['regions'] = self._vote(task, refined)
            stages['refined'] = refined
        for stage, values in stages.items():
            mask = self._to_mask(values, task)
            if self.keep_lost is not None and stage == [*stages][-1]:
                earlier = Path(self.keep_lost, f'{image_id}.png')
                classes = task.classes.tolist()
                mask, record['lost'] = keep_lost_classes(
                    mask, classes, earlier
                )
            # Last: a class whose pixels are all unsure is not lost.
            if stage == 'refined' and unsure is not None:
                mask[unsure.cpu().numpy()] = self.ignore_index
            if task.truth is not None:
                record[stage] = _sparse(
                    class_areas(
                        mask, task.truth, task.num_classes, self.ignore_index
                    )
                )
        if self.sure_share < 1:
            sure = surest_pixels(values, self.sure_share)
            mask[~sure.cpu().numpy()] = self.ignore_index
        store = MaskStore(task.folder)
        if self.score_stride:
            own = task.classes > 0
            store.score_path(image_id).parent.mkdir(exist_ok=True)
            save_scores(
                store.score_path(image_id),
                scores[torch.from_numpy(own)],
                task.classes[own],
                self.score_stride,
            )
        store.write_mask(image_id, mask, task.palette)
        return record

    def _refine(
        self, images: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return scores after PAR and the CRF, and the unsure pixels."""
        batch, unsure = scores[None], None
        if self.par is not None:
            batch = refine_by_pixels(images, batch, **self.par)
        if self.crf is not None:
            colors = images.round().to(torch.uint8)
            before = batch
            batch = dense_crf(
                colors, before, self.crf, backend=self.crf_backend
            )
            if self.flips is not None:
                options = dict(self.flips)
                limit = options.pop('limit', LIMIT)
                spread = crf_uncertainty(
                    colors[0], before[0], batch[0].argmax(0), self.crf,
                    **options,
                )  # fmt: skip
                unsure = flipping_pixels(spread, limit)
        return batch[0], unsure

    def _vote(self, task: RefineTask, scores: Tensor) -> tuple[Tensor, int]:
        """Return scores refined by the regions of the image; their number."""
        options = dict(self.regions or {})
        path = region_path(options.pop('folder'), Path(task.image_path).stem)
        regions = read_regions(path, task.image_path)
        if regions.masks.shape[1:] != scores.shape[1:]:
            raise ValueError(
                f'{path} has regions of {regions.masks.shape[1:]} pixels, '
                f'{task.image_path} has {tuple(scores.shape[1:])}'
            )
        masks, levels = (
            torch.from_numpy(values).to(scores.device)
            for values in (regions.masks, regions.levels)
        )
        return refine_by_regions(scores, masks, levels, **options), len(masks)

    def _to_mask(self, scores: Tensor, task: RefineTask) -> np.ndarray:
        best, index = scores.max(0)
        mask = task.classes[index.cpu().numpy()].astype(np.uint8)
        least: float | np.ndarray = self.min_score
        if task.least_scores is not None:
            least = task.least_scores
        mask[best.cpu().numpy() < least] = self.ignore_index
        return mask


def _check_flips(options: dict, crf: str | dict | None) -> None:
    if crf is None:
        raise ValueError(
            f'flips={options} looks at how the CRF decides: set crf as well'
        )
    unknown = sorted(set(options) - {'powers', 'limit'})
    if unknown:
        raise ValueError(
            f'flips={options} has the unknown arguments {unknown}; there are '
            'powers and limit'
        )


def _colors(task: RefineTask, scores: Tensor) -> Tensor:
    """Return the image to refine by, 0..255, (1, 3, H, W)."""
    size = scores.shape[1:]
    if task.view is not None:
        # BGR or RGB, as the pipeline has it: no channel has a part of its own
        # in PAR or in the CRF.
        view = torch.as_tensor(task.view).to(scores.device).float()
        return F.interpolate(view[None], size, mode='bilinear')
    pixels = read_color_image(task.image_path)[..., ::-1].copy()
    if pixels.shape[:2] != size:
        raise ValueError(
            f'{task.image_path} has {pixels.shape[:2]} pixels, its scores '
            f'{tuple(size)}: the test pipeline must keep ori_shape'
        )
    image = torch.from_numpy(pixels).permute(2, 0, 1).to(scores.device)
    return image[None]


def _sparse(areas: np.ndarray) -> dict[str, list[int]]:
    """Turn areas (3, K) into counts of the classes that occur, for JSON."""
    return {str(k): areas[:, k].tolist() for k in np.flatnonzero(areas.any(0))}
