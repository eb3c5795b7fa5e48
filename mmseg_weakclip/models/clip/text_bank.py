"""Base of the text banks, which turn class names into embeddings."""

import json
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor

from .text_tower import TextTower
from .tokenizer import Tokenizer
from .vocabulary import Aliases, Names, resolve_names
from .weights import load_clip

BACKGROUND = 'background'


class TextBank(BaseModule):
    """Base of the text banks: a text tower and class names.

    Without gradients the embeddings are computed once and cached until the
    bank is trained, loaded or renamed. Checkpoints store the names; a bank
    without names takes them from there, or from the dataset
    (``ClassNamesHook``).

    Args:
        model: Name of the open_clip model.
        pretrained: Tag or file of the weights; see :func:`load_clip`.
        aliases: Replacements of some names: a table, or the name of one in
            ``words.json``.
        background_words: Names of other things that images show, behind
            those of the classes: a list, or the name of one in
            ``words.json``.
        foreground_only: Whether a class called ``background`` is left out.
        frozen: Whether the text tower is frozen, or names of its frozen
            parts.

    Attributes:
        of_classes: Whether the names are those of the data set's classes. A
            part with names of its own, such as super-classes, sets it to
            False; ``ClassNamesHook`` then leaves the bank alone.
    """

    of_classes = True

    def __init__(
        self,
        model: str,
        pretrained: str | None,
        *,
        aliases: Aliases | None = None,
        background_words: Names = (),
        foreground_only: bool = False,
        frozen: bool | Sequence[str] = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        # First, since it is small and may lack a package.
        self.tokenizer = Tokenizer(model)
        self.tower = TextTower(
            load_clip(model, pretrained),
            frozen=frozen,
            reloadable=pretrained is not None,
            pad=self.tokenizer.pad,
        )
        self.aliases = aliases
        self.background_words = resolve_names(background_words)
        self.foreground_only = foreground_only
        self.names: tuple[tuple[str, ...], ...] | None = None
        self.register_buffer('name_bytes', torch.zeros(0, dtype=torch.uint8))
        self._kept: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget)

    @property
    def room(self) -> int:
        """Largest number of tokens of a text, its end included."""
        return self.tokenizer.room(self.tower.context_length)

    def keep_tokens(self, ids: Tensor, ends: Tensor) -> None:
        """Keep tokens as ``_ids`` and ``_ends``, where the bank is.

        Args:
            ids: Ids of the tokens behind the start token, padded, (P, S).
            ends: Index of the end token of each prompt in ``ids``, (P,).
        """
        device = self.name_bytes.device
        self.register_buffer('_ids', ids.to(device), persistent=False)
        self.register_buffer('_ends', ends.to(device), persistent=False)

    def set_names(self, names: Names) -> None:
        """Set the class names.

        Args:
            names: A name for each class, or several (synonyms).

        Raises:
            ValueError: There is none, or one is empty or does not fit into
                the context.
        """
        groups = resolve_names(names)
        if self.foreground_only:
            groups = tuple(g for g in groups if g[0] != BACKGROUND)
        if not groups:
            raise ValueError(
                f'names={names!r} with foreground_only={self.foreground_only} '
                'leaves a text bank no class; name at least one'
            )
        self.tokenize(
            resolve_names(groups, self.aliases) + self.background_words
        )
        self.names = groups
        self.name_bytes = _pack(groups).to(self.name_bytes.device)
        self._kept = None

    def __len__(self) -> int:
        """Return the number of classes, without background words."""
        if self.names is None:
            raise RuntimeError(
                'the class names of a text bank are not known: set `names` '
                'in its config, or add dict(type="ClassNamesHook") to '
                '`custom_hooks` to take them from the dataset'
            )
        return len(self.names)

    @property
    def rows_per_class(self) -> list[int]:
        """Number of rows of each name and each background word."""
        return [1] * (len(self) + len(self.background_words))

    def tokenize(self, names: tuple[tuple[str, ...], ...]) -> None:
        """Prepare the tokens of all names, or raise a ValueError."""
        raise NotImplementedError

    def encode(self) -> Tensor:
        """Compute the embeddings; see :meth:`forward`."""
        raise NotImplementedError

    def forward(self) -> Tensor:
        """Return embeddings of K names, then of M background words.

        Returns:
            (K + M, E), or more rows; see :attr:`rows_per_class`.

        Raises:
            RuntimeError: The names are not set.
        """
        len(self)
        trained = any(p.requires_grad for p in self.parameters())
        if trained and torch.is_grad_enabled():
            return self.encode()
        # Between two calls in training, an optimizer may have made a step.
        if self._kept is None or (trained and self.training):
            # They outlive this call, and must not depend on its precision.
            device = self.name_bytes.device.type
            with torch.no_grad(), torch.autocast(device, enabled=False):
                self._kept = self.encode()
        return self._kept

    def train(self, mode: bool = True) -> 'TextBank':  # noqa: FBT001, FBT002
        """Set the mode; embeddings of a trained bank are not kept.

        A training loop calls this before each validation and each epoch, and
        some in every iteration; a frozen bank does not change between.
        """
        if any(p.requires_grad for p in self.parameters()):
            self._kept = None
        return super().train(mode)

    def _apply(self, *args, **kwargs) -> 'TextBank':
        """Move or convert the bank, as ``to`` and ``half`` do."""
        self._kept = None
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        key = f'{prefix}name_bytes'
        if len(state_dict.get(key, ())):
            stored = _unpack(state_dict[key], key)
            if self.names is None:
                self.set_names(stored)
            elif stored != self.names:
                print_log(
                    f'{prefix[:-1]}: the checkpoint was trained on the names '
                    f'{stored}, this config has {self.names}',
                    'current',
                    level=30,
                )
        # The names this bank has now stand, whatever the file holds.
        state_dict[key] = self.name_bytes
        super()._load_from_state_dict(state_dict, prefix, *args)


def best_of_class(
    values: Tensor, text: TextBank
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the maximum over the rows of each name and background word.

    Args:
        values: Values of the bank's rows, (B, M, ...).
        text: Text bank.

    Returns:
        Maxima (B, ...) of the names, and of the background words.
    """
    groups = values.split(text.rows_per_class, 1)
    best = [group.amax(1) for group in groups]
    return best[: len(text)], best[len(text) :]


def check_foreground_text(text: TextBank, num_classes: int, user: str) -> None:
    """Check that a bank has one row for each foreground class.

    Args:
        text: Text bank of a head.
        num_classes: Number of classes of the head, background included.
        user: Name of the head, for the messages.

    Raises:
        ValueError: The bank has another number of classes, or several rows
            for one.
    """
    if len(text) != num_classes - 1:
        raise ValueError(
            f'{user} has num_classes={num_classes} with background, but its '
            f'text bank has {len(text)} names: {text.names}'
        )
    if set(text.rows_per_class) != {1}:
        raise ValueError(
            f"{user} takes one text for each class: set synonyms='mean' in "
            'its text bank'
        )


def check_open_vocabulary(
    text: TextBank, num_classes: int, threshold: float | None, user: str
) -> None:
    """Check that a bank and a threshold define every class.

    The bank names all classes, or all but a background, class 0, which is
    then defined by the bank's background words or by the threshold.

    Args:
        text: Text bank of a head.
        num_classes: Number of classes of the head.
        threshold: Threshold of the background, or None.
        user: Name of the head, for the messages.

    Raises:
        ValueError: The number of names does not match, or the background is
            not defined, or defined although all classes have names.
    """
    names, words = len(text), len(text.background_words)
    if names not in (num_classes, num_classes - 1):
        raise ValueError(
            f'{user} has num_classes={num_classes}, but its text bank has '
            f'{names} names: {text.names}'
        )
    if num_classes == 1:
        raise ValueError(
            f'{user} has one class, which would cover every pixel: add a '
            'background, with num_classes=2 and background words or a '
            'threshold'
        )
    complete = names == num_classes
    if complete and (words or threshold is not None):
        raise ValueError(
            f'the text bank names all {names} classes of {user}: there is no '
            'background for background words or a threshold. Set num_classes '
            'one higher, or foreground_only=True in the bank'
        )
    if not complete and not words and threshold is None:
        raise ValueError(
            f'{user} has num_classes={num_classes} and its bank {names} '
            'names, so class 0 is the background: define it with '
            'background_words in the bank or with a threshold'
        )


def _pack(names: tuple[tuple[str, ...], ...]) -> Tensor:
    return torch.tensor(list(json.dumps(names).encode()), dtype=torch.uint8)


def _unpack(packed: Tensor, key: str) -> tuple[tuple[str, ...], ...]:
    try:
        groups = json.loads(bytes(packed.tolist()).decode())
        return tuple(tuple(map(str, group)) for group in groups)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'{key} of the checkpoint holds no class names; the file is '
            'damaged or was not written by this package'
        ) from error


def _forget(bank: TextBank, keys) -> None:
    """Drop the cached embeddings after new weights were loaded."""
    bank._kept = None
