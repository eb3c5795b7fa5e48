"""Check of one weakly labelled sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from mmengine import fileio

from mmseg_weakclip.common.images import read_color_image, read_image_size
from mmseg_weakclip.common.masks import (
    check_mask_ids,
    check_mask_size,
    ids_of_mask,
    map_mask,
    read_mask,
)

from .problems import Problem


@dataclass(frozen=True)
class SampleSpec:
    """Sample to check.

    Attributes:
        image_id: Stem of the image file.
        image_path: Path of the image.
        mask_path: Path of its seed or truth; None if it may not be opened.
        labels: Class ids of its image labels; None if they are unknown.
    """

    image_id: str
    image_path: str
    mask_path: str | None = None
    labels: frozenset[int] | None = None


@dataclass(frozen=True)
class CheckPlan:
    """What the samples of a split are checked for.

    Attributes:
        mask_role: 'seed', 'truth', or '' if masks are not opened.
        mask_required: Whether a missing mask is an error.
        allow_empty_mask: Whether all pixels of a mask may be ignored.
        class_names: Class names in the order of their ids.
        first_foreground: 1 with a background class, else 0.
        label_map: Class id of each mask id; empty if they are the same.
        ignore_index: Id of ignored pixels.
        backend_args: Arguments of mmengine's file backend.
    """

    mask_role: str = ''
    mask_required: bool = False
    allow_empty_mask: bool = False
    class_names: tuple[str, ...] = ()
    first_foreground: int = 1
    label_map: Mapping[int, int] = field(default_factory=dict)
    ignore_index: int = 255
    backend_args: dict | None = None

    @property
    def mask_ids(self) -> set[int]:
        """Ids that a mask may hold, before mapping."""
        return set(self.label_map or range(len(self.class_names)))


@dataclass(frozen=True)
class SampleReport:
    """Result of the check of a sample.

    Attributes:
        problems: Problems of the sample.
        mask_ids: Ids in the file of the mask without ignored ones; None if
            no mask was read.
    """

    problems: list[Problem]
    mask_ids: frozenset[int] | None = None


def check_sample(
    sample: SampleSpec, plan: CheckPlan, *, thorough: bool
) -> SampleReport:
    """Check the files of one sample.

    Args:
        sample: Sample to check.
        plan: What the sample is checked for.
        thorough: Whether to decode the image. Otherwise only its header is
            read, for its size.
    """
    problems: list[Problem] = []
    size = _check_image(sample, plan, problems, thorough=thorough)
    mask = _read_mask(sample, plan, problems)
    if sample.mask_path is None or mask is None:
        return SampleReport(problems)
    ids = frozenset(ids_of_mask(mask).tolist()) - {plan.ignore_index}
    try:
        if size is not None:
            check_mask_size(mask, sample.mask_path, size, sample.image_path)
    except ValueError as error:
        problems.append(_error('size-mismatch', sample, error))
    try:
        check_mask_ids(
            mask, sample.mask_path, plan.mask_ids, plan.ignore_index
        )
    except ValueError as error:
        problems.append(_error('mask-ids', sample, error))
    else:
        problems += _check_classes(
            map_mask(mask, plan.label_map), sample, plan
        )
    return SampleReport(problems, ids)


def check_existence(sample: SampleSpec, plan: CheckPlan) -> SampleReport:
    """Check that the files of one sample exist, without opening them."""
    problems = []
    if not fileio.exists(sample.image_path, plan.backend_args):
        problems.append(_missing_image(sample))
    if sample.mask_path is not None and not fileio.exists(
        sample.mask_path, plan.backend_args
    ):
        problems += _missing_mask(sample, plan)
    return SampleReport(problems)


def _error(kind: str, sample: SampleSpec, error: object) -> Problem:
    return Problem(kind, 'error', sample.image_id, str(error))


def _missing_image(sample: SampleSpec) -> Problem:
    return _error(
        'missing-image',
        sample,
        f'The image {sample.image_path} does not exist.',
    )


def _missing_mask(sample: SampleSpec, plan: CheckPlan) -> list[Problem]:
    if not plan.mask_required:
        return []
    message = f'The {plan.mask_role} {sample.mask_path} does not exist.'
    return [_error(f'missing-{plan.mask_role}', sample, message)]


def _check_image(
    sample: SampleSpec,
    plan: CheckPlan,
    problems: list[Problem],
    *,
    thorough: bool,
) -> tuple[int, int] | None:
    """Return height and width of the image, or None and add a problem."""
    try:
        if thorough:
            image = read_color_image(sample.image_path, plan.backend_args)
            return image.shape[:2]
        return read_image_size(sample.image_path, plan.backend_args)
    except FileNotFoundError:
        problems.append(_missing_image(sample))
    except (OSError, ValueError) as error:
        problems.append(_error('unreadable-image', sample, error))
    return None


def _read_mask(
    sample: SampleSpec, plan: CheckPlan, problems: list[Problem]
) -> np.ndarray | None:
    """Return the mask of the sample; None without one, or add a problem."""
    if sample.mask_path is None:
        return None
    try:
        return read_mask(sample.mask_path, plan.backend_args)
    except FileNotFoundError:
        problems += _missing_mask(sample, plan)
    except (OSError, ValueError) as error:
        problems.append(_error('unreadable-mask', sample, error))
    return None


def _check_classes(
    mask: np.ndarray, sample: SampleSpec, plan: CheckPlan
) -> list[Problem]:
    """Compare the classes in a mask with each other and with the labels."""
    shown = set(ids_of_mask(mask).tolist()) - {plan.ignore_index}
    problems = []
    if not shown and not plan.allow_empty_mask:
        message = (
            f'The {plan.mask_role} {sample.mask_path} has only ignored pixels.'
        )
        problems.append(_error(f'empty-{plan.mask_role}', sample, message))
    if sample.labels is None:
        return problems
    objects = {i for i in shown if i >= plan.first_foreground}
    is_truth = plan.mask_role == 'truth'
    if extra := objects - sample.labels:
        # Masks and labels of truth may come from different annotators.
        problems.append(
            Problem(
                f'{plan.mask_role}-not-in-labels',
                'warning' if is_truth else 'error',
                sample.image_id,
                f'The {plan.mask_role} {sample.mask_path} shows '
                f'{_names(extra, plan)}, which the image labels lack.',
            )
        )
    if is_truth and (absent := sample.labels - objects):
        problems.append(
            Problem(
                'label-not-in-truth',
                'warning',
                sample.image_id,
                f'The image is labelled {_names(absent, plan)}, which the '
                f'truth {sample.mask_path} does not show.',
            )
        )
    return problems


def _names(ids: set[int] | frozenset[int], plan: CheckPlan) -> str:
    return ', '.join(plan.class_names[i] for i in sorted(ids))
