"""What it saves to show CLIP all regions of a batch at once.

    python benchmarks/clims_step.py --crop 512 --batch 4 --threads 2

Random images and weights, two classes an image: a training step of CLIMS, as
it is and with a loop over pairs of image and class, in turns.
"""

from pathlib import Path

import torch
from common import Clock, compare, make_batch, parse_args, peak_bytes
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.datasets.voc import WeakVOC12Dataset
from mmseg_weakclip.models.clims.critic import RegionCritic

CONFIG = Path(__file__).parents[1] / 'configs/clims_voc.py'


class PairByPair(RegionCritic):
    """The critic, asked for one pair at a time."""

    def forward(
        self, images: Tensor, maps: Tensor, pairs: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        answers = [
            super(PairByPair, self).forward(
                images, maps, (pairs[0][i : i + 1], pairs[1][i : i + 1])
            )
            for i in range(len(pairs[0]))
        ]
        inside, rest = zip(*answers)
        return torch.cat(inside), torch.cat(rest)


def main() -> None:
    args = parse_args(__doc__, crop=512)
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    cfg = Config.fromfile(CONFIG)
    cfg.model.pretrained = None
    head_cfg = cfg.model.decode_head
    for part in (head_cfg.text, head_cfg.critic, head_cfg.backgrounds):
        part.pretrained = None
    cfg.model.data_preprocessor.size = (args.crop, args.crop)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(args.device).train()
    head = model.decode_head
    names = WeakVOC12Dataset.METAINFO['classes']
    head.text.set_names(names)
    head.backgrounds.set_names(names)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = make_batch(args.batch, args.crop, head.num_classes)
    clock = Clock(args.device)
    critics = head.critic, PairByPair(**head_cfg.critic).to(args.device)

    def step(critic: RegionCritic) -> None:
        head.critic = critic
        model.train_step(batch, wrapper)

    print(
        f'Crop {args.crop}, batch {args.batch}, {args.device}, '
        f'{args.threads} threads; median seconds of {args.repeats}.\n'
    )
    print('| | ours | otherwise | ratio |\n|---|---|---|---|')
    step(critics[0])
    peak = peak_bytes(args.device)
    compare(
        'training step, pair by pair',
        lambda: step(critics[0]),
        lambda: step(critics[1]),
        args.repeats,
        clock,
    )
    print(f'\nPeak memory of the training step: {peak / 2**30:.1f} GiB.')


if __name__ == '__main__':
    main()
