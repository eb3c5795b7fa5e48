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
import io
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from weakclip_names import Dimensions, convert_weights, count_classes

import mmseg_weakclip  # noqa: F401  (mmseg may not import without it)
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.models.clip.weight_files.reading import (
    read_checkpoint,
    read_state_dict,
)

DATA_SETS = {21: 'VOC', 91: 'COCO'}
TEXT_POSITION = 'positional_embedding'


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', type=Path, metavar='IN')
    parser.add_argument('out', type=Path, metavar='OUT')
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


def convert(source: Path, clip: Path | None) -> dict[str, Any]:
    """Return the checkpoint that a released file becomes.

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
    meta = dict(
        converted_from=source.name,
        dataset_meta=class_metadata(rest.get('meta'), num_classes),
    )
    return dict(meta=meta, state_dict=weights)


def main(argv: list[str] | None = None) -> None:
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        checkpoint = convert(args.source, args.clip)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(args.out, buffer.getvalue())
    except (OSError, ValueError) as error:
        parser.error(str(error))
    num_classes = count_classes(checkpoint['state_dict'])
    print_log(
        f'{len(checkpoint["state_dict"])} tensors written to {args.out}, of a '
        f'model with {num_classes} classes '
        f'({DATA_SETS.get(num_classes, "neither VOC nor COCO as released")}).'
    )


if __name__ == '__main__':
    main()
