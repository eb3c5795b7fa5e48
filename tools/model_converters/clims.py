"""Bring CLIMS's released ResNet-50 into the form of a checkpoint.

    python tools/model_converters/clims.py res50_cam.pth \\
        data/pretrained/clims_cam.pth
    python tools/train.py configs/clims_voc.py --cfg-options \\
        load_from=data/pretrained/clims_cam.pth

IN is the classifier that the published results start from, or a network
trained by CLIMS: torchvision's names, with or without a prefix, and
`classifier`. Tensors that repeat others under a second name, and torchvision's
own `fc`, are named and left out. What is unknown, missing or misshapen is an
error, and nothing is written then. No code from the file is run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from converted_file import converter_parser, save_weights
from mmengine.logging import print_log

import mmseg_weakclip  # noqa: F401  (mmseg may not import without it)

# isort: split
from mmseg.models import ResNet
from torch import Tensor

from mmseg_weakclip.models.clip.weights import read_state_dict

STEM, STEM_SHAPE = 'conv1.weight', (64, 3, 7, 7)
CLASSIFIER = 'classifier.weight'
OUR_CLASSIFIER = 'decode_head.conv_seg.weight'
FEATURES = 2048
# Of torchvision's classifier of ImageNet, which has no use here.
UNUSED = ('fc.weight', 'fc.bias')
# A count that only norms without a momentum look at.
COUNT = 'num_batches_tracked'


@dataclass(frozen=True)
class Converted:
    """Weights of a file.

    Attributes:
        weights: Tensors by our names.
        left_out: Names in the file of those without a place.
    """

    weights: dict[str, Tensor]
    left_out: tuple[str, ...]


def find_prefix(state: Mapping[str, Tensor]) -> str:
    """Return what stands before torchvision's names.

    Raises:
        ValueError: The first convolution is not there.
    """
    prefixes = [
        name.removesuffix(STEM)
        for name, value in state.items()
        if name.endswith(STEM) and value.shape == STEM_SHAPE
    ]
    if not prefixes:
        raise ValueError(
            f'there is no {STEM} of the shape {STEM_SHAPE}: these are not '
            f'weights of a ResNet-50; the first names are {list(state)[:5]}'
        )
    return min(prefixes, key=len)


def convert_weights(state: Mapping[str, Tensor]) -> Converted:
    """Return backbone and classifier by our names.

    Args:
        state: The file; the classifier has a row for each foreground class.

    Raises:
        ValueError: A tensor is unknown, missing or of another shape; the
            message names all of them.
    """
    prefix = find_prefix(state)
    with torch.device('meta'):
        expected = ResNet(depth=50).state_dict()
    weights, problems, used = {}, [], set()
    for name, value in expected.items():
        theirs = prefix + name
        if theirs in state:
            used.add(theirs)
            weights[f'backbone.{name}'] = state[theirs]
            if state[theirs].shape != value.shape:
                problems.append(
                    f'{theirs!r} is {tuple(state[theirs].shape)} instead of '
                    f'{tuple(value.shape)}'
                )
        elif name.endswith(COUNT):
            weights[f'backbone.{name}'] = torch.zeros((), dtype=torch.int64)
        else:
            problems.append(f'{theirs!r} is missing')
    classifier = state.get(CLASSIFIER)
    if classifier is None:
        problems.append(f'{CLASSIFIER!r} is missing')
    elif classifier.shape[1:] not in ((FEATURES,), (FEATURES, 1, 1)):
        problems.append(
            f'{CLASSIFIER!r} is {tuple(classifier.shape)} instead of '
            f'(classes, {FEATURES}, 1, 1)'
        )
    else:
        used.add(CLASSIFIER)
        weights[OUR_CLASSIFIER] = classifier.reshape(-1, FEATURES, 1, 1)
    left_out = [name for name in state if name not in used]
    problems += [
        f'nothing is known of {name!r}'
        for name in left_out
        if name.removeprefix(prefix) not in UNUSED
        and not _repeats(state[name], weights)
    ]
    if problems:
        raise ValueError('; '.join(problems))
    return Converted(weights, tuple(left_out))


def _repeats(value: Tensor, weights: Mapping[str, Tensor]) -> bool:
    """Tell whether a tensor is one of the weights under a second name."""
    return any(
        value.shape == other.shape and torch.equal(value, other)
        for other in weights.values()
    )


def main(argv: list[str] | None = None) -> None:
    parser = converter_parser(__doc__)
    args = parser.parse_args(argv)
    try:
        state = read_state_dict(args.source)
        try:
            converted = convert_weights(state)
        except ValueError as error:
            raise ValueError(f'{args.source}: {error}') from error
        save_weights(args.out, args.source, converted.weights)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print_log(
        f'{len(converted.left_out)} tensors left out: '
        f'{", ".join(converted.left_out) or "none"}'
    )
    print_log(
        f'{len(converted.weights)} tensors written to {args.out}, with '
        f'{len(converted.weights[OUR_CLASSIFIER])} foreground classes.'
    )


if __name__ == '__main__':
    main()
