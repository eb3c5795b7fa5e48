"""The flags of a run, and the options that they give."""

import argparse
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.datasets.labels.tables.options import add_table_options
from mmseg_weakclip.models.clip.local_models import local_tags

from .affinity import add_affinity_arguments, check_affinity
from .backbone import (
    add_backbone_arguments,
    check_backbone,
    check_no_clip,
    uses_clip,
)
from .options import (
    CLASSIFIERS,
    CRFS,
    FOLDER,
    HUB,
    METHODS,
    PUBLISHED_CLIP,
    RANDOM,
    SEEDS,
    SEGMENTERS,
    TIMM,
    Options,
    brings_weights,
)
from .outside.flags import (
    add_outside_arguments,
    check_outside,
    complete_outside,
)
from .round_flags import add_round_arguments, check_rounds

if TYPE_CHECKING:
    from .manifest import Manifest

WEIGHT_SUFFIXES = ('.bin', '.pt', '.pth', '.safetensors')


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Raise a :class:`UserError`."""
        raise UserError(f'{message} (--help lists all options)')


def parse_args(
    description: str | None,
    argv: Sequence[str] | None = None,
    prog: str | None = None,
) -> argparse.Namespace:
    """Return the flags that are given; the others are left out.

    Args:
        description: What ``--help`` says of the command.
        argv: Words of the command line; those of this process by default.
        prog: Name of the command.

    Raises:
        UserError: A flag is unknown or has a wrong value.
    """
    parser = Parser(
        prog=prog,
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
        '`weakclip labels` reads',
    )
    data.add_argument(
        '--label-format',
        help='format of the labels (default: what they look like); '
        '`weakclip labels --help` lists them',
    )
    add_table_options(data)
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
        help='share of images to keep for validation (default: 0.1 with '
        '--truth, else none)',
    )
    data.add_argument(
        '--max-side',
        type=int,
        help='longest side; larger images are reduced to it (default: 1280)',
    )
    data.add_argument(
        '--skip-damaged',
        action='store_true',
        help='go on without images that cannot be read',
    )
    method = parser.add_argument_group('method')
    method.add_argument(
        '--profile',
        help='settings to start from: photos or toyland (default: as --clip '
        'needs)',
    )
    method.add_argument('--method', help=f'{", ".join(METHODS)}')
    method.add_argument(
        '--clip',
        help='model of open_clip, such as ViT-B/16, hf-hub:ORG/NAME or '
        'local-dir:FOLDER',
    )
    method.add_argument(
        '--clip-weights', help='tag of open_clip, a file, or "random"'
    )
    method.add_argument(
        '--clip-size', type=int, help='short side that CLIP sees, in pixels'
    )
    add_backbone_arguments(method)
    add_affinity_arguments(method)
    method.add_argument('--crf', help=f'{", ".join(CRFS)}')
    method.add_argument(
        '--method-iterations',
        type=int,
        help="length of the method's own trainings",
    )
    add_outside_arguments(parser)
    last = parser.add_argument_group('segmenter')
    last.add_argument('--segmenter', help=f'{", ".join(SEGMENTERS)}')
    last.add_argument(
        '--segmenter-weights',
        help='file to start from, "timm" for timm\'s own, or "none"',
    )
    last.add_argument(
        '--segmenter-size',
        type=int,
        help='short side of its images and side of its crops, in pixels',
    )
    last.add_argument('--iterations', type=int, help='length of its training')
    add_round_arguments(last)
    last.add_argument('--batch-size', type=int, help='for all trainings')
    last.add_argument(
        '--amp',
        action='store_true',
        help='trainings, seeds, masks and predictions in half precision',
    )
    how = parser.add_argument_group('how to run')
    how.add_argument('--gpus', type=int, help='number (default: 1 if any)')
    how.add_argument('--seed', type=int, help='seed of all random numbers')
    how.add_argument(
        '--resume',
        action='store_true',
        help='go on with the run in OUT, with its options where none are '
        'given here',
    )
    how.add_argument('--until', metavar='STAGE', help='stop after this stage')
    how.add_argument(
        '--dry-run', action='store_true', help='print the plan and stop'
    )
    return parser.parse_args(argv)


def require_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Check that a choice is known.

    Raises:
        UserError: The choice is unknown; the message suggests a known one.
    """
    if value in known:
        return
    near = difflib.get_close_matches(value, known, 1, 0.4)
    hint = f'known: {", ".join(known)}'
    if near:
        hint = f'did you mean {near[0]}?'
    raise UserError(f'--{name} {value} is unknown; {hint}')


def read_options(
    args: argparse.Namespace, before: 'Manifest | None'
) -> Options:
    """Return the options of this call, completed by those of an earlier one.

    Raises:
        UserError: An option is missing or has a wrong value.
    """
    from .run import choose_profile

    given = {
        key: value
        for key, value in vars(args).items()
        if key not in ('resume', 'until', 'dry_run')
    }
    for name in ('images', 'truth', 'labels', 'val_list', 'work_dir'):
        if name in given:
            given[name] = os.path.abspath(given[name])
    complete_outside(given)
    if given.get('clip', '').startswith(FOLDER):
        folder = Path(given['clip'].removeprefix(FOLDER)).expanduser()
        given['clip'] = f'{FOLDER}{folder.absolute()}'
    for name in ('backbone_weights', 'affinity_weights'):
        if given.get(name, TIMM) not in ('none', TIMM):
            given[name] = os.path.abspath(given[name])
    if before is not None:
        earlier = before.options.to_json()
        if given.get('method', CLASSIFIERS[0]) not in CLASSIFIERS:
            # What was said of a classifier that is trained no more.
            earlier.update(backbone=None, backbone_weights=None)
        given = {**earlier, **given}
    elif given.get('seeds') is not None:
        given.setdefault('method', SEEDS)
    for name in ('images', 'labels'):
        if given.get(name) is None:
            raise UserError(f'--{name} is missing (--help lists all options)')
    options = Options.from_json(given)
    require_choice('method', options.method, METHODS)
    require_choice('segmenter', options.segmenter, tuple(SEGMENTERS))
    if options.label_format != 'auto':
        from mmseg_weakclip.datasets.labels.formats import FORMAT_NAMES

        require_choice('label-format', options.label_format, FORMAT_NAMES)
    try:
        _ = options.table
    except ValueError as error:
        raise UserError(str(error)) from error
    if options.crf is not None:
        require_choice('crf', options.crf, CRFS)
    check_outside(options)
    check_backbone(options)
    check_affinity(options)
    check_rounds(options)
    check_no_clip(options, vars(args))
    clip = choose_profile(options).clip if uses_clip(options) else None
    options = options.with_clip_defaults(clip)
    _check_clip(options.clip, options.clip_weights)
    _check_files(options)
    if options.val_share is not None and not 0 <= options.val_share < 1:
        raise UserError(f'--val-share {options.val_share} is not in [0, 1)')
    for name in ('iterations', 'method_iterations', 'batch_size', 'max_side',
                 'clip_size', 'segmenter_size'):  # fmt: skip
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f'--{name.replace("_", "-")} {value} is below 1')
    return options


def _check_clip(name: str | None, weights: str | None) -> None:
    """Check that a model is known; import open_clip only if needed.

    A repository is not asked for here: the check of the weights does that.

    Raises:
        UserError: It is not known, cannot be used, or is named wrongly.
    """
    if name is None or name == PUBLISHED_CLIP or local_tags(name):
        return
    from mmseg_weakclip.models.clip.model_config import require_tokenizer
    from mmseg_weakclip.models.clip.weight_sources import (
        CONFIG,
        REPOSITORY,
        find_model,
    )

    if brings_weights(name):
        if weights == RANDOM:
            raise UserError(
                f'--clip {name} has weights of its own, so --clip-weights '
                'random is not possible'
            )
        if name.startswith(HUB):
            if not REPOSITORY.fullmatch(name.removeprefix(HUB)):
                raise UserError(
                    f'--clip {name} names no repository; write '
                    f'{HUB}ORGANISATION/NAME'
                )
            return
    elif not (Path(name) / CONFIG).is_file():
        import open_clip

        known = tuple(open_clip.list_models())
        if name.replace('/', '-') not in known:
            require_choice('clip', name, known)
    try:
        require_tokenizer(name, find_model(name).config)
    except ValueError as error:
        raise UserError(f'--clip: {error}') from error


def _check_files(options: Options) -> None:
    """Check that files of weights are there, before anything is done.

    Raises:
        UserError: One is not.
    """
    clip = options.clip_weights or ''
    is_file = os.sep in clip or Path(clip).suffix in WEIGHT_SUFFIXES
    if is_file and not Path(clip).is_file():
        raise UserError(f'--clip-weights {clip} does not exist')
    start = options.segmenter_weights or 'none'
    known = start in ('none', TIMM) or '://' in start
    if not known and not Path(start).is_file():
        raise UserError(
            f'--segmenter-weights {start} does not exist; give a file, or '
            '"none" for random weights'
        )
