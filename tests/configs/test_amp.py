"""Every kind of head predicts in half precision, with scores in float32."""

import contextlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from pretend_cuda import pretend_cuda

from mmseg_weakclip.apps.demo.zero_shot import build_zero_shot
from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import make_scene

# One of each kind of head and of view.
KINDS = [
    'clipes/clipes_vit-b16_voc12.py',
    'excel/excel_vit-b16_1xb4-30k_voc12-320x320_seeds.py',
    'toyland/cam.py',
    'toyland/seeds.py',
    'toyland/segclip.py',
    'toyland/segmenter.py',
    'toyland/weakclip.py',
    'toyland/zero_shot.py',
]


@pytest.fixture(params=['cpu', 'cuda'])
def there(request):
    """A device, and the type that networks run in there."""
    with contextlib.ExitStack() as stack:
        if request.param == 'cuda' and not torch.cuda.is_available():
            stack.enter_context(pretend_cuda())
        yield dict(cpu='bfloat16', cuda='float16')[request.param]


@pytest.fixture
def scores_seen(monkeypatch):
    """Types of what the evaluator gets."""
    seen = []

    def look(self, data_samples, data_batch=None):
        for sample in data_samples:
            for name in ('seg_logits', 'seg_scores'):
                if name in sample:
                    seen.append(sample.get(name).data.dtype)
                    assert torch.isfinite(sample.get(name).data).all()

    monkeypatch.setattr('mmengine.evaluator.Evaluator.process', look)
    monkeypatch.setattr(
        'mmengine.evaluator.Evaluator.evaluate', lambda self, size: {}
    )
    return seen


@pytest.mark.parametrize('name', KINDS)
def test_predicts(name, load_small, data, there, scores_seen):
    for folder in [*data.rglob('seeds'), *data.rglob('weakclip')]:
        shutil.rmtree(folder, ignore_errors=True)
    cfg = load_small(name)
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = None
    cfg.param_scheduler = None
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_dataloader.dataset.indices = 1
    cfg.test_cfg = dict(type='AmpTestLoop', amp_dtype=there)
    low = []
    runner = Runner.from_cfg(cfg)
    for module in runner.model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            module.register_forward_hook(
                lambda m, i, out: low.append(out.dtype)
            )
    runner.test()
    assert set(scores_seen) == {torch.float32}
    assert getattr(torch, there) in low


def agreement(segmenter, images, dtype) -> float:
    """Share of the pixels of all images with the same class."""
    half = replace(segmenter, amp_dtype=dtype)
    same = [
        one.predict([image], ['image'])[0] for image in images
        for one in (segmenter, half)
    ]  # fmt: skip
    pairs = zip(same[::2], same[1::2])
    equal = np.concatenate([(a == b).ravel() for a, b in pairs])
    return float(equal.mean())


@pytest.fixture
def zero_shot(thin_clip):
    """A zero-shot segmenter of toyland's classes, one of photos."""

    def build(dense, model=thin_clip, pretrained=None, names=CLASSES):
        torch.manual_seed(0)
        return build_zero_shot(
            [(name,) for name in names], [('sky',), ('grass',)], None, dense,
            model, pretrained, 'a photo of a {}.', 224, None,
            torch.device('cpu'),
        )  # fmt: skip

    return build


@pytest.mark.parametrize('dense', ['maskclip', 'sclip', 'excel'])
def test_agreement_on_toyland(dense, zero_shot):
    segmenter = zero_shot(dense, 'toyclip', 'toyland')
    images = [make_scene(0, i, 96).image[..., ::-1] for i in range(4)]
    assert agreement(segmenter, images, torch.bfloat16) >= 0.995


def test_agreement_on_photos(zero_shot, voc_root):
    """With random weights, whose scores are closer than trained ones'."""
    paths = sorted((voc_root / 'JPEGImages').glob('*.jpg'))[:4]
    images = [read_color_image(str(path)) for path in paths]
    assert agreement(zero_shot('sclip'), images, torch.bfloat16) >= 0.995
