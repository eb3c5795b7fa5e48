r"""Paint classes over images and videos.

    weakclip demo photo.jpg --classes "red car, tree, sky" --dense sclip
    weakclip demo film.mp4 --config configs/weakclip_voc.py \
        --checkpoint iter_20000.pth --every 5

writes demo/photo.png and demo/film.mp4. With --classes, nothing is trained;
several words for one class: "sofa|couch"; there is a background, unpainted and
id 0 in masks, when --background or --threshold say what it is, otherwise every
pixel gets one of the classes. With --config, its test pipeline, slide or whole
mode and the checkpoint's classes are used; models with nothing to train need
no --checkpoint.

A folder stands for the images and videos directly in it. Results are named
by the stem: two inputs of one stem are refused. A painted video has the size
and the speed of its source, and no sound. Wrong use ends with exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from mmengine.device import get_device

from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.engine.precision import AUTO, choose_amp_dtype
from mmseg_weakclip.models.clip.dense.presets import OWN_PRESETS

from .images import segment_images, segment_video
from .inputs import Job, find_inputs, make_folders, plan_jobs
from .segmenter import Segmenter
from .trained import load_trained
from .video import Video
from .zero_shot import build_zero_shot

# Flags of the zero-shot mode only, with their defaults.
ZERO_SHOT = dict(
    background=(),
    threshold=None,
    dense='sclip',
    model='ViT-B-16-quickgelu',
    pretrained='openai',
    templates='imagenet',
    short_side=448,
    window=None,
)


def read_names(text: str) -> list[tuple[str, ...]]:
    """Parse 'red car, sofa|couch' as [('red car',), ('sofa', 'couch')]."""
    return [
        tuple(word.strip() for word in name.split('|'))
        for name in text.split(',')
        if name.strip()
    ]


def positive(text: str) -> int:
    """Parse an integer of at least 1.

    Raises:
        ArgumentTypeError: The number is less than 1.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{value} is not above 0')
    return value


def default(name: str) -> str:
    """Return the default of a flag in :data:`ZERO_SHOT`, for its help."""
    return f' (default: {ZERO_SHOT[name]})'


def build_parser(
    description: str, prog: str | None = None
) -> argparse.ArgumentParser:
    """Return the parser of the demo's flags.

    Args:
        description: Text at the top of ``--help``.
        prog: Name of the command.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        type=Path,
        help='images and videos, or folders of them',
    )
    parser.add_argument(
        '--out', type=Path, default=Path('demo'), metavar='DIR'
    )
    parser.add_argument(
        '--out-masks',
        type=Path,
        metavar='DIR',
        help='write the class ids too, as palette PNGs; those of a video, one '
        'for each segmented frame, into a folder of its name',
    )
    parser.add_argument(
        '--batch-size',
        type=positive,
        default=1,
        metavar='N',
        help='images of one size, or frames, that go through the model at '
        'once (default: %(default)s)',
    )
    parser.add_argument(
        '--every',
        type=positive,
        default=1,
        metavar='N',
        help='of a video, segment one frame of N, and paint the others with '
        'the mask of the last (default: %(default)s)',
    )
    parser.add_argument('--device', default=get_device())
    parser.add_argument(
        '--amp',
        action='store_true',
        help='the network in half precision, as fits the device',
    )
    trained = parser.add_argument_group('a trained model')
    trained.add_argument('--config', help='config file of any mmseg model')
    trained.add_argument('--checkpoint', metavar='FILE')
    free = parser.add_argument_group('class names alone')
    free.add_argument('--classes', type=read_names, metavar='NAMES')
    free.add_argument(
        '--background',
        type=read_names,
        metavar='NAMES',
        help='words for the background: what else the images show',
    )
    free.add_argument(
        '--threshold',
        type=float,
        help='background where all classes are below it (0 to 1)',
    )
    free.add_argument(
        '--dense',
        choices=sorted(OWN_PRESETS),
        help=f'how patches are read out of CLIP{default("dense")}',
    )
    free.add_argument(
        '--model',
        help=f'model of open_clip{default("model")}',
    )
    free.add_argument(
        '--pretrained',
        help=f'its weights, a tag or a file{default("pretrained")}',
    )
    free.add_argument(
        '--templates',
        help='a template with {}, or the name of a list'
        f'{default("templates")}',
    )
    free.add_argument(
        '--short-side',
        type=positive,
        help=f'pixels to which an image is resized{default("short_side")}',
    )
    free.add_argument(
        '--window',
        type=positive,
        help='side of a sliding window, moved by half of it (default: the '
        'whole image at once)',
    )
    return parser


def check_mode(args: argparse.Namespace) -> None:
    """Check that exactly one mode is chosen, and fill in its defaults.

    Args:
        args: Result of :func:`build_parser`. Missing flags of
            :data:`ZERO_SHOT` get their defaults.

    Raises:
        ValueError: Neither mode is chosen, or flags of both are given.
    """
    if (args.classes is None) == (args.config is None):
        raise ValueError('give either --classes, or --config and --checkpoint')
    if args.config is None and args.checkpoint is not None:
        raise ValueError('--checkpoint needs --config')
    if args.classes is not None and not args.classes:
        raise ValueError('--classes names no class')
    given = [
        f'--{name.replace("_", "-")}'
        for name in ZERO_SHOT
        if getattr(args, name) is not None
    ]
    if args.config is not None and given:
        raise ValueError(f'{", ".join(given)}: only with --classes')
    for name, value in ZERO_SHOT.items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def use_device(name: str) -> torch.device:
    """Return a device, after checking that tensors can be put on it.

    Args:
        name: PyTorch's name of the device, such as ``'cuda:1'``.

    Raises:
        ValueError: The device cannot be used.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'cannot use the device {name}: {reason}') from error
    return device


def build(args: argparse.Namespace) -> Segmenter:
    """Return the model: trained, or CLIP and class names."""
    device = use_device(args.device)
    dtype = choose_amp_dtype(AUTO, device.type) if args.amp else None
    if args.config is not None:
        segmenter = load_trained(args.config, args.checkpoint, device)
    else:
        own = {name: getattr(args, name) for name in ZERO_SHOT}
        try:
            segmenter = build_zero_shot(args.classes, **own, device=device)
        except RuntimeError as error:  # weights that cannot be downloaded
            raise ValueError(str(error)) from error
    return replace(segmenter, amp_dtype=dtype)


def paint_video(
    segmenter: Segmenter, job: Job, args: argparse.Namespace
) -> None:
    """Paint a video, and print the number of its frames."""
    video = Video(job.source)
    with progress_bar(job.source.name, video.stated or None) as bar:
        segment_video(
            segmenter, video, job, args.every, args.batch_size, bar.update
        )
    early = ''
    if video.ends_early:
        early = f' of {video.stated} stated: {job.source} ends early'
    print(f'{job.output}: {video.read} frames{early}')


def paint_images(
    segmenter: Segmenter, jobs: Sequence[Job], args: argparse.Namespace
) -> None:
    """Paint images, and print their number."""
    with progress_bar('paint', len(jobs)) as bar:
        segment_images(segmenter, jobs, args.batch_size, bar.update)
    print(f'{len(jobs)} pictures in {args.out}')


def run(args: argparse.Namespace) -> None:
    """Paint all images and videos that the user gave."""
    check_mode(args)
    jobs = plan_jobs(find_inputs(args.inputs), args.out, args.out_masks)
    make_folders(jobs)
    segmenter = build(args)
    images = [job for job in jobs if not job.is_video]
    if images:
        paint_images(segmenter, images, args)
    for job in jobs:
        if job.is_video:
            paint_video(segmenter, job, args)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    parser = build_parser(__doc__, prog)
    args = parser.parse_args(argv)
    try:
        run(args)
    except (OSError, ValueError) as error:
        message = ' '.join(str(error).split())
        print(f'{parser.prog}: {message}', file=sys.stderr)
        return 2
    return 0
