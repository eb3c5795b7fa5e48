"""Captions of a batch, as CLIP's text tower takes them."""

import hashlib
from collections.abc import Sequence

import torch
from mmengine.logging import MMLogger
from torch import Tensor

from ..clip import TextBank, encode_prompts


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
