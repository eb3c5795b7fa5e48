"""Bring SegCLIP's released weights into the form of a checkpoint.

    python tools/model_converters/segclip.py segclip.bin segclip.pth
    python tools/test.py configs/segclip_voc.py segclip.pth

Of the 415 tensors 345 are used; the others are of the reconstruction, which
is needed to go on with training only: --reconstruction converts it, too. What
is unknown, missing or misshapen is named, and nothing is written then. No
code from the file is run.
"""

import argparse

import open_clip
from converted_file import converter_parser, save_weights
from mmengine.logging import print_log
from segclip_names import check_weights, expected_shapes, sort_weights
from segclip_reconstruction import (
    MASK_TOKEN,
    convert_reconstruction,
    head_shapes,
)
from torch import Tensor

import mmseg_weakclip  # noqa: F401  (makes its CLIP known)
from mmseg_weakclip.models.clip.weights import read_state_dict


def build_parser() -> argparse.ArgumentParser:
    parser = converter_parser(__doc__)
    parser.add_argument(
        '--reconstruction',
        action='store_true',
        help='convert the reconstruction of masked patches, too',
    )
    parser.add_argument(
        '--drop',
        action='append',
        default=[],
        metavar='PREFIX',
        help='drop what begins so; may be given several times',
    )
    parser.add_argument('--model', default='ViT-B-16-quickgelu')
    parser.add_argument('--num-centers', type=int, default=8)
    parser.add_argument('--num-cross-layers', type=int, default=2)
    return parser


def reconstruction_shapes(
    args: argparse.Namespace, state: dict[str, Tensor]
) -> dict[str, tuple[int, ...]]:
    vision = open_clip.get_model_config(args.model)['vision_cfg']
    return head_shapes(
        vision['width'],
        vision['patch_size'],
        args.num_centers,
        state[MASK_TOKEN].shape[-1],
    )


def convert(
    args: argparse.Namespace, state: dict[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...], int]:
    """Return weights by our names, dropped names, and blocks before grouping.

    Raises:
        ValueError: Something does not fit; the message names it.
    """
    released = sort_weights(state, args.drop)
    expected = expected_shapes(
        args.model, args.num_centers, args.num_cross_layers
    )
    weights, dropped = dict(released.weights), released.dropped
    if args.reconstruction:
        weights |= convert_reconstruction(released.reconstruction)
        expected |= reconstruction_shapes(args, released.reconstruction)
    else:
        dropped += tuple(released.reconstruction)
    check_weights(weights, expected)
    return weights, dropped, released.group_after


def main(argv: list[str] | None = None) -> None:
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        state = read_state_dict(args.source)
        try:
            weights, dropped, group_after = convert(args, state)
        except ValueError as error:
            raise ValueError(f'{args.source}: {error}') from error
        save_weights(args.out, args.source, weights)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print_log(
        f'{len(dropped)} tensors dropped: {", ".join(dropped) or "none"}'
    )
    print_log(
        f'{len(weights)} tensors written to {args.out}, of a model with '
        f'group_after={group_after}.'
    )


if __name__ == '__main__':
    main()
