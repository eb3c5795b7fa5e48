"""What a grouping of patches makes of images, in colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import Compose
from mmseg.apis import init_model
from PIL import Image

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.overlay import tile_pictures
from mmseg_weakclip.models.segclip.encoder import require_region_tokens
from mmseg_weakclip.models.segclip.regions import region_map


def paint_ids(ids: np.ndarray, first: int = 0) -> Image.Image:
    """A map of ids in the colours of PASCAL VOC.

    Args:
        ids: (H, W).
        first: Added to each, for ids that have no black.
    """
    colors = np.array(label_colors(256), dtype=np.uint8)
    return Image.fromarray(colors[ids + first])


@torch.no_grad()
def draw_groups(
    config: str | Path, checkpoint: str | Path, images: Sequence[Path]
) -> Image.Image:
    """Images, the groups that their patches are in, and what is predicted.

    Args:
        config: Of a network with a ``RegionTextHead``.
        checkpoint: Its weights.
        images: Files.
    """
    model = init_model(str(config), str(checkpoint), device='cpu')
    pipeline = [
        step
        for step in model.cfg.test_pipeline
        if not step['type'].startswith('Load') or 'Image' in step['type']
    ]
    prepare = Compose(pipeline)
    columns: dict[str, list] = {'image': [], 'groups': [], 'prediction': []}
    for path in images:
        sample = prepare(dict(img_path=str(path)))
        batch = dict(
            inputs=[sample['inputs']], data_samples=[sample['data_samples']]
        )
        data = model.data_preprocessor(batch, False)
        features = model.extract_feat(data['inputs'])
        regions = require_region_tokens(features, 'a picture')
        size = data['inputs'].shape[-2:]
        ids = region_map(regions.groups.soft, regions.grid, size)[0]
        predicted = model.test_step(batch)[0].pred_sem_seg.data[0]
        columns['image'].append(Image.open(path))
        columns['groups'].append(paint_ids(ids.numpy(), first=1))
        columns['prediction'].append(paint_ids(predicted.numpy()))
    return tile_pictures(columns, side=144)
