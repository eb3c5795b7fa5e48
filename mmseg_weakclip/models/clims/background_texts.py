"""Embeddings of background texts, for the losses of CLIMS."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.models.clip.text_bank import TextBank
from mmseg_weakclip.models.clip.text_tower import encode_prompts
from mmseg_weakclip.models.transfer import upload

from .background_cache import BackgroundCache
from .background_lists import Backgrounds, resolve_backgrounds

# Prompts in one pass of the text tower.
CHUNK = 256


@MODELS.register_module()
class BackgroundTexts(TextBank):
    """Embeddings of the background texts of (image, class) pairs.

    CLIMS (CVPR 2022) keeps objects from resembling texts of what co-occurs
    with them, such as railways with trains. The texts are a fixed list, or
    were chosen for each image and are read from a :class:`BackgroundCache`.

    As a text bank it has the names of the foreground classes, from the
    config, the data set (``ClassNamesHook``) or a checkpoint. All unique
    texts are encoded once and cached while the tower is frozen.

    Args:
        model: Name of the open_clip model.
        pretrained: Tag or file of the weights; see :func:`load_clip`.
        source: Name of a list in ``background_lists.json``, texts, a mapping
            from class names to texts, or the path of a cache (``*.json``).
        names: Names of the K foreground classes; None until
            :meth:`set_names`.
        template: Prompt with ``{}`` for the text.
        top: Number of texts of a pair that are used, the first ones; None
            for all.
        fallback: Texts of pairs without a text in the cache: a list, a
            mapping or the name of a list. With None such pairs have none.
        foreground_only: Whether a class called ``background`` is left out of
            the names, to match the labels.
        frozen: Whether the text tower is frozen.
        init_cfg: Initialisation of the bank.

    Raises:
        FileNotFoundError: The cache does not exist.
        ValueError: ``top`` is below 1, the template has no ``{}``, or the
            cache is damaged; see also :meth:`set_names`.
    """

    def __init__(
        self,
        model: str,
        pretrained: str | None,
        source: str | Path | Backgrounds,
        *,
        names: Sequence[str] | None = None,
        template: str = 'a photo of {}.',
        top: int | None = None,
        fallback: str | Backgrounds | None = None,
        foreground_only: bool = True,
        frozen: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            model,
            pretrained,
            foreground_only=foreground_only,
            frozen=frozen,
            init_cfg=init_cfg,
        )
        if top is not None and top < 1:
            raise ValueError(f'top={top} leaves no background text')
        if '{}' not in template:
            raise ValueError(
                f'the template {template!r} has no {{}} for the text'
            )
        self.template = template
        self.top = top
        self.fallback = fallback
        self.source: str | Backgrounds | BackgroundCache = source
        if str(source).endswith('.json'):
            self.source = BackgroundCache.load(source)
        if names is not None:
            self.set_names(names)

    def tokenize(self, names: tuple[tuple[str, ...], ...]) -> None:
        """Find the texts of all classes and prepare their tokens.

        Args:
            names: Names of each class, the first of which is used.

        Raises:
            ValueError: A list of texts is empty, the cache or a mapping has
                a class that is not among the names, or a text does not fit
                into the context.
        """
        self._classes = tuple(synonyms[0] for synonyms in names)
        cached: tuple[str, ...] = ()
        fixed = self.source
        if isinstance(self.source, BackgroundCache):
            self.source.check_classes(self._classes)
            cached = self.source.all_texts()
            fixed = self.fallback
        self._fixed: tuple[tuple[str, ...], ...] = ((),) * len(names)
        if fixed is not None:
            self._fixed = resolve_backgrounds(fixed, self._classes)
        texts = dict.fromkeys((*cached, *sum(self._fixed, ())))
        self._rows = {text: row for row, text in enumerate(texts)}
        if not texts:
            raise ValueError(
                f'{self._origin} holds no text for any of '
                f'{", ".join(self._classes)}'
            )
        self.keep_tokens(
            *self.tokenizer(
                [self.template.format(text) for text in texts],
                room=self.room,
            )
        )

    @property
    def _origin(self) -> str:
        if isinstance(self.source, BackgroundCache):
            return self.source.source
        return f'source={self.source!r}'

    def check_images(self, image_ids: Sequence[str]) -> None:
        """Check that the cache has all images of a data set.

        Args:
            image_ids: Ids of the images.

        Raises:
            ValueError: Images are missing in the cache.
        """
        if isinstance(self.source, BackgroundCache):
            self.source.check_images(image_ids)

    def texts(self, image_id: str, label: int) -> tuple[str, ...]:
        """Return background texts of a class in an image, at most ``top``.

        Args:
            image_id: Stem of the image file.
            label: Index of a foreground class.

        Raises:
            ValueError: The cache lacks the image.
        """
        found: tuple[str, ...] = ()
        if isinstance(self.source, BackgroundCache):
            found = self.source.texts(image_id, self._classes[label])
        return (found or self._fixed[label])[: self.top]

    def encode(self) -> Tensor:
        """Return unit embeddings of all unique texts, (U, E), float32."""
        with torch.autocast(self._ids.device.type, enabled=False):
            embeddings = encode_prompts(
                self.tower,
                self.tokenizer.start,
                self._ids,
                self._ends,
                chunk=CHUNK,
            )
            return F.normalize(embeddings.float(), dim=-1)

    def forward(
        self, image_ids: Sequence[str], labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the background texts of M (image, class) pairs.

        Args:
            image_ids: Image of each pair; stems of image files.
            labels: Foreground class of each pair, 0 to K - 1, (M,); on the
                CPU, or the device is waited for.

        Returns:
            Unit embeddings (M, L, E), float32, zero where there is no text;
            and a mask of the texts, bool, (M, L). L is the largest number of
            texts of a pair, 0 if none has any.

        Raises:
            RuntimeError: The names are not set.
            ValueError: The cache lacks an image, or a label is not the id of
                a class.
        """
        unique = super().forward()
        numbers = labels.tolist()
        if len(numbers) != len(image_ids):
            raise ValueError(
                f'{len(image_ids)} image ids for {len(numbers)} labels'
            )
        for image_id, label in zip(image_ids, numbers):
            if not 0 <= label < len(self):
                raise ValueError(
                    f'{image_id!r} has the label {label}; foreground classes '
                    f'are 0 to {len(self) - 1}'
                )
        rows = [
            [self._rows[text] for text in self.texts(image_id, label)]
            for image_id, label in zip(image_ids, numbers)
        ]
        width = max(map(len, rows), default=0)
        padded = [own + [-1] * (width - len(own)) for own in rows]
        index = torch.tensor(padded, dtype=torch.long)
        index = upload(index.view(len(rows), width), unique.device)
        mask = index >= 0
        return unique[index.clamp(min=0)] * mask[..., None], mask
