"""CLIP's text transformer on embeddings, so that prompts can be learnt."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from mmseg_weakclip.models.transfer import device_constant

from .towers.block import attend, merge_heads
from .towers.open_clip_vit import OpenClipBlock
from .vision import CLIPTower

# Tokens that stand for the text: its end, or the last of a padded context.
END_POOLS = ('argmax', 'eos')


class _TextParts(nn.Module):
    """Text encoder of an open_clip model, under its names there."""

    def __init__(self, text: nn.Module) -> None:
        super().__init__()
        self.token_embedding = text.token_embedding
        self.positional_embedding = text.positional_embedding
        self.transformer = text.transformer
        self.ln_final = text.ln_final
        self.text_projection = text.text_projection


def find_text_problem(clip: nn.Module) -> str | None:
    """Return why a model's text tower is not supported, or None.

    Args:
        clip: An open_clip model.
    """
    text = getattr(clip, 'text', clip)
    if isinstance(text, HFTextEncoder):
        return None
    if not hasattr(text, 'token_embedding'):
        return f'its text tower is a {type(text).__name__}'
    if getattr(text, 'cls_emb', None) is not None:
        return 'its text tower has a class token behind the text (CoCa)'
    if not all(
        type(block) is ResidualAttentionBlock
        for block in text.transformer.resblocks
    ):
        return "its text tower's blocks are not CLIP's"
    pool = _pool_of(text)
    if pool not in (*END_POOLS, 'last'):
        return f'its text tower has pool_type={pool!r}'
    if text.attn_mask is not None and pool == 'last':
        return 'its text tower reads the padding behind the text, causally'
    return None


def _pool_of(text: nn.Module) -> str:
    # A CLIP without a text tower of its own calls it so.
    return getattr(text, 'text_pool_type', None) or text.pool_type


class TextTower(CLIPTower):
    """The text encoder of a CLIP.

    It is open_clip's transformer, causal or not, or a language model of the
    package transformers with a projection.

    Args:
        clip: An open_clip model; its image encoder is not kept.
        frozen: Whether the tower is frozen, or names of its frozen parts.
        reloadable: Whether the same weights can be loaded again by name.
        pad: Id behind shorter texts (``Tokenizer.pad``), which towers
            without a causal mask see, such as SigLIP's; others need none.

    Attributes:
        logit_scale: Factor of the cosines that CLIP was trained with. A bias
            that a sigmoid loss adds to them (SigLIP) is not kept: it is the
            same for all texts.

    Raises:
        ValueError: The text tower is of a kind that is not supported.
    """

    def __init__(
        self,
        clip: nn.Module,
        *,
        frozen: bool | Sequence[str] = True,
        reloadable: bool = False,
        pad: int | None = None,
    ) -> None:
        if problem := find_text_problem(clip):
            raise ValueError(f'this model cannot encode prompts: {problem}')
        text = getattr(clip, 'text', clip)
        whole = isinstance(text, HFTextEncoder)
        super().__init__(
            text if whole else _TextParts(text),
            frozen=frozen,
            reloadable=reloadable,
        )
        self.logit_scale = float(clip.logit_scale.detach().exp())
        self.pad = pad
        self.whole = whole
        self.causal = not whole and text.attn_mask is not None
        self.pool = 'argmax' if whole else _pool_of(text)
        self._context_length = clip.context_length

    @property
    def context_length(self) -> int:
        """Largest number of tokens of a text."""
        if self.whole:
            return self._context_length
        return len(self.module.positional_embedding)

    @property
    def width(self) -> int:
        """Width W of the transformer."""
        if self.whole:
            return self.module.config.hidden_size
        return self.module.positional_embedding.shape[1]

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Embed token ids (K, T) as (K, T, W), without positions."""
        if self.whole:
            raise ValueError(
                'this text tower is a language model of transformers, whose '
                'prompts cannot be learnt: use TemplateText instead of '
                'PromptText'
            )
        return self.module.token_embedding(ids)

    def encode_ids(
        self, start: Sequence[int], ids: Tensor, ends: Tensor
    ) -> Tensor:
        """Encode texts of token ids.

        Args:
            start: Ids before each text.
            ids: Ids of the texts, padded, (K, S).
            ends: Index of the end token of each text in ``ids``, (K,).

        Returns:
            (K, E), not normalised.
        """
        first = device_constant(start, ids.device).to(ids.dtype)
        if self.whole:
            first = first.expand(len(ids), -1)
            return self.module(torch.cat([first, ids], 1))
        return self.encode(
            self.embed_tokens(first), self.embed_tokens(ids), ends
        )

    def encode(self, prefix: Tensor, suffix: Tensor, ends: Tensor) -> Tensor:
        """Encode texts that share their beginning.

        Where attention is causal, the shared beginning is run once, and
        tokens behind the end token of a text do not change its embedding.
        Elsewhere the texts are padded to the whole context, as in training.

        Args:
            prefix: Token embeddings of the shared beginning, (P, W).
            suffix: Token embeddings of the rest of each text, padded,
                (K, S, W).
            ends: Index of the end token of each text in its suffix, (K,).

        Returns:
            Text embeddings in the space shared with images, (K, E), not
            normalised.

        Raises:
            ValueError: Padding is seen, and its id is not known.
        """
        if not self.causal:
            y = self._run_padded(prefix, suffix)
            if self.pool == 'last':
                y = y[:, -1]
            else:
                texts = torch.arange(len(y), device=y.device)
                y = y[texts, len(prefix) + ends]
        else:
            y = self._run_causal(prefix, suffix)
            y = y[torch.arange(len(y), device=y.device), ends]
        return self._project(self.module.ln_final(y))

    def _run_padded(self, prefix: Tensor, suffix: Tensor) -> Tensor:
        """Return all tokens of the last block, (K, context_length, W)."""
        if self.pad is None:
            raise ValueError(
                'this text tower has no causal mask, so that padding counts: '
                'give TextTower the pad of the Tokenizer'
            )
        count, length, _ = suffix.shape
        ids = torch.full(
            (self.context_length - len(prefix) - length,),
            self.pad,
            device=suffix.device,
        )
        padding = self.embed_tokens(ids).to(suffix.dtype)
        x = torch.cat(
            [
                prefix.expand(count, -1, -1),
                suffix,
                padding.expand(count, -1, -1),
            ],
            1,
        )
        x = x + self.module.positional_embedding
        for block in self._blocks():
            x = block.finish(x, attend(block.project(block.norm(x))))
        return x

    def _run_causal(self, prefix: Tensor, suffix: Tensor) -> Tensor:
        """Return the suffix behind the last block, (K, S, W)."""
        start = len(prefix)
        position = self.module.positional_embedding
        x = (prefix + position[:start])[None]
        y = suffix + position[start : start + suffix.shape[1]]
        visible = torch.ones(
            suffix.shape[1],
            start + suffix.shape[1],
            dtype=torch.bool,
            device=suffix.device,
        )
        visible = visible.tril(start)
        for block in self._blocks():
            rest = block.project(block.norm(y))
            keys, values = rest.key, rest.value
            if start:
                qkv = block.project(block.norm(x))
                keys, values = (
                    torch.cat([shared.expand(len(y), -1, -1, -1), own], 2)
                    for shared, own in zip(qkv[1:], rest[1:])
                )
                mixed = F.scaled_dot_product_attention(*qkv, is_causal=True)
                x = block.finish(x, merge_heads(mixed))
            mixed = F.scaled_dot_product_attention(
                rest.query, keys, values, attn_mask=visible
            )
            y = block.finish(y, merge_heads(mixed))
        return y

    def _blocks(self) -> list[OpenClipBlock]:
        return [
            OpenClipBlock(block) for block in self.module.transformer.resblocks
        ]

    def _project(self, x: Tensor) -> Tensor:
        projection = self.module.text_projection
        if projection is None:
            return x
        if isinstance(projection, nn.Linear):
            return projection(x)
        return x @ projection


def encode_prompts(
    tower: TextTower,
    start: Sequence[int],
    ids: Tensor,
    ends: Tensor,
    chunk: int = 1024,
) -> Tensor:
    """Encode prompts in chunks.

    Args:
        tower: Text tower.
        start: Ids before each text.
        ids: Ids of the other tokens, padded, (P, S).
        ends: Index of the end token of each prompt in ``ids``, (P,).
        chunk: Number of prompts at a time. Eighty templates of 171 classes
            would take gigabytes at once.

    Returns:
        (P, E), not normalised.
    """
    return torch.cat(
        [
            tower.encode_ids(start, part, part_ends)
            for part, part_ends in zip(ids.split(chunk), ends.split(chunk))
        ]
    )
