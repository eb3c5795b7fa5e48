"""Paint classes over images and videos.

    python tools/demo.py photo.jpg --classes "red car, tree, sky" --dense sclip
    python tools/demo.py film.mp4 --config configs/weakclip_voc.py \\
        --checkpoint iter_20000.pth --every 5

writes demo/photo.png and demo/film.mp4. With --classes, nothing is trained;
several words for one class: "sofa|couch"; there is a background, unpainted and
id 0 in masks, when --background or --threshold say what it is, otherwise every
pixel gets one of the classes. With --config, its test pipeline, slide or whole
mode and the checkpoint's classes are used; models with nothing to train need
no --checkpoint.

Of a folder, the images and videos directly in it are taken. Results are named
by the stem: two inputs of one stem are refused. A painted video has the size
and the speed of its source, and no sound. Wrong use ends with exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence

import mmseg_weakclip  # noqa: F401  (registers every class)
from mmseg_weakclip.apps.demo.cli import (
    ZERO_SHOT,
    build_parser,
    settle_way,
    use_device,
)
from mmseg_weakclip.apps.demo.images import segment_images, segment_video
from mmseg_weakclip.apps.demo.inputs import (
    Job,
    find_inputs,
    make_folders,
    plan_jobs,
)
from mmseg_weakclip.apps.demo.segmenter import Segmenter
from mmseg_weakclip.apps.demo.trained import load_trained
from mmseg_weakclip.apps.demo.video import Video
from mmseg_weakclip.apps.demo.zero_shot import build_zero_shot
from mmseg_weakclip.common.workers import progress_bar


def build(args: argparse.Namespace) -> Segmenter:
    """The model of either way."""
    device = use_device(args.device)
    if args.config is not None:
        return load_trained(args.config, args.checkpoint, device)
    own = {name: getattr(args, name) for name in ZERO_SHOT}
    try:
        return build_zero_shot(args.classes, **own, device=device)
    except RuntimeError as error:  # weights that can't be downloaded
        raise ValueError(str(error)) from error


def paint_video(
    segmenter: Segmenter, job: Job, args: argparse.Namespace
) -> None:
    video = Video(job.source)
    with progress_bar(video.stated or None) as bar:
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
    with progress_bar(len(jobs)) as bar:
        segment_images(segmenter, jobs, args.batch_size, bar.update)
    print(f'{len(jobs)} pictures in {args.out}')


def run(args: argparse.Namespace) -> None:
    settle_way(args)
    jobs = plan_jobs(find_inputs(args.inputs), args.out, args.out_masks)
    make_folders(jobs)
    segmenter = build(args)
    images = [job for job in jobs if not job.is_video]
    if images:
        paint_images(segmenter, images, args)
    for job in jobs:
        if job.is_video:
            paint_video(segmenter, job, args)


def main() -> None:
    parser = build_parser(__doc__)
    args = parser.parse_args()
    try:
        run(args)
    except (OSError, ValueError) as error:
        message = ' '.join(str(error).split())
        print(f'{parser.prog}: {message}', file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == '__main__':
    main()
