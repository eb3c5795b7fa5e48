"""What ExCEL's shortcuts save.

    python benchmarks/excel_step.py --crop 320 --batch 4 --threads 2

Random images and weights, everything in one process and in turns:

- a training step in the dynamic phase, as it is and with the published second
  pass through CLIP in place of ``y + 12 R U``;
- class maps by a matrix product, and by the published (B, N, M, E) tensor;
- PAR of a batch, and image by image;
- attention affinity of a batch, and image by image.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from common import Clock, compare, make_batch, parse_args, peak_bytes
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.cam.patch_text import patch_text_similarity
from mmseg_weakclip.models.clip.dense.stream import DenseStream
from mmseg_weakclip.models.clip.similarity import positive_softmax
from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.clip.towers.block import attend
from mmseg_weakclip.models.clip.vit import CLIPViT, to_map
from mmseg_weakclip.models.excel import pseudo_labels
from mmseg_weakclip.models.refine.par import refine_by_pixels

CONFIG = (
    Path(__file__).parents[1]
    / 'configs/excel/excel_vit-b16_1xb4-30k_voc12-320x320_no-tse.py'
)


class ShiftedStream(DenseStream):
    """A dense stream with a relation in every head's map."""

    relation: Tensor

    def _shared_map(self, *args) -> Tensor:
        heads = self.value_scale
        return super()._shared_map(*args) + heads * self.relation


def second_pass(
    vit: CLIPViT, images: Tensor, tokens: CLIPTokens, scores: Tensor
) -> CLIPTokens:
    """The published way to what ``shift_dense_stream`` gives."""
    tower = vit.tower
    with torch.no_grad():
        x, grid = tower.stem(images)
        stream = ShiftedStream(vit.dense, len(tower.blocks), grid)
        stream.relation = F.pad(positive_softmax(scores), (1, 0, 1, 0))
        for index, block in enumerate(tower.attention_blocks(grid)):
            normed = block.norm(x)
            qkv = block.project(normed)
            stream.update(index, block, x, normed, qkv)
            x = block.finish(x, attend(qkv))
        embedded = tower.embed(stream.output(x))
    return replace(tokens, patch_embeddings=to_map(embedded[:, 1:], grid))


def surgery_tensor(tokens: CLIPTokens, text: Tensor) -> Tensor:
    """Class maps by the (B, N, M, E) tensor of the published code."""
    patches = tokens.patch_embeddings.flatten(2).transpose(1, 2)
    whole = torch.cat([tokens.class_embedding[:, None], patches], 1)
    features = F.normalize(whole, dim=-1)
    weights = (2 * features[:, 0] @ text.T).softmax(-1)
    weights = weights / weights.mean(-1, keepdim=True)
    products = features[:, :, None] * text
    products = products * weights[:, None, :, None]
    products = products - products.mean(2, keepdim=True)
    maps = products.sum(-1)[:, 1:].transpose(1, 2)
    return maps.unflatten(2, tokens.grid)


def main() -> None:
    args = parse_args(__doc__, crop=320)
    torch.set_num_threads(args.threads)
    init_default_scope('mmseg')
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.pretrained = None
    cfg.model.decode_head.text.pretrained = None
    cfg.model.data_preprocessor.size = (args.crop, args.crop)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(args.device).train()
    head = model.decode_head
    names = [f'class {index}' for index in range(head.num_classes - 1)]
    head.text.set_names(names)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    MessageHub.get_current_instance().update_info('iter', head.dynamic_start)
    batch = make_batch(args.batch, args.crop, head.num_classes)
    images = model.data_preprocessor(batch, True)['inputs']
    clock = Clock(args.device)
    ours = pseudo_labels.shift_dense_stream

    def step(shift: Callable) -> None:
        pseudo_labels.shift_dense_stream = shift
        model.train_step(batch, wrapper)

    print(
        f'Crop {args.crop}, batch {args.batch}, {args.device}, '
        f'{args.threads} threads; median seconds of {args.repeats}.\n'
    )
    print('| | ours | otherwise | ratio |\n|---|---|---|---|')
    model.train_step(batch, wrapper)
    peak = peak_bytes(args.device)
    compare(
        'training step, second pass through CLIP',
        lambda: step(ours),
        lambda: step(
            lambda tokens, scores: second_pass(
                model.backbone, images, tokens, scores
            )
        ),
        args.repeats,
        clock,
    )
    with torch.no_grad():
        tokens = model.backbone(images)[-1]
        text = head.text()
        compare(
            'class maps, (B, N, M, E) tensor',
            lambda: patch_text_similarity(tokens, text, redundancy=True),
            lambda: surgery_tensor(tokens, text),
            args.repeats,
            clock,
        )
        scores = torch.rand(args.batch, 3, args.crop, args.crop)
        scores = scores.to(args.device)
        compare(
            'PAR, image by image',
            lambda: refine_by_pixels(images, scores),
            lambda: [
                refine_by_pixels(images[i : i + 1], scores[i : i + 1])
                for i in range(args.batch)
            ],
            args.repeats,
            clock,
        )
        affinity = AttentionAffinity(0.79)
        maps = torch.rand(args.batch, 2, *tokens.grid).to(args.device)
        alone = [
            replace(tokens, attention=tokens.attention[:, i : i + 1])
            for i in range(args.batch)
        ]
        compare(
            'attention affinity, image by image',
            lambda: affinity(maps, tokens),
            lambda: [
                affinity(maps[i : i + 1], own) for i, own in enumerate(alone)
            ],
            args.repeats,
            clock,
        )
    print(
        f'\nPeak memory of the training step alone: {peak / 2**30:.1f} GiB '
        f'with CLIP, of the whole run {peak_bytes(args.device) / 2**30:.1f}.'
    )


if __name__ == '__main__':
    main()
