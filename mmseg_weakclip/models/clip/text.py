"""Text banks: fixed templates, and learnable prompts."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weakclip.models.transfer import device_constant

from .text_bank import TextBank
from .text_tower import encode_prompts
from .vocabulary import Names, resolve_templates


@MODELS.register_module()
class TemplateText(TextBank):
    """Fixed prompts, averaged over templates and synonyms.

    Each prompt's embedding is normalised, the prompts of a class are
    averaged, and the mean is normalised again (CLIP's zero-shot recipe).
    With ``synonyms='keep'`` the mean is over the templates of one synonym,
    and each synonym has a row of its own.

    Args:
        names: A name for each class, or several (synonyms); None until
            :meth:`set_names`.
        templates: A template with ``{}`` for the name, several, or a name
            from ``words.json`` or mmseg (``'imagenet'``, ``'vild'``).
        synonyms: ``'mean'`` or ``'keep'``.
        args: Model and weights, as in :class:`TextBank`.
        kwargs: Other arguments of :class:`TextBank`.

    Raises:
        ValueError: ``synonyms`` has another value, or a name does not fit;
            see :meth:`set_names`.
    """

    def __init__(
        self,
        *args,
        names: Names | None = None,
        templates: str | Sequence[str] = 'a photo of a {}.',
        synonyms: str = 'mean',
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.templates = resolve_templates(templates)
        if synonyms not in ('mean', 'keep'):
            raise ValueError(f"synonyms={synonyms!r} must be 'mean' or 'keep'")
        self.synonyms = synonyms
        if names is not None:
            self.set_names(names)

    def tokenize(self, names: tuple[tuple[str, ...], ...]) -> None:
        """Prepare the tokens of all prompts."""
        prompts = [
            template.format(name)
            for synonyms in names
            for name in synonyms
            for template in self.templates
        ]
        self.keep_tokens(*self.tokenizer(prompts, room=self.room))
        self._synonyms = [len(synonyms) for synonyms in names]

    @property
    def rows_per_class(self) -> list[int]:
        """Number of rows of each name and each background word."""
        if self.synonyms == 'keep':
            return self._synonyms
        return super().rows_per_class

    def encode(self) -> Tensor:
        """Encode all prompts and average them; unit length."""
        prompts = encode_prompts(
            self.tower, self.tokenizer.start, self._ids, self._ends
        )
        parts = self._synonyms
        if self.synonyms == 'keep':
            parts = [1] * sum(parts)
        groups = F.normalize(prompts, dim=-1).split(
            [part * len(self.templates) for part in parts]
        )
        return F.normalize(torch.stack([g.mean(0) for g in groups]), dim=-1)


@MODELS.register_module()
class PromptText(TextBank):
    """Learnable context tokens before each bare name (WeakCLIP, CoOp).

    The text is ``[start | contexts | name | end]``, no template; the contexts
    are shared by all classes. Embeddings are not normalised.

    Args:
        names: A name for each class; None until :meth:`set_names`.
        num_contexts: Number of learnable tokens.
        context_std: Standard deviation of their truncated normal
            initialisation.
            WeakCLIP's code has 1, fifty times that of CLIP's tokens.
        args: Model and weights, as in :class:`TextBank`.
        kwargs: Other arguments of :class:`TextBank`.

    Raises:
        ValueError: The context has no room for so many tokens, or a name does
            not fit; see :meth:`set_names`.
    """

    def __init__(
        self,
        *args,
        names: Names | None = None,
        num_contexts: int = 8,
        context_std: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        # A name takes a token at the least, its end another.
        most = self.room - 2
        if not 0 <= num_contexts <= most:
            raise ValueError(
                f'num_contexts={num_contexts} must be from 0 to {most}, since '
                f'the texts of this CLIP have {self.tower.context_length} '
                'tokens'
            )
        self.contexts = nn.Parameter(
            torch.empty(num_contexts, self.tower.width)
        )
        nn.init.trunc_normal_(self.contexts, std=context_std)
        if names is not None:
            self.set_names(names)

    def tokenize(self, names: tuple[tuple[str, ...], ...]) -> None:
        """Prepare the tokens of all names; raise an error for synonyms."""
        for synonyms in names:
            if len(synonyms) > 1:
                raise ValueError(
                    'PromptText takes one name for each class, '
                    f'not synonyms: {synonyms}'
                )
        room = self.room - len(self.contexts)
        self.keep_tokens(
            *self.tokenizer([name for (name,) in names], room=room)
        )

    def encode(self) -> Tensor:
        """Encode the contexts with each name."""
        first = device_constant(self.tokenizer.start, self._ids.device)
        start = first.to(self._ids.dtype)
        return self.tower.encode(
            torch.cat([self.tower.embed_tokens(start), self.contexts]),
            self.tower.embed_tokens(self._ids),
            self._ends,
        )
