"""Bring SegCLIP's released weights into the form of a checkpoint.

    python tools/model_converters/segclip.py segclip.bin \\
        --write-table names.json
    python tools/model_converters/segclip.py segclip.bin segclip.pth \\
        --group-names names.json
    python tools/test.py configs/segclip_voc.py segclip.pth

The first call writes a table of the names inside of the grouping module, with
ours where a shape is the only one of its kind. Fill in the others (null) from
the published code; without a table, the tool shows both sides and ends with
status 2. What belongs to the reconstruction is dropped.
"""

import argparse
import io
import json
import pickle
from pathlib import Path

import torch
from mmengine.logging import print_log
from segclip_names import (
    ReleasedWeights,
    convert_weights,
    describe_names,
    expected_shapes,
    group_shapes,
    match_by_shape,
    sort_weights,
)

import mmseg_weakclip  # noqa: F401  (makes its CLIP known)
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.models.clip.weights import read_state_dict


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', type=Path, metavar='IN')
    parser.add_argument('out', type=Path, metavar='OUT', nargs='?')
    table = parser.add_mutually_exclusive_group()
    table.add_argument(
        '--group-names',
        type=Path,
        metavar='FILE',
        help='JSON, name in the file -> name here, of the grouping module',
    )
    table.add_argument(
        '--write-table',
        type=Path,
        metavar='FILE',
        help='write such a table to be filled in, and convert nothing',
    )
    parser.add_argument(
        '--drop',
        action='append',
        default=[],
        metavar='PREFIX',
        help='also drop what begins so; may be given several times',
    )
    parser.add_argument('--model', default='ViT-B-16-quickgelu')
    parser.add_argument('--num-centers', type=int, default=8)
    parser.add_argument('--num-cross-layers', type=int, default=2)
    return parser


def read_weights(path: Path, drop: list[str]) -> ReleasedWeights:
    """Read a released file, running no code from it.

    Raises:
        OSError: There is no such file.
        ValueError: It holds something else.
    """
    try:
        return sort_weights(read_state_dict(path), drop)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f'{path} holds no tensors alone: {error}') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def read_table(path: Path) -> dict[str, str | None]:
    """Read a table of names.

    Raises:
        OSError: There is no such file.
        ValueError: It is none.
    """
    try:
        table = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error
    if not isinstance(table, dict) or not all(
        isinstance(name, str | None) for name in table.values()
    ):
        raise ValueError(f'{path} holds no object from names to names')
    return table


def write_table(path: Path, table: dict[str, str | None]) -> None:
    """Write a table of names.

    Raises:
        FileExistsError: There is one, and somebody may have filled it in.
    """
    if path.exists():
        raise FileExistsError(f'{path} is there already')
    write_atomically(path, f'{json.dumps(table, indent=2)}\n'.encode())
    empty = sum(name is None for name in table.values())
    print_log(f'{path}: {empty} of {len(table)} names are to be filled in.')


def convert(
    args: argparse.Namespace,
    released: ReleasedWeights,
    expected: dict[str, tuple[int, ...]],
) -> None:
    """Write the checkpoint."""
    table = read_table(args.group_names)
    try:
        weights = convert_weights(released, table, expected)
    except ValueError as error:
        raise ValueError(
            f'{args.source} with {args.group_names}: {error}'
        ) from error
    buffer = io.BytesIO()
    meta = dict(converted_from=args.source.name)
    torch.save(dict(meta=meta, state_dict=weights), buffer)
    write_atomically(args.out, buffer.getvalue())
    print_log(
        f'{len(released.dropped)} tensors dropped: '
        f'{", ".join(released.dropped) or "none"}'
    )
    print_log(
        f'{len(weights)} tensors written to {args.out}, of a model with '
        f'group_after={released.group_after}.'
    )


def main(argv: list[str] | None = None) -> None:
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.out is None and args.write_table is None:
        parser.error('OUT is missing')
    try:
        released = read_weights(args.source, args.drop)
        expected = expected_shapes(
            args.model, args.num_centers, args.num_cross_layers
        )
        if args.group_names:
            convert(args, released, expected)
            return
        theirs = {k: tuple(v.shape) for k, v in released.group.items()}
        ours = group_shapes(expected)
        if args.write_table:
            write_table(args.write_table, match_by_shape(theirs, ours))
            return
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    parser.exit(
        2,
        'the names inside of the grouping module need a table: '
        '--write-table FILE writes one to fill in, --group-names FILE reads '
        f'it\n\n{describe_names(theirs, ours)}\n',
    )


if __name__ == '__main__':
    main()
