"""A segmenter from a config and a checkpoint, of any mmseg model."""

from pathlib import Path
from typing import Any

import torch
from mmcv.transforms import Compose, LoadAnnotations, LoadImageFromFile
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmseg.registry import DATASETS, MODELS

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.datasets.transforms import LoadImageLabels
from mmseg_weakclip.engine.hooks import name_classes
from mmseg_weakclip.engine.runner import trained_parameters

from .segmenter import Segmenter

# As many of the names that do not fit are shown.
SHOWN = 3


def load_trained(
    config: str, checkpoint: str | None, device: torch.device
) -> Segmenter:
    """Build the model of a config and load its weights.

    Classes and palette are the checkpoint's, or, where it has none, those of
    the config's test data set.

    Args:
        config: File.
        checkpoint: File or URL; None for a model with nothing to train.
        device: Where it runs.

    Raises:
        OSError: A file is missing.
        ValueError: The config can't be used, or the checkpoint is of another
            model.
    """
    if not Path(config).is_file():
        raise FileNotFoundError(f'{config} does not exist')
    try:
        cfg = Config.fromfile(config)
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        if 'model' not in cfg:
            raise ValueError('it describes no model')
        dataset = _test_dataset(cfg)
        model = MODELS.build(cfg.model)
        pipeline, to_float32 = build_pipeline(dataset.pipeline)
    except Exception as error:  # a config runs any code
        raise ValueError(
            f'{config} can not be used ({type(error).__name__}): {error}'
        ) from error
    meta = {}
    if checkpoint is not None:
        meta = load_weights(model, checkpoint, config)
    elif trained := trained_parameters(model):
        raise ValueError(
            f'{config} describes a model that is trained ({len(trained)} '
            f'tensors such as {trained[0]}); give its --checkpoint'
        )
    classes, palette = _meaning(meta, dataset)
    if not classes:
        raise ValueError(
            f'neither {checkpoint} nor the test data set of {config} names '
            'classes: give the data set metainfo=dict(classes=(...))'
        )
    name_classes(model, classes)
    return Segmenter(
        model=model.to(device).eval(),
        pipeline=pipeline,
        classes=classes,
        palette=palette,
        to_float32=to_float32,
    )


def _test_dataset(cfg: Config) -> ConfigDict:
    """The config of the test data set, wrappers taken off."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    while dataset is not None and 'pipeline' not in dataset:
        inner = dataset.get('dataset', dataset.get('datasets'))
        dataset = inner[0] if isinstance(inner, list) else inner
    if dataset is None:
        raise ValueError('it has no test_dataloader with a pipeline')
    return dataset


def build_pipeline(transforms: list[dict]) -> tuple[Compose, bool]:
    """A test pipeline for images that are there, without truth or labels.

    Args:
        transforms: Of the config, the loading of the image first.

    Returns:
        What comes behind the loading, and whether that gives float images.

    Raises:
        ValueError: Images are loaded in a way of their own.
    """
    loader, *rest = Compose(transforms).transforms
    if (
        not isinstance(loader, LoadImageFromFile)
        or loader.color_type != 'color'
    ):
        raise ValueError(
            f'its test pipeline loads images by {loader}, and the demo has '
            'nothing but colour pictures'
        )
    wanted = [
        transform
        for transform in rest
        if not isinstance(transform, (LoadAnnotations, LoadImageLabels))
    ]
    return Compose(wanted), loader.to_float32


def load_weights(
    model: BaseModel, checkpoint: str, config: str
) -> dict[str, Any]:
    """Load a checkpoint, all of it or nothing.

    Args:
        model: Is changed.
        checkpoint: File or URL.
        config: Where the model comes from, for messages.

    Returns:
        The checkpoint's ``dataset_meta``, which may be empty.

    Raises:
        OSError: The file is missing.
        ValueError: It is no checkpoint, or one of another model.
    """
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'{checkpoint} does not exist')
    try:
        loaded = CheckpointLoader.load_checkpoint(
            checkpoint, map_location='cpu'
        )
        state = loaded.get('state_dict', loaded)
        state = {
            name.removeprefix('module.'): value
            for name, value in state.items()
        }
    except Exception as error:  # unpickling raises anything
        raise ValueError(
            f'{checkpoint} is no checkpoint ({type(error).__name__})'
        ) from error
    known = set(model.state_dict())
    try:
        keys = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        # A headline, then one line for each tensor of another shape.
        _, *shapes = str(error).splitlines()
        raise ValueError(
            f'{checkpoint} is of another model than {config}: '
            f'{len(shapes)} tensors differ in shape, the first: {shapes[0]}'
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
    return (loaded.get('meta') or {}).get('dataset_meta') or {}


def _some(names: list[str]) -> str:
    dots = ', ...' if len(names) > SHOWN else ''
    return f'{len(names)} tensors ({", ".join(names[:SHOWN])}{dots})'


def _meaning(
    meta: dict, dataset: ConfigDict
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Classes and their colours: the checkpoint's, or the data set's."""
    if not meta.get('classes'):
        own = getattr(DATASETS.get(dataset.type), 'METAINFO', {})
        meta = {**own, **(dataset.get('metainfo') or {})}
    classes = tuple(meta.get('classes') or ())
    palette = [list(color) for color in meta.get('palette') or ()]
    if len(palette) != len(classes):
        palette = label_colors(len(classes))
    return classes, palette
