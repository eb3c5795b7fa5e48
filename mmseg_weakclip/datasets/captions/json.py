"""Readers of captions from JSON: COCO, Karpathy's splits, mappings."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .entries import CaptionEntry, field_of, text_of


def json_format(data: Any) -> str:
    """Return the format of JSON captions: 'coco', 'karpathy' or 'json'."""
    if not isinstance(data, dict) or not isinstance(data.get('images'), list):
        return 'json'
    if 'annotations' in data:
        return 'coco'
    first = data['images'][:1]
    is_karpathy = first and isinstance(first[0], dict) and 'split' in first[0]
    return 'karpathy' if is_karpathy else 'json'


def parse_coco(data: Any, path: str | Path) -> Iterator[CaptionEntry]:
    """Read COCO's ``captions_*.json``: lists of images and annotations.

    Args:
        data: Parsed content of the file.
        path: Path of the file, for messages.

    Raises:
        ValueError: Two images have the same id, an annotation has an unknown
            image, or a field is missing.
    """
    if json_format(data) != 'coco':
        raise ValueError(
            f"{path} has no lists 'images' and 'annotations' as COCO's "
            'captions have.'
        )
    files: dict[Any, str] = {}
    for number, image in enumerate(data['images']):
        place = f'image {number}'
        image_id = field_of(image, 'id', path, place)
        if image_id in files:
            raise ValueError(
                f'{path}: two images have the id {image_id}, '
                f'{files[image_id]} and {image.get("file_name")}.'
            )
        files[image_id] = text_of(
            field_of(image, 'file_name', path, place), path, place
        )
    for number, annotation in enumerate(data['annotations']):
        place = f'annotation {number}'
        image_id = field_of(annotation, 'image_id', path, place)
        if image_id not in files:
            raise ValueError(
                f'{path}, {place}: the list of images has no {image_id}.'
            )
        caption = text_of(
            field_of(annotation, 'caption', path, place), path, place
        )
        yield CaptionEntry(files[image_id], caption, place)


def parse_karpathy(
    data: Any, path: str | Path, split: str | Sequence[str] = 'train'
) -> Iterator[CaptionEntry]:
    """Read Karpathy's ``dataset_coco.json`` (also Flickr8k and Flickr30k).

    Source: A. Karpathy, L. Fei-Fei, "Deep visual-semantic alignments for
    generating image descriptions", CVPR 2015.

    Args:
        data: Parsed content of the file.
        path: Path of the file, for messages.
        split: One or several of 'train', 'restval', 'val' and 'test'.

    Raises:
        ValueError: The file lacks the split, lists an image twice, or a
            field is missing.
    """
    if json_format(data) != 'karpathy':
        raise ValueError(
            f"{path} has no list 'images' with a 'split' each, as Karpathy's "
            'splits have.'
        )
    wanted = {split} if isinstance(split, str) else set(split)
    there: set[str] = set()
    seen: set[str] = set()
    for number, image in enumerate(data['images']):
        place = f'image {number}'
        found = field_of(image, 'split', path, place)
        there.add(found)
        if found not in wanted:
            continue
        name = text_of(field_of(image, 'filename', path, place), path, place)
        if image.get('filepath'):
            name = f'{image["filepath"]}/{name}'
        if name in seen:
            raise ValueError(f'{path}, {place}: {name} is listed twice.')
        seen.add(name)
        for sentence in field_of(image, 'sentences', path, place):
            caption = text_of(
                field_of(sentence, 'raw', path, place), path, place
            )
            yield CaptionEntry(name, caption, place)
    if wanted - there:
        raise ValueError(
            f'{path} has no split {sorted(wanted - there)}; there are '
            f'{sorted(there)}.'
        )


def parse_mapping(data: Any, path: str | Path) -> Iterator[CaptionEntry]:
    """Read a JSON object of image ids or files and their captions.

    The value of an image is a caption or a list of captions.

    Args:
        data: Parsed content of the file.
        path: Path of the file, for messages.

    Raises:
        ValueError: The content is not an object, or a caption not a text.
    """
    if not isinstance(data, dict):
        raise ValueError(
            f'{path} holds a {type(data).__name__}, not an object whose keys '
            'are images.'
        )
    for image, captions in data.items():
        listed = captions if isinstance(captions, list) else [captions]
        for caption in listed:
            place = f'image {image}'
            yield CaptionEntry(image, text_of(caption, path, place), place)
