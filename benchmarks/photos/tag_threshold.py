"""Choose the background's threshold by tags, without any mask.

A region that is marked for a tag should show it, and the rest of the photo
should not. For each held-out photo, each of its tags and each threshold, the
classifier sees the photo with nothing but the region (the rest has the mean
colour), and with nothing but the rest. With

    inside(t)  = mean probability of the tags in the region,
    outside(t) = mean probability of the tags in the rest,
    area(t)    = mean share of the photo that is the region,

the threshold with the largest (inside + 1 - outside) / 2 - area is taken: what
the regions tell beyond their size. Random regions of any size have 0. The tags
of held-out photos are all that is read. Regions may be those behind the CRF,
as the masks are.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.engine.loading import load_segmentor
from mmseg_weakclip.models.refine.dense_crf import dense_crf

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)


def region_gain(inside: Tensor, outside: Tensor, area: Tensor) -> Tensor:
    """The measure of the thresholds.

    Args:
        inside: Probability of a tag in its region, (tags, T).
        outside: Its probability in the rest, (tags, T).
        area: Share of the photo that is the region, (tags, T).

    Returns:
        float32, (T,).
    """
    told = (inside.float() + 1 - outside.float()) / 2
    return (told - area).mean(0)


def marked_regions(
    scores: Tensor, image: Tensor, labels: Sequence[int], crf: str
) -> Tensor:
    """The pixels of each tag, at each threshold.

    Args:
        scores: Class maps in [0, 1] behind an empty background, (K, H, W).
        image: Colours, 0..255, (3, H, W).
        labels: Tags of the image, ids from 1.
        crf: Preset of the CRF; '' takes pixels above the threshold.

    Returns:
        bool, (tags, T, H, W).
    """
    own = scores[list(labels)]
    if not crf:
        marked = [own > threshold for threshold in THRESHOLDS]
        return torch.stack(marked, 1)
    marked = []
    for threshold in THRESHOLDS:
        planes = torch.cat([torch.full_like(own[:1], threshold), own])
        refined = dense_crf(image[None], planes[None], crf)[0]
        best = refined.argmax(0)
        marked.append(
            torch.stack([best == place + 1 for place in range(len(own))])
        )
    return torch.stack(marked, 1)


@torch.no_grad()
def choose_threshold(
    maps: Config,
    tags: Config,
    checkpoint: str,
    limit: int | None = None,
    crf: str = '',
) -> dict[float, float]:
    """Measure each threshold.

    Args:
        maps: Test config of class maps, with several views.
        tags: Test config of the held-out tags, with one view.
        checkpoint: Weights of the classifier.
        limit: Number of photos that are looked at; None takes all.
        crf: Preset of the CRF behind which regions are taken, or ''.

    Returns:
        The measure of each of THRESHOLDS.
    """
    init_default_scope('mmseg')
    held_out = DATASETS.build(tags.test_dataloader.dataset)
    views = DATASETS.build(
        dict(
            maps.test_dataloader.dataset,
            ann_file=tags.test_dataloader.dataset.ann_file,
            part='held_out',
            pipeline=maps.tta_pipeline,
        )
    )
    model = load_segmentor(maps, checkpoint).model
    maker = MODELS.build(dict(maps.tta_model, module=model))
    rows: list[list[Tensor]] = [[], [], []]
    for index in range(min(len(held_out), limit or len(held_out))):
        data = model.data_preprocessor(pseudo_collate([held_out[index]]))
        images, (sample,) = data['inputs'], data['data_samples']
        height, width = sample.img_shape
        (made,) = maker.test_step(pseudo_collate([views[index]]))
        # All but the background's, divided by their largest.
        scores = made.seg_scores.data.float()
        pixels = read_color_image(sample.img_path)[..., ::-1].copy()
        colours = torch.from_numpy(pixels).permute(2, 0, 1)
        regions = marked_regions(scores, colours, sample.image_labels, crf)
        regions = F.interpolate(regions.float(), (height, width)) > 0
        for label, own in zip(sample.image_labels, regions):
            kept = own[:, None]
            # The mean colour is 0 behind the normalisation, as padding is.
            over = images.shape[3] - width, images.shape[2] - height
            region = F.pad(kept, (0, over[0], 0, over[1]))
            views_of_it = torch.cat([images * region, images * ~region])
            logits = torch.cat(
                [
                    model.decode_head(model.extract_feat(view)).mean((2, 3))
                    for view in views_of_it.split(8)
                ]
            )[:, label - 1]
            inside, outside = logits.sigmoid().view(2, -1)
            found = (inside, outside, kept.float().mean((1, 2, 3)))
            for row, values in zip(rows, found):
                row.append(values)
    gains = region_gain(*map(torch.stack, rows))
    return dict(zip(THRESHOLDS, gains.tolist()))
