"""What toyland's CLIP is trained on: scenes, and texts that may be true."""

import numpy as np
import torch
from torch import Tensor

from mmseg_weakclip.common.workers import progress_bar, worker_context
from mmseg_weakclip.toyland.captions import (
    TAGS,
    TEMPLATES,
    scene_tags,
    write_caption,
)
from mmseg_weakclip.toyland.scenes import SceneStyle, make_scene

# Like photos on the web: scenes, one large object, and scenery alone.
STYLES = (
    (0.55, SceneStyle()),
    (
        0.35,
        SceneStyle(counts=(0.0, 0.8, 0.2), radius=(0.34, 0.6), crowding=1.3),
    ),
    (0.10, SceneStyle(counts=(1.0,))),
)
SEED = 1


def render(index: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Image and tags of training scene ``index``."""
    choice = np.random.default_rng((SEED, index, 1)).random()
    limits = np.cumsum([share for share, _ in STYLES])
    style = STYLES[min(int((choice > limits).sum()), len(STYLES) - 1)][1]
    scene = make_scene(SEED, index, style=style)
    return scene.image, scene_tags(scene)


def render_pool(
    count: int, side: int
) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """``count`` scenes, drawn by all processors.

    Returns:
        Images (count, side, side, 3), uint8, and the tags of each.
    """
    images = np.empty((count, side, side, 3), np.uint8)
    tags = []
    with worker_context(__name__).Pool() as pool:
        scenes = pool.imap(render, range(count), chunksize=256)
        for index, (image, scene) in enumerate(
            progress_bar('draw scenes', count, scenes)
        ):
            images[index] = image
            tags.append(scene)
    return images, tags


def multi_hot(tags: list[tuple[int, ...]]) -> Tensor:
    """Tags of B images as 0 and 1, (B, number of tags)."""
    rows = torch.zeros(len(tags), len(TAGS))
    for row, ids in zip(rows, tags):
        row[list(ids)] = 1
    return rows


def augment(images: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Mirror and shift colours. (B, H, W, 3) uint8 -> (B, 3, H, W)."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    mirrored = torch.from_numpy(rng.random(len(x)) < 0.5)
    x[mirrored] = x[mirrored].flip(-1)
    gain = rng.uniform(0.8, 1.2, (len(x), 1, 1, 1))
    shift = rng.uniform(-15, 15, (len(x), 3, 1, 1))
    return x * torch.from_numpy(gain).float() + torch.from_numpy(shift).float()


def write_texts(
    tags: list[tuple[int, ...]], count: int, rng: np.random.Generator
) -> tuple[list[str], Tensor]:
    """Prompts for all tags and ``count`` captions, and what makes them true.

    Returns:
        T texts and their tags, multi-hot (T, number of tags).
    """
    texts = [
        TEMPLATES[rng.integers(len(TEMPLATES))].format(name) for name in TAGS
    ]
    needs = [(tag,) for tag in range(len(TAGS))]
    for index in rng.integers(len(tags), size=count):
        caption = write_caption(tags[index], rng)
        texts.append(caption.text)
        needs.append(caption.tags)
    return texts, multi_hot(needs)
