"""Text semantic enrichment (ExCEL, CVPR 2025, TSE)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from .attribute_bank import AttributeBank


def enrich(
    text: Tensor,
    attributes: Tensor,
    weight: float = 1.0,
    temperature: float = 1.0,
    keep: float | int = 0.9,
) -> Tensor:
    """Add to each class what the attributes nearest to it say.

    ExCEL's implicit attribute hunting::

        T_c = normalise(t_c + weight * sum_j softmax_j(t_c . a_j / tau) a_j)

    over the ``keep`` attributes most like t_c. (At the published temperature
    of 1 all weights are nearly the same, so that each class gets nearly the
    mean of all attributes; a lower one tells them apart.)

    Args:
        text: Class texts t, unit length, (R, E).
        attributes: a, (A, E).
        weight: lambda, which the published code leaves at 1.
        temperature: tau.
        keep: How many attributes a class listens to: a share in (0, 1], or
            a number of them.

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
    """A share or a number of attributes as a number.

    A share drops ``int((1 - keep) * total)``, as published.

    Raises:
        ValueError: It is neither a share nor a number of those there are.
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
    """A text bank, its classes enriched by attributes.

    Stands wherever a :class:`TextBank` does. Background words stay as they
    are, as in ExCEL.

    Args:
        text: Config of the text bank; its CLIP must be the one that made the
            attributes.
        bank: File of an :class:`AttributeBank`.
        weight: See :func:`enrich`.
        temperature: See there.
        keep: See there.

    Raises:
        FileNotFoundError: There is no bank.
        ValueError: It was made with another CLIP, or a value is not allowed.
    """

    def __init__(
        self,
        text: ConfigType,
        bank: str,
        weight: float = 1.0,
        temperature: float = 1.0,
        keep: float | int = 0.9,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not temperature > 0:
            raise ValueError(f'temperature={temperature} must be above 0')
        self.text = MODELS.build(text)
        loaded = AttributeBank.load(bank)
        loaded.check_model(int(self.text.tower.fingerprint), text['model'])
        number_kept(keep, len(loaded.centres))
        self.register_buffer('attributes', loaded.centres, persistent=False)
        self.weight = weight
        self.temperature = temperature
        self.keep = keep

    def __len__(self) -> int:
        """See ``TextBank``."""
        return len(self.text)

    @property
    def names(self) -> tuple[tuple[str, ...], ...] | None:
        """See ``TextBank``."""
        return self.text.names

    @property
    def background_words(self) -> tuple[tuple[str, ...], ...]:
        """See ``TextBank``."""
        return self.text.background_words

    @property
    def rows_per_class(self) -> list[int]:
        """See ``TextBank``."""
        return self.text.rows_per_class

    def forward(self) -> Tensor:
        """See ``TextBank.forward``; rows have unit length."""
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
