"""What a run has understood of the user's data, in lines to read."""

import os
from collections import Counter
from collections.abc import Sequence

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.wsss.options import CHECKED, Options
from mmseg_weakclip.apps.wsss.outside.source import OutsideMasks
from mmseg_weakclip.apps.wsss.outside.veto import (
    RESTS,
    choose_rest,
    own_ids,
)
from mmseg_weakclip.datasets.held_out import HELD_OUT_SHARE, held_out_ids

from .classes import ClassList
from .given import Sources, list_images
from .prepare import Prepared

# A class with fewer training images than this is named.
FEW_IMAGES = 5
SHOWN = 3
NAMED = 10


def describe_sources(sources: Sources, options: Options) -> list[str]:
    """Return what was understood, before anything is done.

    Args:
        sources: Images, labels and masks of the user.
        options: Options of the user.
    """
    labelling = sources.labelling
    images = list_images(sources)
    source = os.path.relpath(options.labels)
    if source.startswith(os.pardir):
        source = options.labels
    lines = [f'labels: {source}, read as {labelling.kind}']
    lines += [f'  {note}' for note in labelling.notes]
    lines += [
        f'  for example {image}: {", ".join(names)}'
        for image, names in labelling.examples
    ]
    lines.append(describe_splits(images))
    for what, rest, paths in (
        ('image', 'not in the labels', labelling.unnamed),
        ('image', 'in the labels without a class', labelling.empty),
        ('image', 'in the labels but not in the folder', labelling.absent),
    ):
        if paths:
            lines.append(
                f'  {count(len(paths), what)} {rest}: {_shown(paths)}'
            )
    lines += [f'  {line}' for line in sources.left_out]
    if sources.truth:
        number = len(sources.truth)
        lines.append(f'masks: {count(number, "image")}, for scores only')
    else:
        lines.append(
            'masks: none to score with'
            + ('' if sources.val else ', so no image is kept for validation')
        )
    if sources.outside is not None:
        lines += describe_outside(
            sources.outside, images, sources.classes, options.seed_rest
        )
    lines += describe_classes(images, sources.classes)
    if options.method in CHECKED:
        lines += describe_unlearnable(images, sources.classes)
    return lines


def describe_outside(
    masks: OutsideMasks,
    images: Sequence[RunImage],
    classes: ClassList,
    rest: str | None,
) -> list[str]:
    """Return what was understood of the masks of another tool.

    Args:
        masks: Masks of the other tool.
        images: All images.
        classes: All classes.
        rest: What the user says of pixels of no class, or None.
    """
    source = os.path.relpath(masks.path)
    if source.startswith(os.pardir):
        source = str(masks.path)
    labelled = [image.source for image in images if image.labels]
    missing = [path for path in labelled if path not in masks.images]
    useless = len(masks.images) - (len(labelled) - len(missing))
    lines = [
        f'seeds: {source}, read as {masks.title}: '
        f'{count(len(labelled) - len(missing), "image")} with a mask',
        *(f'  {note}' for note in masks.notes),
        f'  pixels of no class: {RESTS[choose_rest(masks, rest)]} '
        '(--seed-rest)',
    ]
    if missing:
        lines.append(
            f'  {count(len(missing), "labelled image")} without a mask: '
            f'{_shown(missing)}'
        )
    if useless:
        lines.append(
            f'  {count(useless, "image")} without labels, whose masks are not '
            'used: nothing could veto them'
        )
    unknown = [
        name
        for name, own in zip(
            masks.names, own_ids(masks.names, classes.names[1:])
        )
        if own is None
    ]
    if unknown:
        lines.append(
            '  no class of the run, so that their pixels are unsure: '
            + ', '.join(
                f'{name} (did you mean {near[0]}?)' if near else name
                for name in unknown[:NAMED]
                for near in [classes.index.nearest(name)]
            )
            + (f' and {len(unknown) - NAMED} more' if unknown[NAMED:] else '')
        )
    return lines


def describe_splits(images: Sequence[RunImage]) -> str:
    """Return how many images there are, and what for."""
    splits = Counter(image.split for image in images)
    return (
        f'images: {len(images)}, {splits["train"]} to train on, '
        f'{splits["val"]} kept for validation, {splits["unlabelled"]} '
        'without labels (only predicted)'
    )


def describe_classes(
    images: Sequence[RunImage], classes: ClassList
) -> list[str]:
    """Return the classes with their training images, and warnings.

    Args:
        images: All images of a run.
        classes: All classes.
    """
    counts = Counter(
        name
        for image in images
        if image.split == 'train'
        for name in image.labels
    )
    names = [info.name for info in classes.classes]
    lines = [
        f'classes: {len(names)}, with training images: '
        + ', '.join(f'{name} {counts[name]}' for name in names)
    ]
    none = [name for name in names if not counts[name]]
    few = [name for name in names if 0 < counts[name] < FEW_IMAGES]
    if none:
        lines.append(
            f'  warning: no training image shows {", ".join(none)}, which '
            'cannot be learnt'
        )
    if few:
        lines.append(
            f'  warning: fewer than {FEW_IMAGES} training images show '
            + ', '.join(f'{name} ({counts[name]})' for name in few[:NAMED])
            + (f' and {len(few) - NAMED} more' if few[NAMED:] else '')
        )
    return lines


def describe_unlearnable(
    images: Sequence[RunImage], classes: ClassList
) -> list[str]:
    """Return warnings about classes that a classifier cannot learn.

    It learns where a class is by comparing images with and without it. Images
    that are held out to check it are not trained on.

    Args:
        images: All images of a run.
        classes: All classes.
    """
    train = [image for image in images if image.split == 'train']
    if len(train) < 2:
        return []
    held_out = held_out_ids([image.id for image in train], HELD_OUT_SHARE)
    lines = []
    for info in classes.classes:
        shown = {image.id for image in train if info.name in image.labels}
        if len(shown) == len(train):
            lines.append(
                f'  warning: every training image shows {info.name}, so a '
                'classifier cannot learn where it is; add images without it, '
                'labelled with another class, or choose a method with CLIP'
            )
        elif shown and shown <= held_out:
            lines.append(
                f'  warning: {count(len(shown), "training image")} of '
                f'{info.name}, held out to check the classifier, so it does '
                'not learn it; label more of them'
            )
    return lines


def describe_prepared(sources: Sources, prepared: Prepared) -> list[str]:
    """Return what decoding has added to what was understood.

    Args:
        sources: Images, labels and masks of the user.
        prepared: Data that has been decoded.
    """
    images = prepared.images
    lines = list(prepared.notes)
    if len(images) < len(sources.ids):
        lines.append(describe_splits(images))
        lines += describe_classes(images, sources.classes)
    shrunk = sum(image.size != image.original_size for image in images)
    if shrunk:
        lines.append(f'{count(shrunk, "large image")} reduced in size')
    return lines


def _shown(paths: Sequence[str]) -> str:
    more = ', ...' if len(paths) > SHOWN else ''
    return ', '.join(paths[:SHOWN]) + more
