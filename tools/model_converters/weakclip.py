"""Bring WeakCLIP's released weights into the form of a checkpoint.

    python tools/model_converters/weakclip.py train_74p03_iter_8000.pth \\
        weakclip_voc.pth
    python tools/test.py CONFIG weakclip_voc.pth --tta

CONFIG is the released one of configs/weakclip, for VOC (21 classes) or for
COCO (91 ids). Every tensor has to be there with its shape; what is unknown,
missing or misshapen is named, and nothing is written then. The state of the
optimizer is left out. No code from the file is run.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from converted_file import converter_parser, save_weights
from mmengine.logging import print_log
from weakclip_names import Dimensions, convert_weights, count_classes

import mmseg_weakclip  # noqa: F401  (mmseg may not import without it)
from mmseg_weakclip.models.clip.weight_files.reading import (
    read_checkpoint,
    read_state_dict,
)

DATA_SETS = {21: 'VOC', 91: 'COCO'}
TEXT_POSITION = 'positional_embedding'


def build_parser() -> argparse.ArgumentParser:
    parser = converter_parser(__doc__)
    parser.add_argument(
        '--clip',
        type=Path,
        metavar='FILE',
        help="OpenAI's ViT-B/16: positions of texts that are longer than any "
        'class name of the release, which are zero otherwise',
    )
    return parser


def class_metadata(meta: Any, num_classes: int) -> dict[str, Any]:
    """Return names and colours of the classes, where a file has them all."""
    meta = meta if isinstance(meta, dict) else {}
    found = {}
    for theirs, ours in (('CLASSES', 'classes'), ('PALETTE', 'palette')):
        values = meta.get(theirs)
        if isinstance(values, list | tuple) and len(values) == num_classes:
            found[ours] = list(values)
    return found


def text_positions(path: Path | None) -> torch.Tensor | None:
    """Return CLIP's positions of texts from its file.

    Raises:
        OSError: There is no such file.
        ValueError: It holds something else.
    """
    if path is None:
        return None
    state = read_state_dict(path)
    if TEXT_POSITION not in state:
        raise ValueError(f'{path} has no {TEXT_POSITION}: it is not a CLIP')
    return state[TEXT_POSITION]


def convert(
    source: Path, clip: Path | None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the weights of a released file by our names, and its classes.

    Raises:
        OSError: There is no such file.
        ValueError: It holds something else.
    """
    state, rest = read_checkpoint(source)
    positions = text_positions(clip)
    try:
        num_classes = count_classes(state)
        weights = convert_weights(state, Dimensions(num_classes), positions)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    return weights, class_metadata(rest.get('meta'), num_classes)


def main(argv: list[str] | None = None) -> None:
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        weights, classes = convert(args.source, args.clip)
        save_weights(args.out, args.source, weights, dataset_meta=classes)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    num_classes = count_classes(weights)
    print_log(
        f'{len(weights)} tensors written to {args.out}, of a '
        f'model with {num_classes} classes '
        f'({DATA_SETS.get(num_classes, "neither VOC nor COCO as released")}).'
    )


if __name__ == '__main__':
    main()
