"""Segmenters from a config and a checkpoint of any mmseg model."""

import torch
from mmcv.transforms import Compose, LoadAnnotations, LoadImageFromFile
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from mmseg_weakclip.common.resources import find_config, read_config
from mmseg_weakclip.datasets.configs import iter_base_datasets
from mmseg_weakclip.datasets.transforms import LoadImageLabels
from mmseg_weakclip.engine.loading import load_segmentor

from .segmenter import Segmenter


def load_trained(
    config: str, checkpoint: str | None, device: torch.device
) -> Segmenter:
    """Build the model of a config and load its weights.

    Classes and palette are the checkpoint's, or, where it has none, those of
    the config's test data set.

    Args:
        config: File of the config, or the name of one of this package.
        checkpoint: File or URL; None for a model with nothing to train.
        device: Device that the model runs on.

    Raises:
        OSError: A file is missing.
        ValueError: The config cannot be used, or the checkpoint is of another
            model.
    """
    path = find_config(config)
    try:
        cfg = read_config(path)
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        if 'model' not in cfg:
            raise ValueError('it describes no model')
        pipeline, to_float32 = build_pipeline(_test_dataset(cfg).pipeline)
    except Exception as error:  # a config runs any code
        raise ValueError(
            f'{config} cannot be used ({type(error).__name__}): {error}'
        ) from error
    source = load_segmentor(cfg, checkpoint)
    return Segmenter(
        model=source.model.to(device),
        pipeline=pipeline,
        classes=tuple(source.classes),
        palette=source.palette,
        to_float32=to_float32,
    )


def _test_dataset(cfg: Config) -> ConfigDict:
    """Return the config of the first test data set, wrappers taken off."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    found = next(iter_base_datasets(dataset), None) if dataset else None
    if not found or 'pipeline' not in found:
        raise ValueError('it has no test_dataloader with a pipeline')
    return found


def build_pipeline(transforms: list[dict]) -> tuple[Compose, bool]:
    """Return a test pipeline for decoded images, without truth or labels.

    Args:
        transforms: Transforms of the config, the loading of the image first.

    Returns:
        The transforms after the loading, and whether it gives float images.

    Raises:
        ValueError: The config loads images by a transform of its own.
    """
    loader, *rest = Compose(transforms).transforms
    if (
        not isinstance(loader, LoadImageFromFile)
        or loader.color_type != 'color'
    ):
        raise ValueError(
            f'its test pipeline loads images by {loader}, but the demo only '
            'loads colour images'
        )
    wanted = [
        transform
        for transform in rest
        if not isinstance(transform, (LoadAnnotations, LoadImageLabels))
    ]
    return Compose(wanted), loader.to_float32
