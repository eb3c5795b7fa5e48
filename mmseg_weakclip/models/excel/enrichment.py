"""Text semantic enrichment (ExCEL, CVPR 2025, TSE)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from .attribute_bank import (
    AttributeBank,
    read_descriptions,
    require_clustering,
)
from .bank_cache import cached_bank


def enrich(
    text: Tensor,
    attributes: Tensor,
    weight: float = 1.0,
    temperature: float = 1.0,
    keep: float | int = 0.9,
) -> Tensor:
    """Add to each class text a mean of the attributes nearest to it.

    ExCEL's implicit attribute hunting::

        T_c = normalise(t_c + weight * sum_j softmax_j(t_c . a_j / tau) a_j)

    over the ``keep`` attributes most similar to t_c. (At the published
    temperature of 1 all weights are nearly equal, so that each class gets
    nearly the mean of all attributes; a lower one separates them.)

    Args:
        text: Unit embeddings t of the class texts, (R, E).
        attributes: Attributes a, (A, E).
        weight: Weight lambda; 1 in the published code.
        temperature: Temperature tau.
        keep: Attributes used for a class: a share in (0, 1], or a number.

    Returns:
        (R, E), unit length.
    """
    similarity = text @ attributes.T
    count = number_kept(keep, len(attributes))
    top, index = similarity.topk(count, dim=1)
    shares = (top / temperature).softmax(1)
    hunted = torch.einsum('rk,rke->re', shares, attributes[index])
    return F.normalize(text + weight * hunted, dim=-1)


def number_kept(keep: float | int, total: int) -> int:
    """Return the number of attributes that a share or a number means.

    A share drops ``int((1 - keep) * total)``, as published.

    Args:
        keep: Share in (0, 1], or number of attributes.
        total: Number of all attributes.

    Raises:
        ValueError: ``keep`` is not in the range.
    """
    if isinstance(keep, int):
        if not 0 < keep <= total:
            raise ValueError(f'keep={keep} of {total} attributes')
        return keep
    if not 0 < keep <= 1:
        raise ValueError(f'keep={keep} must be a share, above 0 and up to 1')
    return total - int((1 - keep) * total)


@MODELS.register_module()
class AttributeText(BaseModule):
    """A text bank with classes enriched by attributes.

    It can replace any :class:`TextBank`. Background words are not changed,
    as in ExCEL.

    Args:
        text: Config of the text bank; its CLIP must be the one that made the
            attributes.
        bank: File of an :class:`AttributeBank`; or how to build one when it
            is first needed, ``descriptions`` and ``clusters`` and optionally
            ``prefix`` and ``seed`` of :func:`cached_bank`.
        weight: Weight of the attributes; see :func:`enrich`.
        temperature: Temperature of the softmax over attributes.
        keep: Attributes used for a class: a share in (0, 1], or a number.
        init_cfg: Initialisation of the module.

    Raises:
        FileNotFoundError: The file of the bank, or of the descriptions, does
            not exist.
        ImportError: The bank is to be built, and scikit-learn is missing.
        ValueError: The bank was made with another CLIP, or a value is not
            allowed.
    """

    def __init__(
        self,
        text: ConfigType,
        bank: str | ConfigType,
        weight: float = 1.0,
        temperature: float = 1.0,
        keep: float | int = 0.9,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not temperature > 0:
            raise ValueError(f'temperature={temperature} must be above 0')
        if not isinstance(bank, str):
            # Before weights are loaded, which may take long.
            require_clustering()
            read_descriptions(bank['descriptions'])
        self.text = MODELS.build(text)
        if isinstance(bank, str):
            loaded = AttributeBank.load(bank)
        else:
            loaded = cached_bank(
                self.text.tower, text['model'], text.get('pretrained'), **bank
            )
        loaded.check_model(int(self.text.tower.fingerprint), text['model'])
        number_kept(keep, len(loaded.centres))
        self.register_buffer('attributes', loaded.centres, persistent=False)
        self.weight = weight
        self.temperature = temperature
        self.keep = keep

    def __len__(self) -> int:
        """Return the number of classes, without background words."""
        return len(self.text)

    @property
    def names(self) -> tuple[tuple[str, ...], ...] | None:
        """Names of each class, or None."""
        return self.text.names

    @property
    def background_words(self) -> tuple[tuple[str, ...], ...]:
        """Background words of the bank."""
        return self.text.background_words

    @property
    def rows_per_class(self) -> list[int]:
        """Number of rows of each name and each background word."""
        return self.text.rows_per_class

    def forward(self) -> Tensor:
        """Return unit embeddings of enriched classes and background words."""
        rows = F.normalize(self.text(), dim=-1)
        classes = sum(self.rows_per_class[: len(self)])
        enriched = enrich(
            rows[:classes].float(),
            self.attributes,
            self.weight,
            self.temperature,
            self.keep,
        )
        return torch.cat([enriched.to(rows.dtype), rows[classes:]])
