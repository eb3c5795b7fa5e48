"""Attribute banks that are built when they are first needed."""

import hashlib
import json
import os
from pathlib import Path

import torch
from mmengine.logging import print_log

from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.tokenizer import Tokenizer

from .attribute_bank import (
    AttributeBank,
    cluster_attributes,
    encode_descriptions,
    find_descriptions,
    hash_descriptions,
    read_descriptions,
)

PREFIX = 'a clean origami {}.'


def build_bank(
    tower: TextTower,
    model: str,
    pretrained: str | None,
    *,
    descriptions: str,
    clusters: int,
    classes: list[str] | None = None,
    prefix: str = PREFIX,
    seed: int = 0,
) -> AttributeBank:
    """Find attributes in descriptions.

    Args:
        tower: CLIP's text tower.
        model: Name of its model.
        pretrained: Tag or file of its weights.
        descriptions: File of descriptions, or the name of shipped ones.
        clusters: Number A of attributes: ExCEL has 112 for VOC, 224 for COCO.
        classes: Classes to describe; None takes all.
        prefix: Text before each sentence; see :func:`encode_descriptions`.
        seed: Random seed of the clustering.

    Raises:
        FileNotFoundError: There are no such descriptions.
        ValueError: The descriptions are damaged or fewer than ``clusters``.
        ImportError: scikit-learn is missing.
    """
    sentences = read_descriptions(descriptions, classes)
    embeddings = encode_descriptions(
        tower, Tokenizer(model), sentences, prefix
    )
    owners = torch.tensor(
        [i for i, own in enumerate(sentences.values()) for _ in own]
    )
    centres, members = cluster_attributes(embeddings, owners, clusters, seed)
    note = dict(
        _note(tower, descriptions, prefix, seed),
        model=model,
        pretrained=str(pretrained),
        classes=json.dumps(list(sentences)),
    )
    return AttributeBank(centres, members, note)


def cached_bank(
    tower: TextTower,
    model: str,
    pretrained: str | None,
    *,
    descriptions: str,
    clusters: int,
    prefix: str = PREFIX,
    seed: int = 0,
) -> AttributeBank:
    """Return the bank of some descriptions, built once on this machine.

    It is kept in :func:`cache_folder`, one file for each text tower,
    descriptions and settings; random weights are not kept.

    Args:
        tower: CLIP's text tower.
        model: Name of its model.
        pretrained: Tag or file of its weights; None for random ones.
        descriptions: File of descriptions, or the name of shipped ones.
        clusters: Number A of attributes.
        prefix: Text before each sentence.
        seed: Random seed of the clustering.

    Raises:
        FileNotFoundError: There are no such descriptions.
        ValueError: The descriptions are damaged or fewer than ``clusters``.
        ImportError: scikit-learn is missing.
    """
    settings = dict(
        descriptions=descriptions, clusters=clusters, prefix=prefix, seed=seed
    )
    note = _note(tower, descriptions, prefix, seed)
    key = json.dumps([note, clusters], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    stem = find_descriptions(descriptions).stem
    path = cache_folder() / f'{stem}-{clusters}-{digest}.safetensors'
    if pretrained is not None and path.is_file():
        try:
            bank = AttributeBank.load(path)
        except ValueError:
            bank = None  # damaged: built again
        if bank is not None and note.items() <= bank.note.items():
            return bank
    print_log(
        f'building {clusters} attributes of the descriptions {descriptions}, '
        f'once: {path}',
        'current',
    )
    bank = build_bank(tower, model, pretrained, **settings)
    if pretrained is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        bank.save(path)
    return bank


def cache_folder() -> Path:
    """Return the folder of banks, ``~/.cache/mmseg_weakclip/banks``.

    ``XDG_CACHE_HOME`` replaces ``~/.cache``.
    """
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / 'mmseg_weakclip/banks'


def _note(
    tower: TextTower, descriptions: str, prefix: str, seed: int
) -> dict[str, str]:
    """Return what a bank depends on, as its file notes it."""
    return dict(
        fingerprint=str(int(tower.fingerprint)),
        prefix=prefix,
        seed=str(seed),
        descriptions=hash_descriptions(descriptions),
    )
