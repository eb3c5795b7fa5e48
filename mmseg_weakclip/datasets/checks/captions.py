"""Checks of images with captions."""

from collections.abc import Callable

from mmseg_weakclip.common.images import decode_color_image
from mmseg_weakclip.datasets.captions.dataset import CaptionDataset
from mmseg_weakclip.datasets.captions.shards import (
    SHARD_ERRORS,
    read_shard,
)
from mmseg_weakclip.datasets.captions.stream import WebDatasetCaptions

from .problems import Problem, Severity
from .sample import SampleSpec


def check_caption_set(dataset: CaptionDataset) -> list[Problem]:
    """Report what a data set left out when it was built."""
    problems = []
    for kind, count, what in (
        ('blank-captions', dataset.num_blank, 'captions are blank'),
        ('missing-images', dataset.num_missing, 'images do not exist'),
    ):
        if count:
            problems.append(
                Problem(
                    kind,
                    'warning',
                    dataset.ann_file,
                    f'{count} {what}; they are left out.',
                )
            )
    return problems


def captioned_images(dataset: CaptionDataset) -> list[SampleSpec]:
    """Return every image once, however many captions it has."""
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    paths = {info['img_path']: info['img_name'] for info in infos}
    return [SampleSpec(name, path) for path, name in paths.items()]


def check_shards(
    dataset: WebDatasetCaptions,
    *,
    thorough: bool,
    on_shard: Callable[[], object] = lambda: None,
) -> list[Problem]:
    """Check that shards can be read.

    Args:
        dataset: Data set of captions in shards.
        thorough: Whether to read the shards whole and decode every image.
            Otherwise only the first sample of each is read.
        on_shard: Called after each shard, e.g. to move a progress bar.

    Returns:
        Samples and shards that a training leaves out: errors if they are
        more than the data set allows, else warnings.
    """
    shards: dict[str, str] = {}
    samples: dict[str, str] = {}
    read = 0
    for url in dataset.shards:
        try:
            for sample in read_shard(url, dataset.caption_key):
                read += 1
                problem = sample.problem
                if thorough and not problem:
                    try:
                        decode_color_image(sample.image, sample.place)
                    except ValueError as error:
                        problem = str(error)
                if problem:
                    samples[sample.place] = problem
                if not thorough:
                    break
        except SHARD_ERRORS as error:
            shards[url] = f'It is damaged: {error}.'
        on_shard()
    problems = []
    for kind, found, total in (
        ('damaged-shard', shards, len(dataset.shards)),
        ('bad-sample', samples, read),
    ):
        too_many = len(found) > dataset.max_bad_share * total
        severity: Severity = 'error' if too_many else 'warning'
        problems += [
            Problem(kind, severity, place, message)
            for place, message in found.items()
        ]
    return problems
