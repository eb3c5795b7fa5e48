"""Weights of timm models: files of whole classifiers, and timm's own."""

from collections.abc import Sequence
from pathlib import Path

import timm
from mmengine.logging import print_log
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import nn

from mmseg_weakclip.common.network import require_host
from mmseg_weakclip.models.clip.weight_files.reading import read_state_dict

# Number of tensors that a message names.
SHOWN = 5
# Counts of batches, which only norms without a momentum read.
COUNT = 'num_batches_tracked'
# What Meta's files of DINOv2 have and timm's models have not: their names are
# changed to timm's.
MASK_TOKEN = 'mask_token'


def load_timm_weights(network: nn.Module, path: str | Path) -> None:
    """Load a checkpoint of a whole classifier, without the classifier.

    No code of the file is run.

    Args:
        network: Model of :func:`build_timm_model`, changed in place.
        path: State dict or safetensors with timm's names, or a file of
            DINOv2 as Meta releases it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or of another model; the message names
            tensors that are missing, misshapen, or without a place.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'the weights {path} do not exist')
    given = read_state_dict(path)
    wanted = network.state_dict()
    if MASK_TOKEN in given and MASK_TOKEN not in wanted:
        given = checkpoint_filter_fn(given, network)
    heads = classifier_names(network)
    dropped = [
        name for name in given if name not in wanted and name.startswith(heads)
    ]
    missing = [
        name
        for name in wanted
        if name not in given and not name.endswith(COUNT)
    ]
    shapes = [
        f'{name} {tuple(given[name].shape)} for {tuple(value.shape)}'
        for name, value in wanted.items()
        if name in given and given[name].shape != value.shape
    ]
    others = sorted(set(given) - set(wanted) - set(dropped))
    problems = [
        f'{text} {_some(names)}'
        for text, names in (
            ('it lacks', missing),
            ('other shapes have', shapes),
            ('no place have', others),
        )
        if names
    ]
    if problems:
        kind = network.pretrained_cfg.get('architecture')
        raise ValueError(
            f'{path} does not hold the weights of timm model {kind!r}: '
            + '; '.join(problems)
        )
    network.load_state_dict(
        {n: value for n, value in given.items() if n in wanted}, strict=False
    )
    print_log(
        f'{path}: {len(wanted)} tensors loaded, the classifier is left out '
        f'({", ".join(dropped) or "none"})',
        'current',
    )


def classifier_names(network: nn.Module) -> tuple[str, ...]:
    """Return how the names of a classifier's tensors begin."""
    names = network.pretrained_cfg.get('classifier') or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    return tuple(f'{name}.' for name in names)


def _some(names: Sequence[str]) -> str:
    more = ', ...' if len(names) > SHOWN else ''
    return f'{len(names)} tensors ({", ".join(names[:SHOWN])}{more})'


def load_own_weights(network: nn.Module, name: str) -> None:
    """Load the weights that timm has for a model, by its name.

    Args:
        network: Model of :func:`build_timm_model`, changed in place.
        name: Name of a timm model, with the tag of its weights or without.

    Raises:
        ConnectionError: The weights are not in the cache, and their host
            cannot be reached.
        ValueError: timm has no weights for the model.
    """
    settings = network.pretrained_cfg
    if not any(settings.get(key) for key in ('hf_hub_id', 'url', 'file')):
        raise ValueError(
            f'timm has no weights for {name!r}: give pretrained=FILE, or '
            'None for random weights'
        )
    host = host_of_weights(name)
    if host is not None:
        try:
            require_host(host)
        except ConnectionError as error:
            raise ConnectionError(
                f'the weights of timm model {name!r} are not in the cache, '
                f'and {error}; fetch them elsewhere, and give pretrained=FILE'
            ) from error
    source = timm.create_model(name, pretrained=True, num_classes=0)
    network.load_state_dict(source.state_dict())


def host_of_weights(name: str) -> str | None:
    """Return the address to ask for timm's weights; None if they are here.

    Args:
        name: Name of a timm model.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    settings = timm.get_pretrained_cfg(name)
    hub = getattr(settings, 'hf_hub_id', None)
    names = ('model.safetensors', 'pytorch_model.bin')
    if hub is None or any(
        isinstance(try_to_load_from_cache(hub, file), str) for file in names
    ):
        return None
    return constants.ENDPOINT
