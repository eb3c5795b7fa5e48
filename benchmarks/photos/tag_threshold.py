"""Choose the background's threshold by tags, without any mask.

A region that is marked for a tag should show it, and the rest of the photo
should not. For each held-out photo, each of its tags and each threshold, the
classifier sees the photo with nothing but the region (the rest has the mean
colour), and with nothing but the rest. With

    inside(t)  = share of tags that are recognised (logit > 0) in the region,
    outside(t) = share of tags that are recognised in the rest,
    area(t)    = mean share of the photo that is the region,

the threshold with the largest (inside + 1 - outside) / 2 - area is taken: what
the regions tell beyond their size. Random regions of any size have 0. The tags
of held-out photos are all that is read.
"""

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from torch import Tensor

from mmseg_weakclip.engine.loading import load_segmentor
from mmseg_weakclip.models.refine.cam import normalize_cam

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 15))


def region_gain(inside: Tensor, outside: Tensor, area: Tensor) -> Tensor:
    """The measure of the thresholds.

    Args:
        inside: Whether a tag is recognised in its region, (tags, T).
        outside: Whether it is recognised in the rest, (tags, T).
        area: Share of the photo that is the region, (tags, T).

    Returns:
        float32, (T,).
    """
    told = (inside.float() + 1 - outside.float()) / 2
    return (told - area).mean(0)


@torch.no_grad()
def choose_threshold(
    config: str, checkpoint: str, options: dict, limit: int | None = None
) -> tuple[float, dict[float, float]]:
    """The best threshold, and the measure of each.

    Args:
        config: Config of the classifier on held-out tags.
        checkpoint: Its weights.
        options: Settings that differ from the config's.
        limit: Number of photos that are looked at; None takes all.
    """
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    init_default_scope('mmseg')
    model = load_segmentor(cfg, checkpoint).model
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    rows: list[list[Tensor]] = [[], [], []]
    for index in range(min(len(dataset), limit or len(dataset))):
        data = model.data_preprocessor(pseudo_collate([dataset[index]]))
        images, (sample,) = data['inputs'], data['data_samples']
        own = [label - 1 for label in sample.image_labels]
        inputs = model.extract_feat(images)
        # Of all classes: tags choose among them.
        metas = [dict(sample.metainfo, pad_shape=images.shape[2:])]
        maps = model.decode_head.predict_maps(inputs, metas)[0, own]
        maps = normalize_cam(maps, mode='max')
        for label, one in zip(own, maps):
            kept = torch.stack([one > t for t in THRESHOLDS])[:, None]
            # The mean colour is 0 behind the normalisation.
            views = torch.cat([images * kept, images * ~kept])
            logits = torch.cat(
                [
                    model.decode_head(model.extract_feat(view)).mean((2, 3))
                    for view in views.split(8)
                ]
            )[:, label]
            inside, outside = (logits > 0).view(2, -1)
            found = (inside, outside, kept.float().mean((1, 2, 3)))
            for row, values in zip(rows, found):
                row.append(values)
    gains = region_gain(*map(torch.stack, rows))
    best = THRESHOLDS[int(gains.argmax())]
    return best, dict(zip(THRESHOLDS, gains.tolist()))
