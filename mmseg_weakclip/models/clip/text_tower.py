"""CLIP's text transformer on embeddings, so that prompts can be learnt."""

from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vision import CLIPTower, finish_block, merge_heads, project_qkv
from .weight_sources import find_model


class _TextParts(nn.Module):
    """Text encoder of an open_clip ``CLIP``, under its names there."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.transformer = clip.transformer
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection


class TextTower(CLIPTower):
    """The text encoder of CLIP.

    Args:
        clip: An open_clip ``CLIP``; its image encoder is not kept.
        frozen: Whether the tower is frozen, or names of its frozen parts.
        reloadable: Whether the same weights can be loaded again by name.

    Attributes:
        logit_scale: Factor of the cosines that CLIP was trained with.
    """

    def __init__(
        self,
        clip: nn.Module,
        *,
        frozen: bool | Sequence[str] = True,
        reloadable: bool = False,
    ) -> None:
        super().__init__(
            _TextParts(clip), frozen=frozen, reloadable=reloadable
        )
        self.logit_scale = float(clip.logit_scale.detach().exp())

    @property
    def context_length(self) -> int:
        """Largest number of tokens of a text."""
        return len(self.module.positional_embedding)

    @property
    def width(self) -> int:
        """Width W of the transformer."""
        return self.module.positional_embedding.shape[1]

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Embed token ids (K, T) as (K, T, W), without positions."""
        return self.module.token_embedding(ids)

    def encode(self, prefix: Tensor, suffix: Tensor, ends: Tensor) -> Tensor:
        """Encode texts that share their beginning.

        Attention is causal, so the shared beginning is run once, and tokens
        behind the end token of a text do not change its embedding.

        Args:
            prefix: Token embeddings of the shared beginning, (P, W), P >= 1.
            suffix: Token embeddings of the rest of each text, padded,
                (K, S, W).
            ends: Index of the end token of each text in its suffix, (K,).

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
    """Encode prompts in chunks.

    Args:
        tower: Text tower.
        start: Id of the start token.
        ids: Ids of the other tokens, padded, (P, S).
        ends: Index of the end token of each prompt in ``ids``, (P,).
        chunk: Number of prompts at a time. Eighty templates of 171 classes
            would take gigabytes at once.

    Returns:
        (P, E), not normalised.
    """
    first = tower.embed_tokens(ids.new_full((1,), start))
    return torch.cat(
        [
            tower.encode(first, tower.embed_tokens(part), part_ends)
            for part, part_ends in zip(ids.split(chunk), ends.split(chunk))
        ]
    )


class Tokenizer:
    """CLIP's byte-pair encoding; it never truncates silently.

    Args:
        model: Name of the model; see :func:`load_clip`.
    """

    def __init__(self, model: str) -> None:
        self._tokenizer = open_clip.get_tokenizer(
            find_model(model).open_clip_name
        )
        self._special = set(self._tokenizer.all_special_ids)

    @property
    def start(self) -> int:
        """Id of the start token."""
        return self._tokenizer.sot_token_id

    def __call__(
        self, texts: Sequence[str], room: int
    ) -> tuple[Tensor, Tensor]:
        """Encode texts without their start token.

        Args:
            texts: K texts.
            room: Largest number of tokens of a text, its end included.

        Returns:
            Ids (K, S), padded with zeros, and the index of each end token,
            (K,).

        Raises:
            ValueError: A text is too long or contains one of CLIP's special
                tokens; the message quotes it.
        """
        rows = self._encode(texts)
        for text, row in zip(texts, rows):
            if special := self._special.intersection(row[:-1]):
                tokens = sorted(map(self._tokenizer.decoder.get, special))
                raise ValueError(
                    f'the text {text!r} contains {" and ".join(tokens)}, '
                    'which CLIP takes as the start or end of a text; remove '
                    'it from the class name or the template'
                )
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
        """Encode texts of any length, such as captions.

        Texts that are too long are cut before the end token. Special tokens
        inside a text are left out.

        Args:
            texts: K texts.
            room: Largest number of tokens of a text, its end included.

        Returns:
            Ids (K, S), the index of each end token, (K,), and the texts that
            were cut.
        """
        rows = [
            [token for token in row[:-1] if token not in self._special]
            + row[-1:]
            for row in self._encode(texts)
        ]
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
