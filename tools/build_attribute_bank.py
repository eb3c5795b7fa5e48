"""Find the attributes of classes in descriptions (ExCEL's text enrichment).

    python tools/build_attribute_bank.py my.json --clusters 112 \\
        --out data/banks/mine.safetensors

DESCRIPTIONS is a JSON file, class name -> list of sentences about its looks,
or one that comes along: voc, coco, toyland. Configs build the bank of these
when it is first needed; this tool is for descriptions of your own.
"""

import argparse
from pathlib import Path

from mmengine.device import get_device

from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.tokenizer import Tokenizer
from mmseg_weakclip.models.clip.weights import load_clip
from mmseg_weakclip.models.excel.attribute_bank import read_descriptions
from mmseg_weakclip.models.excel.bank_cache import PREFIX, build_bank


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('descriptions', metavar='DESCRIPTIONS')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE')
    parser.add_argument(
        '--clusters',
        type=int,
        required=True,
        help='number of attributes; ExCEL has 112 for VOC, 224 for COCO',
    )
    parser.add_argument(
        '--classes',
        help='those that must be described, separated by commas (default: '
        'all in the file)',
    )
    parser.add_argument(
        '--prefix',
        default=PREFIX,
        help='before each sentence, {} is the class name; "" for none, so '
        'that classes can share attributes (default: %(default)s)',
    )
    parser.add_argument('--model', default='ViT-B-16-quickgelu')
    parser.add_argument('--pretrained', default='openai')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = args.classes and [n.strip() for n in args.classes.split(',')]
    # Before the weights, which may have to be downloaded.
    read_descriptions(args.descriptions, classes)
    tower = TextTower(
        load_clip(args.model, args.pretrained),
        pad=Tokenizer(args.model).pad,
    )
    bank = build_bank(
        tower.to(get_device()),
        args.model,
        args.pretrained,
        descriptions=args.descriptions,
        clusters=args.clusters,
        classes=classes,
        prefix=args.prefix,
        seed=args.seed,
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    bank.save(args.out)
    shared = int(((bank.members > 0).sum(0) > 1).sum())
    print(
        f'{int(bank.members.sum())} sentences of {len(bank.members)} classes, '
        f'{args.clusters} attributes in {args.out}; {shared} of them are '
        'shared by two classes or more'
    )


if __name__ == '__main__':
    main()
