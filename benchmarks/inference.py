"""What batches and half precision save at test time.

    python benchmarks/inference.py --threads 2 --repeats 3

Sliding windows of zero-shot segmentation (configs/zero_shot) one at a time
and together; the views of WeakCLIP's masks (configs/weakclip), an image and
its flip alone and together; and both in float32 and in half precision. Each
pair runs in turns in one process, on random images and weights, without
reading files and without the CRF. The table has medians, the ratio of the
two, and its range.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
import torch.nn.functional as F
from common import Clock, compare
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weakclip.engine.hooks import name_classes
from mmseg_weakclip.engine.precision import (
    AUTO,
    choose_amp_dtype,
    half_precision,
)
from mmseg_weakclip.pseudo_masks.tta import RunningTTAModel

CONFIGS = Path(__file__).parents[1] / 'configs'
ZERO_SHOT = CONFIGS / 'zero_shot/patch-text_vit-b16_voc21.py'
WEAKCLIP = CONFIGS / 'weakclip_voc.py'
# Of VOC: rows and columns of most images.
IMAGE = (375, 500)
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def build(path: Path, device: str, **test_cfg: object) -> BaseSegmentor:
    """Build a config's model with random weights and names."""
    cfg = Config.fromfile(path).model
    cfg.backbone.pretrained = None
    for part in (cfg.decode_head, cfg.get('neck') or {}):
        if 'text' in part:
            part.text.pretrained = None
            part.text.pop('aliases', None)
            if 'templates' in part.text:
                part.text.templates = 'a photo of a {}.'
    cfg.type = 'BatchedEncoderDecoder'
    cfg.test_cfg.update(test_cfg)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    classes = [f'class {k}' for k in range(1, model.num_classes)]
    name_classes(model, ['background', *classes])
    return model.to(device).eval()


def make_views(short_side: int, scales: tuple[float, ...]) -> dict:
    """Views of one image, each plain and flipped, as TestTimeAug's."""
    torch.manual_seed(0)
    image = F.interpolate(255 * torch.rand(1, 3, 9, 12), IMAGE)
    data: dict[str, list] = dict(inputs=[], data_samples=[])
    for scale in scales:
        factor = scale * short_side / min(IMAGE)
        size = tuple(round(factor * side) for side in IMAGE)
        view = F.interpolate(image, size)[0].byte()
        for flip in (False, True):
            sample = SegDataSample(
                metainfo=dict(
                    img_path='',
                    ori_shape=IMAGE,
                    img_shape=size,
                    flip=flip,
                    flip_direction='horizontal' if flip else None,
                )
            )
            data['inputs'].append([view.flip(2) if flip else view])
            data['data_samples'].append([sample])
    return data


def runner(model: torch.nn.Module, data: dict) -> Callable[[], None]:
    """Return a function that predicts the data."""

    @torch.no_grad()
    def run() -> None:
        model.test_step(deepcopy(data))

    return run


def in_half_precision(
    model: torch.nn.Module, data: dict, dtype: torch.dtype | None
) -> Callable[[], None]:
    """Return a function that predicts the data in half precision."""
    run = runner(model, data)

    def run_low() -> None:
        with half_precision(model, dtype):
            run()

    return run_low


def compare_all(args: argparse.Namespace) -> None:
    """Print the rows of the table."""
    clock = Clock(args.device)
    dtype = choose_amp_dtype(AUTO, torch.device(args.device).type)
    pixels = dict(batch_pixels=args.batch_pixels)
    batched = build(ZERO_SHOT, args.device, **pixels)
    single = deepcopy(batched)
    single.test_cfg.batch_pixels = 0
    views = make_views(args.zero_shot_side, (1.0,))
    plain = {key: value[0] for key, value in views.items()}
    compare(
        'zero-shot windows, together; one at a time',
        runner(batched, plain),
        runner(single, plain),
        args.repeats,
        clock,
    )
    compare(
        f'zero-shot windows, {dtype or "torch.float32"}; float32',
        in_half_precision(batched, plain, dtype),
        runner(deepcopy(batched), plain),
        args.repeats,
        clock,
    )
    network = build(WEAKCLIP, args.device, **pixels)
    views = make_views(args.side, SCALES[: args.scales])
    count = len(views['inputs'])
    together = RunningTTAModel(network)
    alone = RunningTTAModel(network, batch_pixels=0)
    compare(
        f'WeakCLIP, {count} views, flips together; alone',
        runner(together, views),
        runner(alone, views),
        args.repeats,
        clock,
    )
    compare(
        f'WeakCLIP, {count} views, {dtype or "torch.float32"}; float32',
        in_half_precision(together, views, dtype),
        runner(RunningTTAModel(network), views),
        args.repeats,
        clock,
    )


def main() -> None:
    """Parse the options, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--side', type=int, default=512)
    parser.add_argument('--zero-shot-side', type=int, default=336)
    parser.add_argument('--scales', type=int, default=len(SCALES))
    parser.add_argument('--batch-pixels', type=int, default=2**20)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    print('| ours; alternative | ours, s | alternative, s | ratio |')
    print('|---|---|---|---|')
    compare_all(args)


if __name__ == '__main__':
    main()
