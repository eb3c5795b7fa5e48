"""What a training step of WeakCLIP costs, beside the least it could cost.

    python benchmarks/training_step.py --crop 512 --batch 2 --threads 2

The floor is the published maths with nothing around it: the image tower
without a graph (open_clip's own or ours, whichever is faster: in bfloat16 on
a CPU, open_clip's takes ten times as long), forward and backward pass of the
trained parts alone (adapter, prompts through the text tower, co-attention,
FPN, head) and the optimiser. Ours is ``EncoderDecoder.train_step`` whole:
preprocessing, all losses with their CRF, checks. Both run in turns in one
process, on random images and weights; the table has medians, and the ratio of
the two comes from steps that ran one after the other. Every precision runs in
a fresh process, so that its peak memory is its own.
"""

import argparse
import multiprocessing
import statistics
from pathlib import Path

import open_clip
import torch
from common import (
    PRECISIONS,
    Clock,
    PrecisionWrapper,
    make_batch,
    peak_bytes,
)
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weakclip.engine.hooks import check_class_counts
from mmseg_weakclip.models.clip.text_bank import TextBank
from mmseg_weakclip.models.clip.tokens import CLIPTokens

CONFIG = Path(__file__).parents[1] / 'configs/weakclip_voc.py'


def build(config: str, crop: int, device: str) -> tuple:
    """Model without pretrained weights, and its optimiser."""
    init_default_scope('mmseg')
    cfg = Config.fromfile(config)
    without = dict(pretrained=None)
    cfg.merge_from_dict(
        {
            'model.backbone': without,
            'model.neck.text': without,
            'model.data_preprocessor.size': (crop, crop),
        }
    )
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(device)
    classes = [f'class {k}' for k in range(model.decode_head.num_classes)]
    for module in model.modules():
        if isinstance(module, TextBank) and module.names is None:
            module.set_names(classes)
    check_class_counts(model, classes)
    return model.train(), build_optim_wrapper(model, cfg.optim_wrapper)


def floor_step(
    trunk: nn.Module,
    model: EncoderDecoder,
    wrapper: PrecisionWrapper,
    images: Tensor,
    inputs: tuple[tuple[Tensor, ...], CLIPTokens],
    clock: Clock,
) -> dict[str, float]:
    """One step of the bare maths; seconds of its parts."""
    maps, tokens = inputs
    clock()
    with torch.no_grad(), wrapper.precision():
        trunk(images)
        theirs = clock()
        model.backbone._run_tower(images)
    seconds = dict(trunk=min(theirs, clock()))
    with wrapper.precision():
        levels = model.backbone.adapter(maps)
        *levels, score = model.neck((*levels, tokens))
        logits = model.decode_head(levels)
    seconds['forward'] = clock()
    (logits.float().mean() + score.float().mean()).backward()
    seconds['backward'] = clock()
    wrapper.optimizer.step()
    wrapper.optimizer.zero_grad()
    seconds['optimiser'] = clock()
    seconds['floor'] = sum(seconds.values())
    return seconds


def measure(args: argparse.Namespace, precision: str) -> dict:
    """Seconds of all parts, by repeat, and the peak memory in bytes."""
    torch.set_num_threads(args.threads)
    model, wrapper = build(args.config, args.crop, args.device)
    trunk = open_clip.create_model(
        Config.fromfile(args.config).model.backbone.model,
        force_image_size=args.crop,
    ).visual.to(args.device)
    trunk.requires_grad_(False).eval()
    wrapper = PrecisionWrapper(wrapper.optimizer, args.device, precision)
    batch = make_batch(args.batch, args.crop, model.decode_head.num_classes)
    images = model.data_preprocessor(batch, True)['inputs']
    with torch.no_grad(), wrapper.precision():
        inputs = model.backbone._run_tower(images)
    clock = Clock(args.device)
    rows = []
    for _ in range(args.repeats + 1):
        clock()
        model.train_step(batch, wrapper)
        ours = clock()
        seconds = floor_step(trunk, model, wrapper, images, inputs, clock)
        rows.append(dict(seconds, ours=ours, ratio=ours / seconds['floor']))
    return dict(rows=rows[1:], peak=peak_bytes(args.device))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--config', default=str(CONFIG))
    parser.add_argument('--crop', type=int, default=512)
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument(
        '--precisions',
        nargs='+',
        default=list(PRECISIONS),
        choices=PRECISIONS,
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(
        f'Crop {args.crop}, batch {args.batch}, {args.device}, '
        f'{args.threads} threads; median seconds of {args.repeats} steps.\n'
    )
    context = multiprocessing.get_context('spawn')
    header = None
    for precision in args.precisions:
        with context.Pool(1) as pool:
            result = pool.apply(measure, (args, precision))
        rows = result['rows']
        if header is None:
            header = ['precision', *rows[0], 'peak GiB']
            print('|', ' | '.join(header), '|')
            print('|---' * len(header) + '|')
        cells = [
            f'{statistics.median(row[key] for row in rows):.2f}'
            for key in rows[0]
        ]
        cells.append(f'{result["peak"] / 2**30:.1f}')
        print('|', ' | '.join([precision, *cells]), '|', flush=True)


if __name__ == '__main__':
    main()
