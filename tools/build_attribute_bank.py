"""Find the attributes of classes in descriptions (ExCEL's text enrichment).

    python tools/build_attribute_bank.py voc --clusters 112 \\
        --out data/banks/voc_vit-b16.safetensors

DESCRIPTIONS is a JSON file, class name -> list of sentences about its looks,
or one that comes along: voc, coco, toyland.
"""

import argparse
import json
from pathlib import Path

import torch
from mmengine.device import get_device

from mmseg_weakclip.models.clip.text_tower import TextTower, Tokenizer
from mmseg_weakclip.models.clip.weights import load_clip
from mmseg_weakclip.models.excel.attribute_bank import (
    AttributeBank,
    cluster_attributes,
    encode_descriptions,
    hash_descriptions,
    read_descriptions,
)


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
        default='a clean origami {}.',
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
    descriptions = read_descriptions(args.descriptions, classes)
    tower = TextTower(load_clip(args.model, args.pretrained))
    embeddings = encode_descriptions(
        tower.to(get_device()),
        Tokenizer(args.model),
        descriptions,
        args.prefix,
    )
    owners = torch.tensor(
        [
            index
            for index, sentences in enumerate(descriptions.values())
            for _ in sentences
        ]
    )
    centres, members = cluster_attributes(
        embeddings, owners, args.clusters, args.seed
    )
    bank = AttributeBank(
        centres,
        members,
        dict(
            model=args.model,
            pretrained=str(args.pretrained),
            fingerprint=str(int(tower.fingerprint)),
            prefix=args.prefix,
            seed=str(args.seed),
            classes=json.dumps(list(descriptions)),
            descriptions=hash_descriptions(args.descriptions),
        ),
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    bank.save(args.out)
    shared = int(((members > 0).sum(0) > 1).sum())
    print(
        f'{len(embeddings)} sentences of {len(descriptions)} classes, '
        f'{args.clusters} attributes in {args.out}; {shared} of them are '
        'shared by two classes or more'
    )


if __name__ == '__main__':
    main()
