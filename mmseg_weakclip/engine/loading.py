"""Loader of a trained segmentor from its config and checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.datasets.configs import config_metainfo

from . import checkpoint_files  # noqa: F401  (safe loaders of mmengine)
from .hooks import name_classes
from .runner import trained_parameters

# Number of missing or unexpected tensors that a message names.
SHOWN = 3


@dataclass(frozen=True)
class TrainedSegmentor:
    """Segmentor with its weights and classes.

    Attributes:
        model: Segmentor in evaluation mode, on the CPU.
        classes: Class names.
        palette: RGB triple (0..255) of each class.
        config: Name of the config.
        is_rgb: Whether the network takes RGB.
        takes_rgb: Whether its preprocessor takes RGB; mmcv reads BGR.
    """

    model: BaseSegmentor
    classes: list[str]
    palette: list[list[int]]
    config: str
    is_rgb: bool
    takes_rgb: bool


def load_segmentor(cfg: Config, checkpoint: str | None) -> TrainedSegmentor:
    """Build a segmentor, load its weights and name its classes.

    Classes and palette are those of the checkpoint or, if it has none, of
    the config's data sets.

    Args:
        cfg: Whole config.
        checkpoint: File or URL; None for a model with nothing to train.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: The file is not a checkpoint, or one of another model;
            the model needs a checkpoint; or the class names are unknown.
    """
    if checkpoint is not None:
        require_checkpoint(checkpoint)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    # Weights to start a training from are not needed, and may be remote.
    if 'pretrained' in cfg.model:
        cfg.model.pretrained = None
    # It is used in training only.
    cfg.model.pop('auxiliary_head', None)
    name = cfg.filename or 'the config'
    try:
        model = MODELS.build(cfg.model)
    except Exception as error:  # a part may raise anything
        raise ValueError(
            f'{name} cannot be used ({type(error).__name__}): {error}'
        ) from error
    meta: dict[str, Any] = {}
    if checkpoint is not None:
        meta = load_weights(model, checkpoint, name)
    elif trained := trained_parameters(model):
        raise ValueError(
            f'{name} describes a model that is trained ({len(trained)} '
            f'tensors such as {trained[0]}); give its checkpoint'
        )
    if not meta.get('classes'):
        meta = config_metainfo(cfg) or {}
    classes = list(meta.get('classes') or ())
    if not classes:
        raise ValueError(
            f'neither {checkpoint or "a checkpoint"} nor a data set of {name} '
            'names classes: give test_dataloader.dataset '
            'metainfo=dict(classes=(...))'
        )
    palette = [[int(c) for c in color] for color in meta.get('palette') or ()]
    if len(palette) != len(classes):
        palette = label_colors(len(classes))
    name_classes(model, classes)
    preprocessor = cfg.model.get('data_preprocessor') or {}
    return TrainedSegmentor(
        model=model.eval(),
        classes=classes,
        palette=palette,
        config=Path(cfg.filename or 'config').stem,
        is_rgb=bool(preprocessor.get('bgr_to_rgb')),
        takes_rgb=bool(preprocessor.get('rgb_to_bgr')),
    )


def require_checkpoint(checkpoint: str) -> None:
    """Check that a checkpoint is there, before anything is built.

    Args:
        checkpoint: File or URL.

    Raises:
        FileNotFoundError: The file is missing.
    """
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'the checkpoint {checkpoint} does not exist')


def load_weights(
    model: BaseSegmentor, checkpoint: str, config: str
) -> dict[str, Any]:
    """Load a checkpoint that has every weight of the model.

    Weights that are missing would silently stay random. No code from the file
    is run; see ``checkpoint_files``.

    Args:
        model: Model that gets the weights.
        checkpoint: File or URL.
        config: Name of the model's config, for messages.

    Returns:
        The checkpoint's ``dataset_meta``, which may be empty.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is not a checkpoint, or one of another model.
    """
    require_checkpoint(checkpoint)
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    state = loaded.get('state_dict', loaded)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor)
        for name, value in state.items()
    ):
        raise ValueError(
            f'{checkpoint} is not a checkpoint: it holds more than tensors '
            'with names'
        )
    state = {
        name.removeprefix('module.'): value for name, value in state.items()
    }
    known = set(model.state_dict())
    try:
        keys = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        # A headline, then one line for each tensor of another shape.
        _, *shapes = str(error).splitlines()
        raise ValueError(
            f'{checkpoint} is of another model than {config}: '
            f'{len(shapes)} tensors differ in shape, the first: '
            f'{shapes[0].strip()}'
        ) from error
    missing = [
        name
        for name in keys.missing_keys
        if not name.endswith('num_batches_tracked')
    ]
    if missing:
        surplus = [name for name in state if name not in known]
        raise ValueError(
            f'{checkpoint} is of another model than {config}: it lacks '
            f'{_some(missing)}, and has {_some(surplus)} more'
        )
    meta = loaded.get('meta')
    if not isinstance(meta, dict):
        return {}
    return meta.get('dataset_meta') or {}


def _some(names: list[str]) -> str:
    dots = ', ...' if len(names) > SHOWN else ''
    return f'{len(names)} tensors ({", ".join(names[:SHOWN])}{dots})'
