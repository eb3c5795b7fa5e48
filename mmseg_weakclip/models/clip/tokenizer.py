"""Tokens of texts: CLIP's byte pairs, or a tokenizer of transformers.

open_clip knows which tokenizer a model needs. Those of SigLIP, MetaCLIP 2,
CLIPA and of text towers from transformers need that package and a file from
the hub, which is downloaded once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import takewhile

import open_clip
import torch
from huggingface_hub import constants
from open_clip.tokenizer import (
    DEFAULT_CONTEXT_LENGTH,
    HFTokenizer,
    SimpleTokenizer,
)
from torch import Tensor

from .model_config import REMOTE_CODE, code_is_refused, require_tokenizer
from .weight_sources import ClipSource, find_model

# A word that no tokenizer takes for a special token.
PROBE = 'a'


class TextReader(ABC):
    """Turns one text into ids, in the way of one family of tokenizers.

    Attributes:
        start: Ids before each text; none in some families.
        pad: Id behind shorter texts.
        special: Ids that a text must not contain, and their names.
    """

    start: tuple[int, ...]
    pad: int
    special: dict[int, str]

    @abstractmethod
    def read(self, text: str) -> list[int]:
        """Return the ids of a text with its end, without its start."""


class BytePairReader(TextReader):
    """CLIP's byte-pair encoding.

    Args:
        tokenizer: open_clip's tokenizer.
    """

    pad = 0

    def __init__(self, tokenizer: SimpleTokenizer) -> None:
        self.tokenizer = tokenizer
        self.start = (tokenizer.sot_token_id,)
        self.special = {
            token: tokenizer.decoder[token]
            for token in tokenizer.all_special_ids
        }

    def read(self, text: str) -> list[int]:
        """See :meth:`TextReader.read`."""
        return [*self.tokenizer.encode(text), self.tokenizer.eot_token_id]


class TransformersReader(TextReader):
    """A tokenizer of the package transformers, in open_clip's shell.

    What it puts around a text is found out with an empty one and with a word:
    the ids that both begin with come before a text, the rest of the empty one
    behind it.

    Args:
        tokenizer: open_clip's tokenizer.
        model: Name of the model, for messages.

    Raises:
        ValueError: The tokenizer marks no end of a text, or by several
            tokens, or has a mode that is not supported.
    """

    def __init__(self, tokenizer: HFTokenizer, model: str) -> None:
        self.tokenizer = tokenizer
        own = tokenizer.tokenizer
        if tokenizer.tokenizer_mode:
            raise ValueError(
                f'{model} has tokenizer_mode={tokenizer.tokenizer_mode!r}, '
                'which is not supported'
            )
        around = self._ids('')
        before = _count_equal(around[:-1], self._ids(PROBE))
        behind = around[before:]
        if not behind:
            raise ValueError(
                f'the tokenizer of {model} marks no end of a text, which is '
                'where the text is read; it cannot be used'
            )
        if len(behind) > 1:
            # As those of NLLB and mBART with `legacy_behaviour`, which put
            # the language there.
            raise ValueError(
                f'the tokenizer of {model} puts '
                f'{own.convert_ids_to_tokens(behind)} behind each text; only '
                'one token is supported there'
            )
        self.start = tuple(around[:before])
        self.pad = int(own.pad_token_id or 0)
        self.special = {
            token: own.convert_ids_to_tokens(token)
            for token in own.all_special_ids
            if token != own.unk_token_id
        }

    def _ids(self, text: str) -> list[int]:
        cleaned = self.tokenizer.clean_fn(text)
        return list(self.tokenizer.tokenizer([cleaned]).input_ids[0])

    def read(self, text: str) -> list[int]:
        """See :meth:`TextReader.read`."""
        ids = self._ids(text)[len(self.start) :]
        if self.tokenizer.strip_sep_token:
            # The weights of CLIPA never saw the end token, but a zero.
            sep = self.tokenizer.tokenizer.sep_token_id
            ids = [0 if token == sep else token for token in ids]
        return ids


class Tokenizer:
    """Ids of texts for one model; it never truncates silently.

    Args:
        model: Name of the model; see :func:`load_clip`.

    Raises:
        ValueError: The tokenizer needs the package transformers, which is not
            installed.
        RuntimeError: Its file cannot be downloaded.
    """

    def __init__(self, model: str) -> None:
        self._reader = _load_reader(find_model(model))

    @property
    def start(self) -> tuple[int, ...]:
        """Ids before each text."""
        return self._reader.start

    @property
    def pad(self) -> int:
        """Id behind shorter texts."""
        return self._reader.pad

    def room(self, context_length: int) -> int:
        """Return the largest number of tokens of a text, its end included."""
        return context_length - len(self.start)

    def __call__(
        self, texts: Sequence[str], room: int
    ) -> tuple[Tensor, Tensor]:
        """Encode texts without their start token.

        Args:
            texts: K texts.
            room: Largest number of tokens of a text, its end included.

        Returns:
            Ids (K, S), padded, and the index of each end token, (K,).

        Raises:
            ValueError: A text is too long or contains one of the special
                tokens; the message quotes it.
        """
        rows = [self._reader.read(text) for text in texts]
        special = self._reader.special
        for text, row in zip(texts, rows):
            if found := set(special).intersection(row[:-1]):
                tokens = sorted(map(special.__getitem__, found))
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
        return self._pad(rows)

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
            [token for token in row[:-1] if token not in self._reader.special]
            + row[-1:]
            for row in map(self._reader.read, texts)
        ]
        cut = [text for text, row in zip(texts, rows) if len(row) > room]
        fitting = [[*row[:-1][: room - 1], row[-1]] for row in rows]
        return *self._pad(fitting), cut

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        ends = torch.tensor([len(row) - 1 for row in rows])
        ids = torch.full((len(rows), int(ends.max()) + 1), self.pad)
        for row, tokens in zip(ids, rows):
            row[: len(tokens)] = torch.tensor(tokens)
        return ids, ends


def _count_equal(left: Sequence[int], right: Sequence[int]) -> int:
    """Return the number of first ids that are the same."""
    pairs = zip(left, right)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _load_reader(source: ClipSource) -> TextReader:
    text = source.config['text_cfg']
    name = text.get('hf_tokenizer_name')
    if not name:
        return BytePairReader(open_clip.get_tokenizer(source.open_clip_name))
    require_tokenizer(source.name, source.config)
    # A repository may name another for its tokenizer, whose files are not in
    # the folder that its own configuration was downloaded to.
    in_folder = source.folder and not source.repository
    options = dict(text.get('tokenizer_kwargs') or {})
    # Else a configuration could ask for code of the repository to be run.
    if options.pop(REMOTE_CODE, False):
        raise ValueError(code_is_refused(source.name, f'tokenizer {name}'))
    try:
        tokenizer = HFTokenizer(
            str(source.folder) if in_folder else name,
            context_length=text.get('context_length', DEFAULT_CONTEXT_LENGTH),
            tokenizer_mode=text.get('tokenizer_mode'),
            **options,
            **{REMOTE_CODE: False},
        )
    except Exception as error:  # transformers and every network have their own
        if REMOTE_CODE in str(error):
            raise ValueError(
                code_is_refused(source.name, f'tokenizer {name}')
            ) from error
        raise RuntimeError(
            f'the tokenizer {name} of {source.name} cannot be loaded. Without '
            f'a network, fetch the tokenizer files of {constants.ENDPOINT}/'
            f'{name} elsewhere, put them beside the weights and an '
            'open_clip_config.json into a folder, and give it as '
            f'model=local-dir:FOLDER. The error was: '
            f'{" ".join(str(error).split())}'
        ) from error
    return TransformersReader(tokenizer, source.name)
