"""Check of a weakly labelled data set before training on it.

Of a training split only seeds are opened, and only where its pipeline loads
them with LoadSeed; pixel truth stays closed.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations

from mmseg_weakclip.common.names import split_background
from mmseg_weakclip.datasets.captions.dataset import CaptionDataset
from mmseg_weakclip.datasets.captions.stream import WebDatasetCaptions
from mmseg_weakclip.datasets.coco import WeakCOCO14Dataset
from mmseg_weakclip.datasets.masks.transforms import (
    LoadSeed,
    LoadTruthIfPresent,
)
from mmseg_weakclip.datasets.transforms import find_transform, image_id_of

from .captions import captioned_images, check_caption_set, check_shards
from .labels import check_encoding, check_labels, load_labels
from .problems import Problem
from .sample import (
    CheckPlan,
    SampleReport,
    SampleSpec,
    check_existence,
    check_sample,
)

# Samples per message to a process of the pool.
CHUNK = 16


def base_datasets(dataset: Any) -> Iterator[BaseSegDataset]:
    """Yield the data sets inside ConcatDataset, RepeatDataset and so on."""
    parts = getattr(dataset, 'datasets', None)
    for name in ('dataset', '_dataset'):
        if parts is None and hasattr(dataset, name):
            parts = [getattr(dataset, name)]
    if parts is None:
        yield dataset
        return
    for part in parts:
        yield from base_datasets(part)


def count_samples(dataset: Any) -> int:
    """Count the images, or shards of images, that a check looks at."""
    total = 0
    for part in base_datasets(dataset):
        if isinstance(part, WebDatasetCaptions):
            total += len(part.shards)
        elif isinstance(part, CaptionDataset):
            total += len(captioned_images(part))
        else:
            total += len(part)
    return total


def check_dataset(
    dataset: Any,
    *,
    thorough: bool = True,
    num_masks: int = 100,
    num_workers: int = 0,
    on_sample: Callable[[], object] = lambda: None,
) -> list[Problem]:
    """Check a data set that was built.

    Args:
        dataset: Data set of mmseg or of captions, possibly in wrappers.
        thorough: Whether to decode every image and mask. Otherwise all files
            must exist, and only the first masks are opened.
        num_masks: Number of masks to open if the check is not thorough.
        num_workers: Number of processes; 0 checks in this one.
        on_sample: Called after each sample, or shard of samples, e.g. to
            move a progress bar.

    Returns:
        Problems of the set, then of its labels, then of each sample in
        order.
    """
    problems: list[Problem] = []
    for part in base_datasets(dataset):
        if isinstance(part, WebDatasetCaptions):
            problems += check_shards(
                part, thorough=thorough, on_shard=on_sample
            )
            continue
        if isinstance(part, CaptionDataset):
            problems += check_caption_set(part)
            # It looked for the files when it was built.
            plan = CheckPlan(backend_args=part.backend_args)
            images = captioned_images(part) if thorough else []
            for report in check_samples(
                images,
                plan,
                thorough=True,
                opened=len(images),
                num_workers=num_workers,
            ):
                problems += report.problems
                on_sample()
            continue
        plan = make_plan(part)
        problems += check_set(part, plan)
        infos = [part.get_data_info(i) for i in range(len(part))]
        image_ids = [image_id_of(info) for info in infos]
        labels, found = load_labels(part)
        problems += found
        if labels is not None:
            problems += check_labels(part, labels, image_ids)
        samples = [
            SampleSpec(
                image_id,
                info['img_path'],
                info.get('seg_map_path') if plan.mask_role else None,
                frozenset(i + plan.first_foreground for i in labels[image_id])
                if labels is not None and image_id in labels
                else None,
            )
            for image_id, info in zip(image_ids, infos)
        ]
        opened = num_masks if plan.mask_role else 0
        reports = []
        for report in check_samples(
            samples,
            plan,
            thorough=thorough,
            opened=len(samples) if thorough else opened,
            num_workers=num_workers,
        ):
            problems += report.problems
            reports.append(report)
            on_sample()
        if isinstance(part, WeakCOCO14Dataset):
            problems += check_encoding(part, samples, reports)
    return problems


def check_samples(
    samples: Sequence[SampleSpec],
    plan: CheckPlan,
    *,
    thorough: bool,
    opened: int,
    num_workers: int = 0,
) -> Iterator[SampleReport]:
    """Check samples; open the files of the first ones.

    Args:
        samples: Samples to check.
        plan: What the samples are checked for.
        thorough: Whether to decode the images of the opened samples.
        opened: Number of samples to open; the files of the others must only
            exist.
        num_workers: Number of processes; 0 checks in this one.

    Yields:
        The report of each sample, in order.
    """
    check = functools.partial(check_sample, plan=plan, thorough=thorough)
    if num_workers:
        with ProcessPoolExecutor(num_workers) as pool:
            yield from pool.map(check, samples[:opened], chunksize=CHUNK)
    else:
        yield from map(check, samples[:opened])
    for sample in samples[opened:]:
        yield check_existence(sample, plan)


def make_plan(dataset: BaseSegDataset) -> CheckPlan:
    """Decide what the samples of a data set are checked for."""
    classes = tuple(dataset.metainfo['classes'])
    seed = find_transform(dataset.pipeline, LoadSeed)
    loader = seed or find_transform(dataset.pipeline, LoadAnnotations)
    role = ''
    if seed is not None:
        role = 'seed'
    elif loader is not None and dataset.test_mode:
        role = 'truth'
    return CheckPlan(
        mask_role=role,
        mask_required=not isinstance(loader, LoadTruthIfPresent),
        allow_empty_mask=seed is None or seed.allow_empty,
        class_names=classes,
        first_foreground=split_background(classes)[1],
        label_map=dataset.label_map or {},
        ignore_index=dataset.ignore_index,
        backend_args=dataset.backend_args,
    )


def check_set(dataset: BaseSegDataset, plan: CheckPlan) -> list[Problem]:
    """Check the list and the pipeline of a data set.

    Args:
        dataset: Data set to check.
        plan: What its samples are checked for.
    """
    problems = [
        Problem(
            'repeated-id',
            'warning',
            image_id,
            f'{dataset.ann_file} lists it {count} times; it is taken once.',
        )
        for image_id, count in getattr(dataset, 'repeated_ids', {}).items()
    ]
    problems += [
        Problem(
            'skipped-image',
            'warning',
            image_id,
            'The labels give it no class; skip_unlabelled leaves it out.',
        )
        for image_id in getattr(dataset, 'skipped_ids', ())
    ]
    if dataset.test_mode or plan.mask_role:
        return problems
    name = type(dataset).__name__
    if find_transform(dataset.pipeline, LoadTruthIfPresent) is not None:
        message = 'The training pipeline has LoadTruthIfPresent; remove it.'
        problems.append(Problem('truth-in-training', 'error', name, message))
    elif find_transform(dataset.pipeline, LoadAnnotations) is not None:
        message = (
            'The training pipeline reads masks with LoadAnnotations. They '
            'may be pixel truth and were not opened; load seeds with '
            'LoadSeed.'
        )
        problems.append(Problem('unchecked-masks', 'warning', name, message))
    return problems
