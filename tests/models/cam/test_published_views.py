"""Maps of several views as the code of IRNet and CLIMS makes them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmseg.registry import MODELS
from PIL import Image

from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.models.cam.classifier import CAMHead
from mmseg_weakclip.models.cam.view_resize import resize_to_image
from mmseg_weakclip.pseudo_masks.tta import CAMTTAModel

RELEASED = 'clims/clims_r50_1xb16-15e_voc12-512x512_released'
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
LABELS = (1, 3)


@pytest.fixture
def model(device):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='WeakSegDataPreProcessor',
                mean=MEAN.tolist(),
                std=STD.tolist(),
                bgr_to_rgb=True,
                size=(64, 64),
            ),
            backbone=dict(
                type='ResNet',
                depth=18,
                base_channels=8,
                strides=(1, 2, 2, 1),
                dilations=(1, 1, 1, 1),
                out_indices=(3,),
            ),
            decode_head=dict(
                type='CAMHead',
                num_classes=4,
                in_channels=64,
                image_multiple=16,
                background=dict(threshold=0.15),
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    )
    model.init_weights()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model.to(device).eval()


@torch.no_grad()
def naive(model, image: Image.Image) -> torch.Tensor:
    """The published steps, one after the other; no padding of views."""
    width, height = image.size
    device = next(model.parameters()).device
    up = [-(-side // 16) * 16 for side in (height, width)]
    total = 0
    for scale in (1.0, 0.5, 1.5, 2.0):
        size = (int(width * scale + 0.5), int(height * scale + 0.5))
        view = np.asarray(image.resize(size, Image.BICUBIC), np.float32)
        view = torch.from_numpy((view - MEAN) / STD).permute(2, 0, 1)[None]
        pair = torch.cat([view, view.flip(-1)]).to(device)
        maps = model.decode_head(model.backbone(pair)).relu()
        maps = maps[:1] + maps[1:].flip(-1)
        maps = F.interpolate(maps, up, mode='bilinear', align_corners=False)
        total = total + maps[0, :, :height, :width]
    total = total / (total.amax((1, 2), keepdim=True) + 1e-5)
    total[1] = 0  # class 2, which the image does not have
    return torch.cat([torch.full_like(total[:1], 0.15), total])


@pytest.mark.parametrize('size', [(57, 70), (64, 48)])
def test_scores_are_those_of_the_published_steps(model, tmp_path, size):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 9, 3), np.uint8)
    image = Image.fromarray(pixels).resize(size[::-1], Image.BICUBIC)
    image.save(tmp_path / 'a.png')
    pipeline = read_config(RELEASED).tta_pipeline
    # Their place is taken by labels that are there.
    views = Compose([pipeline[0], pipeline[-1]])
    sample = views(dict(img_path=str(tmp_path / 'a.png'), image_labels=LABELS))
    data = pseudo_collate([sample])
    (found,) = CAMTTAModel(module=model).test_step(data)
    expected = naive(model, image)
    assert found.seg_scores.data.shape == (4, *size)
    assert torch.allclose(found.seg_scores.data, expected, atol=2e-4)
    assert (found.pred_sem_seg.data[0] == expected.argmax(0)).all()


def meta(shape, **fields) -> dict:
    return dict(img_path='a.jpg', ori_shape=shape, **fields)


def test_a_flipped_view_covers_the_same_part(device):
    """Cut at the right of the image, whichever way the view looks."""
    maps = torch.rand(1, 2, 3, 4, device=device)
    plain = resize_to_image(maps, [meta((40, 50))], 16)
    full = F.interpolate(maps, (48, 64), mode='bilinear')
    assert torch.equal(plain, full[..., :40, :50])
    turned = meta((40, 50), flip=True, flip_direction='horizontal')
    seen = resize_to_image(maps.flip(-1), [turned], 16)
    assert torch.equal(seen.flip(-1), plain)
    both = resize_to_image(
        torch.cat([maps, maps.flip(-1)]), [meta((40, 50)), turned], 16
    )
    assert torch.equal(both, torch.cat([plain, seen]))


def test_what_it_cannot_do():
    head = CAMHead(3, 2, image_multiple=16)
    features = (torch.rand(2, 2, 3, 3),)
    metas = [meta((40, 50), image_labels=(1,)) for _ in range(2)]
    with pytest.raises(ValueError, match=r"mode='whole'.*'slide'"):
        head.predict(features, metas, dict(mode='slide'))
    other = [metas[0], dict(metas[1], ori_shape=(40, 51))]
    with pytest.raises(ValueError, match='batch_size=1'):
        head.predict(features, other, dict(mode='whole'))
    padded = [dict(m, img_padding_size=[0, 3, 0, 0]) for m in metas]
    with pytest.raises(ValueError, match=r'a\.jpg is padded.*test_cfg=None'):
        head.predict(features, padded, None)
