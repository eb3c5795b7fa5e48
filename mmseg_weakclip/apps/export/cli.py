r"""Write a trained segmenter into a file that runs without mmseg.

    weakclip export configs/toyland/segmenter.py \
        work_dirs/segmenter/iter_3000.pth --format onnx

The file takes RGB images as they are, float32, 0 to 255, any number of any
height and width, (B, 3, H, W), and returns logits, probabilities or a mask of
their size; normalisation is inside. It predicts whole images: where the
config slides a window, cut the windows yourself. Class names, colours, mean,
deviation and versions are in its metadata.

Before it is written, it is run beside PyTorch on images of several sizes, and
on --image; it appears only if no value differs by more than 0.001 (exit code
1 if some does). Heads that need image labels cannot be exported, nor networks
that count their windows in Python, such as Swin, nor what a zero-shot
segmentor does around its network: refine, regions and joint windows.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.overrides import add_override_flag, override
from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.engine.loading import TrainedSegmentor, load_segmentor

from .check import SIZES, TOLERANCE, TRACED, compare, random_images
from .formats import (
    load_onnx,
    load_torchscript,
    require_onnx,
    to_onnx,
    to_torchscript,
)
from .segmenter import OUTPUTS, ExportSegmenter, describe_export

SUFFIXES = dict(onnx='.onnx', torchscript='.pt')


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', nargs='?', help='weights; none for training-free methods'
    )
    parser.add_argument('--format', required=True, choices=sorted(SUFFIXES))
    parser.add_argument(
        '--output',
        default='logits',
        choices=OUTPUTS,
        help='what the file returns (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='file to write (default: beside the checkpoint, with its name)',
    )
    parser.add_argument(
        '--image',
        nargs='+',
        default=(),
        metavar='FILE',
        help='images to compare on, beside random ones',
    )
    parser.add_argument(
        '--opset',
        type=int,
        metavar='N',
        help="version of ONNX's operators (default: PyTorch's choice)",
    )
    add_override_flag(parser)
    args = parser.parse_args(argv)
    if args.opset is not None and args.format != 'onnx':
        parser.error('--opset needs --format onnx')
    if args.out is None:
        source = Path(args.checkpoint or Path(args.config).name)
        args.out = source.with_suffix(SUFFIXES[args.format])
    if not args.out.parent.is_dir():
        parser.error(f'--out: the folder {args.out.parent} does not exist')
    return args


def _read_images(paths: Sequence[str]) -> list[Tensor]:
    """Read image files as batches of one, RGB."""
    return [
        torch.from_numpy(
            np.ascontiguousarray(read_color_image(path)[..., ::-1])
        )
        .permute(2, 0, 1)[None]
        .float()
        for path in paths
    ]


def load(args: argparse.Namespace) -> TrainedSegmentor:
    """Return the trained segmentor that the user names."""
    cfg = read_config(args.config)
    override(cfg, args.cfg_options)
    return load_segmentor(cfg, args.checkpoint)


def trace(
    args: argparse.Namespace,
    source: TrainedSegmentor,
    segmenter: ExportSegmenter,
) -> bytes:
    """Return the content of the exported file."""
    images = random_images(TRACED)
    # A first run: heads report missing inputs more clearly than tracers.
    with torch.no_grad():
        segmenter(images)
    metadata = describe_export(source, segmenter)
    if args.format == 'onnx':
        return to_onnx(segmenter, images, metadata, args.opset)
    return to_torchscript(segmenter, images, metadata)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    # Hide mmengine's notes on loading, and the exporter's on its steps.
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    try:
        batches = [random_images(size) for size in SIZES]
        batches += _read_images(args.image)
        if args.format == 'onnx':
            require_onnx()
        source = load(args)
        segmenter = ExportSegmenter(
            source.model, args.output, is_rgb=source.is_rgb
        )
        content = trace(args, source, segmenter)
    except (OSError, ImportError, KeyError, RuntimeError, ValueError) as error:
        print(
            f'error: {args.config} cannot be exported: '
            f'{" ".join(str(error).split())}',
            file=sys.stderr,
        )
        return 2
    loaders = dict(onnx=load_onnx, torchscript=load_torchscript)
    print(f'{args.output} of the file and of PyTorch, largest difference:')
    failed = 0
    for comparison in compare(
        loaders[args.format](content),
        source.model,
        batches,
        args.output,
        segmenter.threshold,
        takes_rgb=source.takes_rgb,
    ):
        batch, height, width = comparison.size
        print(
            f'  {batch} of {height} x {width}: {comparison.difference:.1e}'
            f'  {comparison.problem}'
        )
        failed += not comparison.passes
    if failed:
        print(
            f'error: {args.config} cannot be exported: {failed} of '
            f'{len(batches)} sizes differ by more than {TOLERANCE:g}; '
            'nothing was written',
            file=sys.stderr,
        )
        return 1
    write_atomically(args.out, content)
    print(f'{args.out}: {len(content) / 1e6:.1f} MB, {args.format}')
    return 0
