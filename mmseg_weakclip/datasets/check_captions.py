"""What can be wrong with images that have captions."""

from .captions import CaptionDataset
from .check_sample import SampleSpec
from .problems import Problem


def check_caption_set(dataset: CaptionDataset) -> list[Problem]:
    """What the data set has left out on being built."""
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
    """Every image once, however many captions it has."""
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    paths = {info['img_path']: info['img_name'] for info in infos}
    return [SampleSpec(name, path) for path, name in paths.items()]
