"""A trained segmentor, from its config and checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS

from mmseg_weakclip.apps.export.segmenter import ExportError, ExportSegmenter
from mmseg_weakclip.datasets.configs import config_metainfo, with_palette
from mmseg_weakclip.version import __version__

from .hooks import name_classes
from .runner import trained_parameters

SHOWN = 3


@dataclass(frozen=True)
class TrainedSegmentor:
    """A segmentor with its weights, and what its classes are.

    Attributes:
        model: In evaluation mode, on the CPU.
        classes: Name of each class.
        palette: RGB triples (0..255).
        config: Name of the config.
        is_rgb: Whether the network takes RGB.
        takes_rgb: Whether its preprocessor is given RGB; mmcv reads BGR.
    """

    model: BaseSegmentor
    classes: list[str]
    palette: list[list[int]]
    config: str
    is_rgb: bool
    takes_rgb: bool

    def metadata(self, segmenter: ExportSegmenter) -> dict[str, str]:
        """What a file should say of itself; lists are JSON."""
        mean, std = (
            value.flatten().tolist()
            for value in (segmenter.mean, segmenter.std)
        )
        if not self.is_rgb:
            mean, std = mean[::-1], std[::-1]
        return dict(
            classes=json.dumps(self.classes),
            palette=json.dumps(self.palette),
            input='RGB, float32, 0 to 255, (batch, 3, height, width)',
            output=segmenter.output,
            mean=json.dumps(mean),
            std=json.dumps(std),
            size_divisor=str(segmenter.divisor),
            test_cfg=json.dumps(self.model.test_cfg),
            config=self.config,
            mmseg_weakclip=__version__,
        )


def load_segmentor(cfg: Config, checkpoint: str | None) -> TrainedSegmentor:
    """Build a segmentor, load its weights and name its classes.

    Args:
        cfg: The whole config.
        checkpoint: File; None for what is not trained.

    Raises:
        ExportError: The checkpoint does not fit or is missing, or nobody
            knows the names of the classes.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    # Weights to start a training from are of no use, and may be far away.
    if 'pretrained' in cfg.model:
        cfg.model.pretrained = None
    # Of use in training only.
    cfg.model.pop('auxiliary_head', None)
    model = MODELS.build(cfg.model)
    meta = config_metainfo(cfg)
    if checkpoint is not None:
        meta = _load(model, checkpoint) or meta
    else:
        trained = trained_parameters(model)
        if trained:
            raise ExportError(
                f'its model is trained ({len(trained)} tensors such as '
                f'{trained[0]}); give its checkpoint behind the config'
            )
    if meta is None:
        raise ExportError(
            'neither checkpoint nor config say what its classes are called; '
            'give test_dataloader.dataset.metainfo.classes'
        )
    name_classes(model, meta['classes'])
    model.eval()
    preprocessor = cfg.model.get('data_preprocessor') or {}
    return TrainedSegmentor(
        model=model,
        classes=meta['classes'],
        palette=meta['palette'],
        config=Path(cfg.filename or 'config').stem,
        is_rgb=bool(preprocessor.get('bgr_to_rgb')),
        takes_rgb=bool(preprocessor.get('rgb_to_bgr')),
    )


def _load(model: BaseSegmentor, path: str) -> dict[str, list] | None:
    """Load weights; returns what the file says of classes, if anything.

    Every weight must be there: a file is wanted that predicts, and random
    weights in it would go unnoticed.
    """
    content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    state = {
        key.removeprefix('module.'): value
        for key, value in content.get('state_dict', content).items()
    }
    try:
        missing, _ = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        line = str(error).splitlines()[1:] or [str(error)]
        raise ExportError(f'{path} does not fit: {line[0].strip()}') from error
    if missing:
        raise ExportError(
            f'{path} lacks {len(missing)} tensors of the model '
            f'({", ".join(missing[:SHOWN])}, ...); was it trained with '
            'another config?'
        )
    meta = content.get('meta', {}).get('dataset_meta')
    return with_palette(meta) if meta and meta.get('classes') else None
