"""CLIP's text transformer, run on embeddings so that prompts can be learnt."""

from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vision import CLIPTower, finish_block, merge_heads, project_qkv


class _TextParts(nn.Module):
    """The text half of an open_clip ``CLIP``, under the names it has there."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection


class TextTower(CLIPTower):
    """The text half of CLIP.

    Args:
        clip: An open_clip ``CLIP``; its image half is not kept.
        frozen: Whether it stays as it is, or which parts of it do.
        reloadable: Whether the same weights can be had again by name.

    Attributes:
        logit_scale: What CLIP multiplied cosines by, when it was trained.
    """

    def __init__(
        self,
        clip: nn.Module,
        frozen: bool | Sequence[str] = True,
        reloadable: bool = False,
    ) -> None:
        super().__init__(_TextParts(clip), frozen, reloadable)
        self.logit_scale = float(clip.logit_scale.detach().exp())

    @property
    def context_length(self) -> int:
        return len(self.module.positional_embedding)

    @property
    def width(self) -> int:
        return self.module.positional_embedding.shape[1]

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Token ids (K, T) -> embeddings (K, T, W), without positions."""
        return self.module.token_embedding(ids)

    def encode(self, prefix: Tensor, suffix: Tensor, ends: Tensor) -> Tensor:
        """Encode texts that begin alike.

        Attention is causal, so the shared beginning is run once, and nothing
        behind a text's end token matters to it.

        Args:
            prefix: Embeddings of the shared beginning, (P, W), P >= 1.
            suffix: Embeddings of each text's rest, padded, (K, S, W).
            ends: Row of each text's end token in its suffix, (K,).

        Returns:
            Text embeddings in the space shared with images, (K, E), not
            normalised.
        """
        module = self.module
        start = len(prefix)
        position = module.positional_embedding
        x = (prefix + position[:start])[None]
        y = suffix + position[start : start + suffix.shape[1]]
        visible = torch.ones(
            suffix.shape[1],
            start + suffix.shape[1],
            dtype=torch.bool,
            device=suffix.device,
        )
        visible = visible.tril(start)
        for block in module.transformer.resblocks:
            qkv = project_qkv(block.attn, block.ln_1(x))
            rest = project_qkv(block.attn, block.ln_1(y))
            keys, values = (
                torch.cat([shared.expand(len(y), -1, -1, -1), own], 2)
                for shared, own in zip(qkv[1:], rest[1:])
            )
            x = finish_block(
                block,
                x,
                merge_heads(
                    F.scaled_dot_product_attention(*qkv, is_causal=True)
                ),
            )
            y = finish_block(
                block,
                y,
                merge_heads(
                    F.scaled_dot_product_attention(
                        rest.query, keys, values, attn_mask=visible
                    )
                ),
            )
        y = y[torch.arange(len(y), device=y.device), ends]
        return self._project(module.ln_final(y))

    def _project(self, x: Tensor) -> Tensor:
        projection = self.module.text_projection
        if isinstance(projection, nn.Linear):
            return projection(x)
        return x @ projection


def encode_prompts(
    tower: TextTower, start: int, ids: Tensor, ends: Tensor, chunk: int = 1024
) -> Tensor:
    """Encode whole prompts, some at a time.

    Args:
        tower: The text tower.
        start: Id of the start token.
        ids: The other tokens, padded, (P, S).
        ends: Place of each end token among them, (P,).
        chunk: Number of prompts at a time. Eighty templates of 171 classes
            would take gigabytes at once.

    Returns:
        (P, E), not normalised.
    """
    first = tower.embed_tokens(torch.tensor([start], device=ids.device))
    return torch.cat(
        [
            tower.encode(first, tower.embed_tokens(part), part_ends)
            for part, part_ends in zip(ids.split(chunk), ends.split(chunk))
        ]
    )


class Tokenizer:
    """CLIP's byte-pair encoding, never truncating silently.

    Args:
        model: Name of the open_clip model.
    """

    def __init__(self, model: str) -> None:
        self._tokenizer = open_clip.get_tokenizer(model)

    @property
    def start(self) -> int:
        return self._tokenizer.sot_token_id

    def __call__(
        self, texts: Sequence[str], room: int
    ) -> tuple[Tensor, Tensor]:
        """Encode texts without their start token.

        Args:
            texts: K texts.
            room: Number of tokens that a text may have, its end included.

        Returns:
            Ids (K, S), padded with zeros, and the end token's place (K,).

        Raises:
            ValueError: A text does not fit; the message holds it.
        """
        rows = self._encode(texts)
        for text, row in zip(texts, rows):
            if len(row) > room:
                raise ValueError(
                    f'the text {text!r} has {len(row)} tokens, its end '
                    f'included, and only {room} fit into the context of '
                    'CLIP; shorten the name or the prompt'
                )
        return _pad(rows)

    def shorten(
        self, texts: Sequence[str], room: int
    ) -> tuple[Tensor, Tensor, list[str]]:
        """The same of texts of any length, such as captions.

        What does not fit is cut off before the end token.

        Returns:
            Ids (K, S), the end token's place (K,), and the texts that were
            cut.
        """
        rows = self._encode(texts)
        cut = [text for text, row in zip(texts, rows) if len(row) > room]
        fitting = [[*row[:-1][: room - 1], row[-1]] for row in rows]
        return *_pad(fitting), cut

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        end = self._tokenizer.eot_token_id
        return [[*self._tokenizer.encode(text), end] for text in texts]


def _pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    ends = torch.tensor([len(row) - 1 for row in rows])
    ids = torch.zeros(len(rows), int(ends.max()) + 1, dtype=torch.long)
    for row, tokens in zip(ids, rows):
        row[: len(tokens)] = torch.tensor(tokens)
    return ids, ends
