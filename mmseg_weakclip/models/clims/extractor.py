"""Choose background texts from image embeddings and labels."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.clip.text_tower import TextTower, encode_prompts
from mmseg_weakclip.models.clip.tokenizer import Tokenizer
from mmseg_weakclip.models.clip.vocabulary import Aliases, resolve_names

from .background_cache import BackgroundCache
from .background_lists import spellings
from .extraction import (
    allowed_texts,
    calibrate,
    co_occurrence,
    conditional_gain,
    mean_view,
    presence,
    rank_texts,
)
from .words import compact

# From T texts to unit embeddings (T, E).
EncodeTexts = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class ExtractionSettings:
    """Settings of the choice of background texts.

    The score of a text for a class of an image is ``z + gain_weight * gain +
    pmi_weight * PMI``: z is its calibrated presence, gain its conditional
    gain, also calibrated over all images (within the class alone, its usual
    background would gain least), PMI its co-occurrence with the class. No
    value is published. The weights are a first guess; ``floor`` was set on
    the training scenes of toyland.

    Attributes:
        template: Prompt with ``{}`` for a text or a class.
        joint_template: Prompt with ``{}`` for the class, then for the text.
        aliases: Names of some classes in prompts; see
            :func:`resolve_names`. The first of several synonyms is used.
        similarity: Largest cosine of a text and a class; nearer texts are
            treated as synonyms of the class.
        distinct: Largest cosine of two texts of an image; of nearer ones,
            only the best is used.
        gain_weight: Weight of the conditional gain.
        pmi_weight: Weight of the co-occurrence.
        hit: Least z at which an image counts as showing a text.
        smoothing: Number of added images; see :func:`co_occurrence`.
        present: Least z of a chosen text.
        top: Largest number of texts of a class in an image; CLIMS+ has more
            of them than CLIMS's fixed list, which has 10 for VOC.
        floor: Least score of a chosen text.
        other_labels: ``'keep'`` or ``'drop'`` texts that name, or are denied
            for, another class of the image.
    """

    template: str = 'a photo of {}.'
    joint_template: str = 'a photo of {} and {}.'
    aliases: Aliases | None = None
    similarity: float = 0.9
    distinct: float = 0.95
    gain_weight: float = 0.5
    pmi_weight: float = 0.5
    hit: float = 1.0
    smoothing: float = 5.0
    present: float = 1.0
    top: int = 16
    floor: float = 2.0
    other_labels: str = 'keep'

    def __post_init__(self) -> None:
        for name, places in (('template', 1), ('joint_template', 2)):
            if getattr(self, name).count('{}') != places:
                raise ValueError(
                    f'{name}={getattr(self, name)!r} must have {places} {{}}'
                )
        if self.other_labels not in ('keep', 'drop'):
            raise ValueError(
                f"other_labels={self.other_labels!r} must be 'keep' or 'drop'"
            )
        if self.top < 1:
            raise ValueError(f'top={self.top} leaves no background text')
        if self.smoothing <= 0:
            raise ValueError(f'smoothing={self.smoothing} must be above 0')


class TextEncoder:
    """Unit embeddings of texts by CLIP's text tower.

    Args:
        tower: CLIP's text tower.
        tokenizer: Tokenizer of the tower.
    """

    def __init__(self, tower: TextTower, tokenizer: Tokenizer) -> None:
        self.tower = tower
        self.tokenizer = tokenizer

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return embeddings of T texts, float32, (T, E).

        Args:
            texts: T texts.

        Raises:
            ValueError: A text does not fit into the context.
        """
        device = next(self.tower.parameters()).device
        room = self.tokenizer.room(self.tower.context_length)
        ids, ends = self.tokenizer(texts, room)
        embeddings = encode_prompts(
            self.tower,
            self.tokenizer.start,
            ids.to(device),
            ends.to(device),
        )
        return F.normalize(embeddings.float(), dim=-1)


def extract_backgrounds(
    image_ids: Sequence[str],
    views: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    vocabulary: Sequence[str],
    encode: EncodeTexts,
    settings: ExtractionSettings = ExtractionSettings(),
) -> BackgroundCache:
    """Find the background texts of every class of every image.

    Image labels are complete: a text that names a class the image does not
    have is never taken.

    Args:
        image_ids: Ids of N images.
        views: Embeddings of the views of each image, (N, V, E), any dtype.
        labels: Whether an image has each foreground class, bool, (N, K).
        classes: Names of the K classes.
        vocabulary: T texts.
        encode: CLIP's text tower, from texts to unit embeddings on one
            device.
        settings: Settings of the choice.

    Returns:
        A cache with an entry for each class of each image, which may have no
        text.

    Raises:
        ValueError: The vocabulary has nothing for a class, or a text does
            not fit into the context.
    """
    texts = encode([settings.template.format(text) for text in vocabulary])
    spoken = [names[0] for names in resolve_names(classes, settings.aliases)]
    alone = encode([settings.template.format(name) for name in spoken])
    labels = labels.to(texts.device)
    views = views.to(texts.device)
    allowed = allowed_texts(
        vocabulary, classes, texts, alone, settings.similarity
    )
    means = mean_view(views)
    z = calibrate(presence(views, texts))
    ruled_out = _names_absent_class(vocabulary, classes, labels)
    hits = (z > settings.hit) & ~ruled_out
    pmi = co_occurrence(hits, labels, settings.smoothing)
    ruled_out |= z <= settings.present
    if settings.other_labels == 'drop':
        ruled_out |= (labels.float() @ (~allowed).float()) > 0
    similar = texts @ texts.T > settings.distinct
    # Fetched once: each row and text below would wait for the device.
    row_lists = [own.nonzero().flatten().tolist() for own in labels.T.cpu()]
    text_lists = [own.nonzero().flatten().tolist() for own in allowed.cpu()]
    images: dict[str, dict] = {name: {} for name in image_ids}
    for k, name in enumerate(classes):
        numbers, kept = row_lists[k], text_lists[k]
        if not numbers:
            continue
        rows, columns = (
            torch.tensor(own, device=texts.device) for own in (numbers, kept)
        )
        joint = encode(
            [
                settings.joint_template.format(spoken[k], vocabulary[t])
                for t in kept
            ]
        )
        gain = calibrate(conditional_gain(means, joint, alone[k]))[rows]
        where = rows[:, None], columns
        scores = (
            z[where]
            + settings.gain_weight * gain
            + settings.pmi_weight * pmi[k, columns]
        )
        scores = scores.masked_fill(ruled_out[where], -torch.inf)
        found = rank_texts(
            scores,
            similar[columns][:, columns],
            settings.top,
            settings.floor,
        )
        for row, own in zip(numbers, found):
            images[image_ids[row]][name] = tuple(
                (vocabulary[kept[i]], round(score, 4)) for i, score in own
            )
    return BackgroundCache(
        tuple(classes), images, dict(settings=asdict(settings))
    )


def _names_absent_class(
    vocabulary: Sequence[str], classes: Sequence[str], labels: Tensor
) -> Tensor:
    """Return whether each text names a class the image lacks, (N, T)."""
    index = {
        compact(name): k
        for k, own in enumerate(classes)
        for name in spellings(own)
    }
    result = torch.zeros(
        len(labels), len(vocabulary), dtype=torch.bool, device=labels.device
    )
    for t, text in enumerate(vocabulary):
        k = index.get(compact(text))
        if k is not None:
            result[:, t] = ~labels[:, k]
    return result
