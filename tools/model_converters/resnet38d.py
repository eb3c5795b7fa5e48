"""Bring ImageNet weights of ResNet-38 into the form of a checkpoint.

    python tools/model_converters/resnet38d.py \\
        ilsvrc-cls_rna-a1_cls1000_ep-0001.params \\
        data/pretrained/resnet38d_imagenet.pth

IN is the file of the authors (MXNet's format; MXNet is not needed), or one of
the copies in PyTorch's format. OUT is what configs/segmenters look for.
Tensors that have no place in the network, such as the classifier's, are named;
a tensor that is missing or of another shape is an error.
"""

import argparse
import io
from pathlib import Path

import torch
from mmengine.logging import print_log
from resnet38d_weights import (
    Placement,
    place_weights,
    read_resnet38d,
)

import mmseg_weakclip  # noqa: F401  (mmseg may not import without it)
from mmseg_weakclip.common.files import write_atomically


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', type=Path, metavar='IN')
    parser.add_argument('out', type=Path, metavar='OUT')
    return parser


def read_weights(path: Path) -> Placement:
    """Read a file, running no code from it.

    Raises:
        OSError: There is no such file.
        ValueError: It holds something else.
    """
    named = read_resnet38d(path)
    try:
        return place_weights(named)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def main(argv: list[str] | None = None) -> None:
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        placed = read_weights(args.source)
        buffer = io.BytesIO()
        meta = dict(converted_from=args.source.name)
        torch.save(dict(meta=meta, state_dict=placed.weights), buffer)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(args.out, buffer.getvalue())
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print_log(
        f'{len(placed.unplaced)} tensors have no place: '
        f'{", ".join(placed.unplaced) or "none"}'
    )
    print_log(f'{len(placed.weights)} tensors written to {args.out}.')


if __name__ == '__main__':
    main()
