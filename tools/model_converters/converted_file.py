"""What all converters of checkpoints share: two arguments, one file."""

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseg_weakclip.common.files import write_atomically


def converter_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the arguments IN and OUT.

    Args:
        description: What ``--help`` says of the converter.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', type=Path, metavar='IN')
    parser.add_argument('out', type=Path, metavar='OUT')
    return parser


def save_weights(
    out: Path, source: Path, weights: Mapping[str, Tensor], **meta: Any
) -> None:
    """Write a checkpoint as mmengine has it, atomically.

    Args:
        out: File to write; its folder is made.
        source: File that was converted, which the checkpoint names.
        weights: Tensors by our names.
        meta: Further entries of the checkpoint's ``meta``.

    Raises:
        OSError: The file cannot be written.
    """
    checkpoint = dict(
        meta=dict(converted_from=source.name, **meta),
        state_dict=dict(weights),
    )
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, buffer.getvalue())
