"""The flags of the one command, and what they mean together."""

import argparse
import difflib
import os
from typing import NoReturn

import open_clip

from mmseg_weakclip.apps.errors import WrongUse
from mmseg_weakclip.apps.run_folder.manifest import Manifest

from .options import Options
from .segmenter_configs import SEGMENTERS
from .stages import METHODS

CRFS = ('none', 'voc12', 'coco14')


class Parser(argparse.ArgumentParser):
    """One line of what is wrong, in place of the usage."""

    def error(self, message: str) -> NoReturn:
        raise WrongUse(f'{message} (--help lists all options)')


def parse_args(
    description: str, argv: list[str] | None = None
) -> argparse.Namespace:
    """Read the flags; those that are not given are not in the result.

    Raises:
        WrongUse: They are wrong.
    """
    parser = Parser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        '--work-dir', required=True, metavar='OUT', help='folder of the run'
    )
    data = parser.add_argument_group('data')
    data.add_argument('--images', metavar='DIR', help='folder of images')
    data.add_argument(
        '--labels',
        metavar='FILE',
        help='CSV with the columns image and labels, or any label file that '
        'tools/dataset_converters/image_labels.py reads',
    )
    data.add_argument(
        '--classes',
        help='YAML file (names, prompts, background words, colors), or names '
        'between commas; default: what the labels name',
    )
    data.add_argument(
        '--truth',
        metavar='DIR',
        help='PNG masks of some images, for scores only',
    )
    data.add_argument(
        '--val-list', metavar='FILE', help='images to keep for validation'
    )
    data.add_argument(
        '--val-share',
        type=float,
        help='or the share of them to keep (default: 0.1)',
    )
    data.add_argument(
        '--max-side',
        type=int,
        help='longer images are worked on at this size (default: 1280)',
    )
    data.add_argument(
        '--skip-damaged',
        action='store_true',
        help='go on without images that can not be read',
    )
    method = parser.add_argument_group('method')
    method.add_argument('--method', help=f'{", ".join(METHODS)}')
    method.add_argument('--clip', help='model of open_clip')
    method.add_argument(
        '--clip-weights', help='tag of open_clip, a file, or "random"'
    )
    method.add_argument(
        '--clip-size', type=int, help='short side that CLIP sees, in pixels'
    )
    method.add_argument('--crf', help=f'{", ".join(CRFS)}')
    method.add_argument(
        '--method-iterations',
        type=int,
        help="length of the method's own trainings",
    )
    last = parser.add_argument_group('segmenter')
    last.add_argument('--segmenter', help=f'{", ".join(SEGMENTERS)}')
    last.add_argument(
        '--segmenter-weights', help='file to start from, or "none"'
    )
    last.add_argument(
        '--segmenter-size',
        type=int,
        help='short side of its images and side of its crops, in pixels',
    )
    last.add_argument('--iterations', type=int, help='of its training')
    last.add_argument('--batch-size', type=int, help='of all trainings')
    last.add_argument(
        '--amp', action='store_true', help='train in half precision'
    )
    how = parser.add_argument_group('how to run')
    how.add_argument('--gpus', type=int, help='default: one if there is one')
    how.add_argument('--seed', type=int, help='of all random numbers')
    how.add_argument(
        '--resume',
        action='store_true',
        help='go on with the run in OUT, with its options where none are '
        'given here',
    )
    how.add_argument('--until', metavar='STAGE', help='stop behind this stage')
    how.add_argument(
        '--dry-run', action='store_true', help='show the plan, do nothing'
    )
    return parser.parse_args(argv)


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """See that a choice is known.

    Raises:
        WrongUse: It is not; the nearest that is stands in the message.
    """
    if value in known:
        return
    near = difflib.get_close_matches(value, known, 1, 0.4)
    hint = f'known: {", ".join(known)}'
    if near:
        hint = f'did you mean {near[0]}?'
    raise WrongUse(f'--{name} {value} is unknown; {hint}')


def read_options(args: argparse.Namespace, before: Manifest | None) -> Options:
    """The options of this call, those of an earlier one below them.

    Raises:
        WrongUse: They do not fit together.
    """
    given = {
        key: value
        for key, value in vars(args).items()
        if key not in ('resume', 'until', 'dry_run')
    }
    for name in ('images', 'truth', 'labels', 'val_list', 'work_dir'):
        if name in given:
            given[name] = os.path.abspath(given[name])
    if before is not None:
        given = {**before.options.to_json(), **given}
    for name in ('images', 'labels'):
        if given.get(name) is None:
            raise WrongUse(f'--{name} is missing (--help lists all options)')
    options = Options.from_json(given)
    one_of('method', options.method, METHODS)
    one_of('segmenter', options.segmenter, tuple(SEGMENTERS))
    if options.crf is not None:
        one_of('crf', options.crf, CRFS)
    options = options.with_clip_defaults()
    if options.clip is not None:
        one_of('clip', options.clip, tuple(open_clip.list_models()))
    if not 0 <= options.val_share < 1:
        raise WrongUse(f'--val-share {options.val_share} is not in [0, 1)')
    for name in ('iterations', 'method_iterations', 'batch_size', 'max_side',
                 'clip_size', 'segmenter_size'):  # fmt: skip
        value = getattr(options, name)
        if value is not None and value < 1:
            raise WrongUse(f'--{name.replace("_", "-")} {value} is below 1')
    return options
