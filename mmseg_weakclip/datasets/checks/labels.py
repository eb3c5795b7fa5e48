"""Checks of the image labels and of the id encoding of masks."""

from collections.abc import Iterable, Sequence

from mmseg.datasets import BaseSegDataset

from mmseg_weakclip.datasets.coco import WeakCOCO14Dataset
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels
from mmseg_weakclip.datasets.masks.coco_encoding import (
    MaskIds,
    find_coco_encoding,
    outside_encoding,
)
from mmseg_weakclip.datasets.transforms import LoadImageLabels, find_transform

from .problems import Problem, Severity
from .sample import SampleReport, SampleSpec


def load_labels(
    dataset: BaseSegDataset,
) -> tuple[ImageLabels | None, list[Problem]]:
    """Load the image labels that the pipeline of a data set loads.

    Returns:
        The labels, None if there are none or they cannot be read, and the
        problems of the label file.
    """
    loader = find_transform(dataset.pipeline, LoadImageLabels)
    if loader is None:
        return None, []
    try:
        return loader.load(dataset.metainfo['classes']), []
    except (OSError, ValueError) as error:
        problem = Problem('label-file', 'error', loader.ann_file, str(error))
        return None, [problem]


def check_labels(
    dataset: BaseSegDataset, labels: ImageLabels, image_ids: Iterable[str]
) -> list[Problem]:
    """Check that every image has labels.

    Args:
        dataset: Data set to check.
        labels: Labels that its pipeline loads.
        image_ids: Ids of its images.
    """
    loader = find_transform(dataset.pipeline, LoadImageLabels)
    may_be_empty = loader is not None and loader.allow_empty
    problems = []
    for image_id in image_ids:
        if image_id not in labels:
            message = f'{labels.source} does not name the image.'
            problems.append(
                Problem('missing-labels', 'error', image_id, message)
            )
        elif not labels[image_id]:
            severity: Severity = 'warning' if may_be_empty else 'error'
            message = f'{labels.source} gives the image no class.'
            problems.append(
                Problem('empty-labels', severity, image_id, message)
            )
    return problems


def check_encoding(
    dataset: WeakCOCO14Dataset,
    samples: Sequence[SampleSpec],
    reports: Sequence[SampleReport],
) -> list[Problem]:
    """Check that all masks of COCO are in the assumed encoding.

    If the user has set the encoding, a contradiction is only a warning:
    networks over 91 ids may predict ids that COCO never uses.

    Args:
        dataset: Data set to check.
        samples: Samples of the data set.
        reports: Report of each sample.
    """
    names = dataset.metainfo['classes']
    masks = [
        MaskIds(
            sample.mask_path,
            report.mask_ids,
            None
            if sample.labels is None
            else frozenset(names[i] for i in sample.labels),
        )
        for sample, report in zip(samples, reports)
        if report.mask_ids is not None and sample.mask_path is not None
    ]
    message = ''
    assumed = dataset.mask_encoding
    try:
        found = find_coco_encoding(masks)
    except ValueError as error:
        message = str(error)
    else:
        if found not in (None, assumed):
            outside = outside_encoding(masks, assumed) if assumed else masks
            example = f', e.g. {outside[0].path}' if outside else ''
            message = (
                f'{len(outside)} masks have ids that the {assumed} encoding '
                f'lacks{example}; they look like {found}.'
            )
    if not message:
        return []
    is_guess = dataset.label_encoding == 'auto'
    severity: Severity = 'error' if is_guess else 'warning'
    folder = dataset.data_prefix['seg_map_path']
    return [Problem('label-encoding', severity, folder, message)]
