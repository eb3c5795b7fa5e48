"""The public ImageNet weights of ResNet-38 by the names that they have here.

Their authors published MXNet's format
(``ilsvrc-cls_rna-a1_cls1000_ep-0001.params``); copies in PyTorch's form, whose
modules are called as in :class:`ResNet38d`, came with later papers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mxnet_params import is_mxnet_params, read_mxnet_params
from torch import Tensor

from mmseg_weakclip.models.clip.weights import read_state_dict
from mmseg_weakclip.models.segmenters.resnet38d import ResNet38d

# 'res4b3_branch2a_weight' is of the fourth block of the stage b4, whose first
# is called 4a.
BRANCH = re.compile(
    r'(?P<kind>res|bn)(?P<stage>\d)(?P<block>a|b(?P<index>\d+))'
    r'_(?P<branch>branch\w+?)_(?P<value>weight|gamma|beta|moving_(mean|var))'
)
LAST_NORM = re.compile(r'bn7_(?P<value>gamma|beta|moving_(mean|var))')
VALUES = {
    'weight': 'weight',
    'gamma': 'weight',
    'beta': 'bias',
    'moving_mean': 'running_mean',
    'moving_var': 'running_var',
}
# A count that only norms without a momentum look at, and MXNet's lack.
COUNT = 'num_batches_tracked'


@dataclass(frozen=True)
class Placement:
    """What became of the tensors of a file.

    Attributes:
        weights: Those of ResNet38d, all of them.
        unplaced: Names in the file of the others, such as the classifier's.
    """

    weights: dict[str, Tensor]
    unplaced: tuple[str, ...]


def name_of_mxnet(name: str) -> str | None:
    """Our name of an array in MXNet's file; None if there is none."""
    name = name.removeprefix('arg:').removeprefix('aux:')
    if name == 'conv1a_weight':
        return 'conv1a.weight'
    if match := LAST_NORM.fullmatch(name):
        return f'bn7.{VALUES[match["value"]]}'
    match = BRANCH.fullmatch(name)
    if match is None:
        return None
    block = f'b{match["stage"]}'
    if match['index']:
        block += f'_{match["index"]}'
    kind = dict(res='conv', bn='bn')[match['kind']]
    return f'{block}.{kind}_{match["branch"]}.{VALUES[match["value"]]}'


def read_resnet38d(path: str | Path) -> dict[str, tuple[str, Tensor]]:
    """Tensors of a file, and their names in it, by our names.

    Those without a name of ours keep their own.

    Args:
        path: MXNet's file, or a state dict.

    Raises:
        OSError: There is no such file.
        ValueError: It is cut off, or two tensors would have one name.
    """
    path = Path(path)
    if is_mxnet_params(path):
        # Copied: PyTorch takes no arrays that can't be written to.
        state = {
            name: torch.from_numpy(array.copy())
            for name, array in read_mxnet_params(path).items()
        }
        ours = {name: name_of_mxnet(name) or name for name in state}
    else:
        state = read_state_dict(path)
        ours = {name: name.removeprefix('backbone.') for name in state}
    placed: dict[str, tuple[str, Tensor]] = {}
    for name, value in state.items():
        if ours[name] in placed:
            raise ValueError(
                f'{path}: {placed[ours[name]][0]!r} and {name!r} both become '
                f'{ours[name]!r}'
            )
        placed[ours[name]] = (name, value)
    return placed


def place_weights(named: Mapping[str, tuple[str, Tensor]]) -> Placement:
    """Take what a ResNet38d has, in its shapes.

    Args:
        named: See :func:`read_resnet38d`.

    Raises:
        ValueError: A tensor is missing or has another shape; the message
            names all of them.
    """
    with torch.device('meta'):
        expected = ResNet38d().state_dict()
    weights, problems = {}, []
    for name, value in expected.items():
        if name.endswith(COUNT):
            weights[name] = torch.zeros((), dtype=value.dtype)
        elif name not in named:
            problems.append(f'nothing becomes {name!r}')
        else:
            origin, tensor = named[name]
            if tensor.shape != value.shape:
                problems.append(
                    f'{origin!r} is {tuple(tensor.shape)}, {name!r} of the '
                    f'network {tuple(value.shape)}'
                )
            weights[name] = tensor.float()
    if problems:
        raise ValueError('; '.join(problems))
    unplaced = tuple(
        origin for name, (origin, _) in named.items() if name not in expected
    )
    return Placement(weights, unplaced)
