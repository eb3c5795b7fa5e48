"""Segment images into classes that you name, without any training.

    python tools/demo.py photo.jpg --classes "red car, tree, sky" --dense sclip

writes demo/photo.png, the classes painted over the image. Several words for
one class: "sofa|couch". There is a background, unpainted and id 0 in masks,
when --background or --threshold say what it is; otherwise every pixel gets one
of the classes.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.utils import track_iter_progress
from mmseg.registry import MODELS

import mmseg_weakclip  # noqa: F401  (registers every class)
from mmseg_weakclip.files import encode_mask, write_atomically
from mmseg_weakclip.models.clip import PRESETS
from mmseg_weakclip.overlay import paint_overlay
from mmseg_weakclip.palette import label_colors

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


def read_names(text: str) -> list[tuple[str, ...]]:
    """'red car, sofa|couch' -> [('red car',), ('sofa', 'couch')]."""
    return [
        tuple(word.strip() for word in name.split('|'))
        for name in text.split(',')
        if name.strip()
    ]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'images', nargs='+', type=Path, help='images, or folders of them'
    )
    parser.add_argument(
        '--classes', required=True, type=read_names, metavar='NAMES'
    )
    parser.add_argument(
        '--background',
        type=read_names,
        default=(),
        metavar='NAMES',
        help='what else there is: words for the background',
    )
    parser.add_argument(
        '--threshold',
        type=float,
        help='background where no class is that probable (0 to 1)',
    )
    parser.add_argument(
        '--dense',
        default='sclip',
        choices=sorted(set(PRESETS) - {'proxy'}),
        help='how patches are read out of CLIP (default: %(default)s)',
    )
    parser.add_argument(
        '--model',
        default='ViT-B-16-quickgelu',
        help='of open_clip (default: %(default)s)',
    )
    parser.add_argument(
        '--pretrained',
        default='openai',
        help='its weights, a tag or a file (default: %(default)s)',
    )
    parser.add_argument(
        '--templates',
        default='imagenet',
        help='a template with {}, or the name of a list (default: '
        '%(default)s)',
    )
    parser.add_argument(
        '--short-side',
        type=int,
        default=448,
        help='pixels to which an image is resized (default: %(default)s)',
    )
    parser.add_argument(
        '--window',
        type=int,
        help='side of a sliding window, moved by half of it (default: the '
        'whole image at once)',
    )
    parser.add_argument(
        '--out', type=Path, default=Path('demo'), metavar='DIR'
    )
    parser.add_argument(
        '--out-masks',
        type=Path,
        metavar='DIR',
        help='write the class ids too, as palette PNGs',
    )
    parser.add_argument('--device', default=get_device())
    return parser.parse_args()


def build_model(args: argparse.Namespace) -> BaseModel:
    """A stock segmentor with nothing to train."""
    clip = dict(model=args.model, pretrained=args.pretrained)
    has_background = bool(args.background) or args.threshold is not None
    test_cfg = ConfigDict(mode='whole')
    if args.window:
        side = args.window
        test_cfg = ConfigDict(
            mode='slide', crop_size=(side, side), stride=(side // 2,) * 2
        )
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=[122.771, 116.746, 104.094],
                std=[68.501, 66.632, 70.323],
                bgr_to_rgb=True,
            ),
            backbone=dict(
                type='CLIPViT', **clip, dense=args.dense, with_tokens=True
            ),
            decode_head=dict(
                type='PatchTextHead',
                num_classes=len(args.classes) + has_background,
                threshold=args.threshold,
                text=dict(
                    type='TemplateText',
                    **clip,
                    names=args.classes,
                    background_words=args.background,
                    templates=args.templates,
                    synonyms='keep',
                ),
            ),
            test_cfg=test_cfg,
        )
    )
    return model.to(args.device).eval()


def find_images(paths: list[Path]) -> list[Path]:
    """Files, and the images in folders; two of one name would collide."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise SystemExit(f'{path} does not exist')
        if path.is_dir():
            inside = [
                p for p in sorted(path.iterdir()) if p.suffix in SUFFIXES
            ]
            if not inside:
                raise SystemExit(
                    f'{path} holds no image ({", ".join(SUFFIXES)})'
                )
            found += inside
        else:
            found.append(path)
    stems: dict[str, Path] = {}
    for path in found:
        other = stems.setdefault(path.stem, path)
        if other != path:
            raise SystemExit(f'{other} and {path} would share one output')
    return found


def main() -> None:
    args = parse_args()
    if not args.classes:
        raise SystemExit('--classes names no class')
    images = find_images(args.images)
    init_default_scope('mmseg')
    model = build_model(args)
    names = ['|'.join(group) for group in args.classes]
    # The background, where there is one, has id 0 and stays unpainted.
    first = model.decode_head.num_classes - len(names)
    palette = label_colors(1 + len(names))[1 - first :]
    colors = palette[first:]
    pipeline = Compose(
        [
            dict(type='LoadColorImage'),
            dict(
                type='Resize', scale=(4096, args.short_side), keep_ratio=True
            ),
            dict(type='PackSegInputs'),
        ]
    )
    for folder in (args.out, args.out_masks):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    for path in track_iter_progress(images):
        batch = pseudo_collate([pipeline(dict(img_path=str(path)))])
        with torch.no_grad():
            (sample,) = model.test_step(batch)
        mask = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        image = pipeline.transforms[0](dict(img_path=str(path)))['img']
        picture = paint_overlay(
            image[..., ::-1], mask - np.uint8(first), names, colors
        )
        buffer = io.BytesIO()
        picture.save(buffer, format='PNG')
        write_atomically(args.out / f'{path.stem}.png', buffer.getvalue())
        if args.out_masks:
            write_atomically(
                args.out_masks / f'{path.stem}.png', encode_mask(mask, palette)
            )
    print(f'\n{len(images)} pictures in {args.out}')


if __name__ == '__main__':
    main()
