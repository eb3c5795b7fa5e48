"""Edits that turn a config of this package into one of a user's run."""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.weights import TIMM_GUIDES, is_clip
from mmseg_weakclip.datasets.configs import iter_dicts

# Keys that a Runner reads: always, in a training, and in a test; other
# variables of a config are dropped.
COMMON_KEYS = (
    'default_scope', 'custom_imports', 'env_cfg', 'randomness', 'log_level',
    'log_processor', 'visualizer', 'default_hooks', 'custom_hooks', 'model',
)  # fmt: skip
TRAIN_KEYS = (
    'load_from', 'resume', 'find_unused_parameters', 'train_dataloader',
    'train_cfg', 'optim_wrapper', 'param_scheduler', 'work_dir',
)  # fmt: skip
VAL_KEYS = ('val_dataloader', 'val_cfg', 'val_evaluator')
TEST_KEYS = (
    'tta_model', 'test_dataloader', 'tta_pipeline', 'test_cfg',
    'test_evaluator',
)  # fmt: skip
SCHEDULE_KEYS = ('begin', 'end', 'T_max')


def set_classes(model: dict, num_classes: int) -> None:
    """Set the number of classes of all parts, background included."""
    for part in iter_dicts(model):
        if 'num_classes' in part:
            part['num_classes'] = num_classes


def set_clip(model: dict, name: str, weights: str | None) -> None:
    """Set the CLIP of all parts of a model that use one.

    A CLIP as backbone gets images with the mean and deviation of its weights,
    but for a config whose published code gives OpenAI's CLIP others. Models
    of timm beside it are told.
    """
    for part in iter_dicts(model):
        if is_clip(part):
            part.update(model=name, pretrained=weights)
    backbone = model.get('backbone', {})
    if backbone.get('type') not in ('CLIPViT', 'GroupingCLIPViT'):
        return
    import mmseg_weakclip.models.clip.weights  # noqa: F401  (local models)
    from mmseg_weakclip.models.clip.normalization import weight_normalization
    from mmseg_weakclip.models.clip.vision import CLIP_MEAN, CLIP_STD

    recorded = weight_normalization(name, weights)
    checked = backbone.get('check_normalization', True)
    if recorded is None or (not checked and recorded == (CLIP_MEAN, CLIP_STD)):
        return
    mean, std = map(list, recorded)
    model['data_preprocessor'].update(mean=mean, std=std)
    backbone['check_normalization'] = True
    for part in iter_dicts(model):
        if part.get('type') in TIMM_GUIDES:
            part.update(mean=mean, std=std)


def fit_to_clip(model: dict, name: str) -> None:
    """Fit WeakCLIP's pyramid to the width and the depth of a CLIP."""
    import mmseg_weakclip.models.clip.weights  # noqa: F401  (local models)
    from mmseg_weakclip.models.clip.model_config import image_tower_size
    from mmseg_weakclip.models.clip.weight_sources import find_model

    settings = find_model(name).config
    width, layers = image_tower_size(settings)
    backbone, neck = model['backbone'], model['neck']
    last = backbone['out_indices'][-1]
    if backbone['adapter']['channels'] == width and last == layers - 1:
        return
    backbone['out_indices'] = tuple(
        round((index + 1) * layers / (last + 1)) - 1
        for index in backbone['out_indices']
    )
    backbone['adapter']['channels'] = width
    neck['in_channels'] = [width] * len(neck['in_channels'])
    neck['embed_dim'] = settings['embed_dim']


def set_names(
    model: dict,
    prompts: Sequence[Sequence[str]],
    background: Sequence[str] | str | None,
    *,
    own_words: bool,
) -> None:
    """Set the names of classes and background in CLIP's prompts.

    Args:
        model: Config of a model.
        prompts: Names of each foreground class.
        background: Words for the background; None keeps those of each text
            bank.
        own_words: Whether the user chose the prompts: published aliases are
            dropped then.
    """
    for part in iter_dicts(model):
        if part.get('type') == 'TemplateText':
            part['names'] = [list(names) for names in prompts]
            if own_words:
                part.pop('aliases', None)
            if background is not None and part.get('background_words'):
                part['background_words'] = background
        elif part.get('type') == 'PromptText':
            part['names'] = ['background', *(names[0] for names in prompts)]


def drop_transforms(pipeline: Any, kinds: Sequence[str]) -> Any:
    """Return a pipeline without some transforms, nested ones included."""
    if isinstance(pipeline, dict):
        return {
            key: drop_transforms(value, kinds)
            for key, value in pipeline.items()
        }
    if isinstance(pipeline, tuple):  # a size, say
        return tuple(drop_transforms(item, kinds) for item in pipeline)
    if isinstance(pipeline, list):
        kept = [
            drop_transforms(item, kinds)
            for item in pipeline
            if not (isinstance(item, dict) and item.get('type') in kinds)
        ]
        # A branch of TestTimeAug must not be empty.
        return [item for item in kept if item != []]
    return pipeline


def set_short_side(pipeline: Any, side: int) -> None:
    """Set the short side of every resize in a pipeline."""
    for transform in iter_dicts(pipeline):
        if transform.get('type') == 'Resize' and 'scale' in transform:
            transform['scale'] = (8 * side, side)


def rescale_schedule(cfg: Config, iterations: int) -> None:
    """Set the number of iterations, and scale all phases in proportion.

    Checkpoints are written ten times, or each 2,000 iterations.
    """
    ratio = iterations / cfg.train_cfg.max_iters
    for scheduler in cfg.get('param_scheduler') or ():
        for key in SCHEDULE_KEYS:
            if key in scheduler:
                least = 0 if key == 'begin' else 1
                scaled = round(scheduler[key] * ratio)
                scheduler[key] = max(least, scaled)
    interval = max(1, min(2000, iterations // 10))
    cfg.train_cfg.max_iters = iterations
    if 'val_interval' in cfg.train_cfg:
        cfg.train_cfg.val_interval = max(1, min(2000, iterations // 4))
    cfg.default_hooks.checkpoint.interval = interval
    cfg.default_hooks.logger.interval = max(1, min(50, iterations // 20))


def only_keys(cfg: Config, *groups: Sequence[str]) -> Config:
    """Return the settings of some groups of keys, in their order."""
    keys = [key for group in (COMMON_KEYS, *groups) for key in group]
    return Config({key: cfg[key] for key in keys if key in cfg})
