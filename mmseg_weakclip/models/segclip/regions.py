"""Scores, superpixels and captions of image regions."""

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from torch import Tensor

from mmseg_weakclip.models.clip.text_bank import TextBank
from mmseg_weakclip.models.clip.text_tower import encode_prompts


def region_scores(
    regions: Tensor,
    image: Tensor,
    text: Tensor,
    scale: float | Tensor,
    topk: int | None,
) -> Tensor:
    """How sure each region is of each text (SegCLIP, section on inference).

    The product of two softmaxes over the texts: over all of them, and over
    the ``topk`` that the whole image goes best with.

    Args:
        regions: (B, G, E), of any length.
        image: (B, E), of any length.
        text: (M, E), unit length.
        scale: What cosines are multiplied by.
        topk: None has no second softmax.

    Returns:
        Probabilities, (B, G, M).
    """
    logits = scale * F.normalize(regions, dim=-1) @ text.T
    scores = logits.softmax(-1)
    if topk is None:
        return scores
    whole = F.normalize(image, dim=-1) @ text.T
    best = whole.topk(min(topk, len(text)), dim=-1).indices
    # Not of bools, which a trace can't scatter.
    allowed = torch.zeros_like(whole).scatter(1, best, 1.0) > 0
    prior = logits.masked_fill(~allowed[:, None], -torch.inf).softmax(-1)
    return scores * prior


def region_map(
    soft: Tensor, grid: tuple[int, int], size: Sequence[int]
) -> Tensor:
    """Which region each pixel is in, (B, H, W).

    Args:
        soft: Shares of the patches, (B, G, h * w).
        grid: (h, w).
        size: (H, W) of the image.
    """
    shares = soft.unflatten(2, grid)
    shares = F.interpolate(
        shares, tuple(size), mode='bilinear', align_corners=False
    )
    return shares.argmax(1)


def paint_regions(scores: Tensor, regions: Tensor) -> Tensor:
    """Give each pixel the scores of its region.

    Args:
        scores: (B, G, M).
        regions: Region of each pixel, (B, H, W).

    Returns:
        (B, M, H, W).
    """
    pixels = regions.flatten(1)[:, None].expand(-1, scores.shape[2], -1)
    painted = scores.mT.gather(2, pixels)
    return painted.unflatten(2, regions.shape[1:])


def unsure_pixels(painted: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Pixels whose best score does not reach the threshold.

    Where no region of an image does, the bar is the best score there is: its
    surest region is never background.

    Args:
        painted: Scores of the pixels, (B, M, H, W).
        scores: Scores of the regions, (B, G, M).
        threshold: In [0, 1].

    Returns:
        (B, H, W), bool.
    """
    bar = scores.flatten(1).amax(1).clamp(max=threshold)
    return painted.amax(1) < bar[:, None, None]


def pool_superpixels(
    superpixels: Tensor, grid: tuple[int, int], patch_size: int
) -> Tensor:
    """The id that most pixels of each patch have.

    The published code takes the mean of the ids instead, rounded down. But
    ids are names: on three natural images, 40 to 43 % of the patches got
    another id that way than here, 29 to 35 % one that none of their pixels
    has.

    Memory goes with the number of pixels, not with the largest id.

    Args:
        superpixels: Ids of the pixels, any integers from 0 on; -1 is a pixel
            without a superpixel, and does not count. (B, H, W). Rows and
            columns beyond the grid are not seen.
        grid: Rows and columns of patches (h, w).
        patch_size: Height and width of a patch in pixels.

    Returns:
        int64, (B, h * w) in row-major order; the smallest of several ids with
        as many pixels, -1 for a patch without any.

    Raises:
        ValueError: The maps are smaller than the grid.
    """
    height, width = (patch_size * number for number in grid)
    if superpixels.shape[1] < height or superpixels.shape[2] < width:
        raise ValueError(
            f'superpixels of {tuple(superpixels.shape[1:])} pixels are too '
            f'few for {tuple(grid)} patches of {patch_size}: '
            f'{(height, width)} are needed'
        )
    pixels = superpixels[:, :height, :width].long()
    pixels = pixels.unflatten(2, (grid[1], patch_size))
    pixels = pixels.unflatten(1, (grid[0], patch_size))
    pixels = pixels.transpose(2, 3).flatten(3).flatten(1, 2)
    return _most_frequent(pixels)


def _most_frequent(ids: Tensor) -> Tensor:
    """Of the ids from 0 on in the last dimension; -1 without any.

    Args:
        ids: (B, N, P).

    Returns:
        (B, N); the smallest of several.
    """
    ids = ids.sort(dim=2).values
    place = torch.arange(ids.shape[2], device=ids.device)
    begins = F.pad(ids[..., 1:] != ids[..., :-1], (1, 0), value=True)
    # How many of its own run each element has up to itself.
    length = place - place.where(begins, 0).cummax(dim=2).values + 1
    length = length.where(ids >= 0, 0)
    # argmax is the first of several, and ids ascend.
    longest = length.argmax(dim=2, keepdim=True)
    return ids.gather(2, longest).squeeze(2)


def text_ids(captions: Sequence[str]) -> Tensor:
    """Numbers that are equal for equal captions, on any process, (B,)."""
    digests = [hashlib.sha1(text.encode()).digest() for text in captions]
    return torch.tensor(
        [int.from_bytes(d[:8], 'big', signed=True) for d in digests]
    )


class CaptionEncoder:
    """Encodes captions with the text tower of a bank.

    A caption that does not fit keeps its end token and loses what is before
    it. The first one is named in the log.

    Args:
        room: Number of tokens of a caption, its start and end included.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.warned = False

    def __call__(
        self, captions: Sequence[str], bank: TextBank
    ) -> tuple[Tensor, int]:
        """Embeddings of B captions.

        Args:
            captions: Of a batch.
            bank: Its tower and tokenizer are used; its names are not.

        Returns:
            (B, E), not normalised, and how many were cut.
        """
        room = min(self.room, bank.tower.context_length)
        ids, ends, cut = bank.tokenizer.shorten(captions, room - 1)
        if cut and not self.warned:
            self.warned = True
            MMLogger.get_current_instance().warning(
                'captions of more than %d tokens are cut off, the first is '
                '%r; how many of a batch, the log shows as cut_captions',
                room,
                cut[0],
            )
        device = next(bank.tower.parameters()).device
        embedded = encode_prompts(
            bank.tower,
            bank.tokenizer.start,
            ids.to(device),
            ends.to(device),
        )
        return embedded, len(cut)
