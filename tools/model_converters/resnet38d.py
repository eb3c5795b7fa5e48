"""Bring ImageNet weights of ResNet-38 into the form of a checkpoint.

    python tools/model_converters/resnet38d.py \\
        ilsvrc-cls_rna-a1_cls1000_ep-0001.params \\
        data/pretrained/resnet38d_imagenet.pth

IN is the file of the authors (MXNet's format; MXNet is not needed), or one of
the copies in PyTorch's format. OUT is what configs/segmenters look for.
Tensors that have no place in the network, such as the classifier's, are named;
a tensor that is missing or of another shape is an error.
"""

from pathlib import Path

from converted_file import converter_parser, save_weights
from mmengine.logging import print_log
from resnet38d_weights import (
    Placement,
    place_weights,
    read_resnet38d,
)

import mmseg_weakclip  # noqa: F401  (mmseg may not import without it)


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
    parser = converter_parser(__doc__)
    args = parser.parse_args(argv)
    try:
        placed = read_weights(args.source)
        save_weights(args.out, args.source, placed.weights)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print_log(
        f'{len(placed.unplaced)} tensors have no place: '
        f'{", ".join(placed.unplaced) or "none"}'
    )
    print_log(f'{len(placed.weights)} tensors written to {args.out}.')


if __name__ == '__main__':
    main()
