"""Scores of texts that co-occur with a class in an image, by CLIP alone.

CLIMS+ finds the background texts of each image automatically; its method is
not published. Here a text scores high if an image shows it more than the
average image (presence), if it explains the image together with the class
(gain), and if images of the class show it more often than others
(co-occurrence). Everything is computed from embeddings, without CLIP.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .background_lists import denied_by

# Images in one matrix product.
CHUNK = 2048


def presence(views: Tensor, texts: Tensor) -> Tensor:
    """Return the cosine of each text and the best view of each image.

    Args:
        views: Embeddings of the V views of N images, (N, V, E), any dtype.
        texts: Unit embeddings of T texts, (T, E), float32.

    Returns:
        Cosines in [-1, 1], float32, (N, T).
    """
    return torch.cat(
        [
            (F.normalize(part.to(texts), dim=-1) @ texts.T).amax(1)
            for part in views.split(CHUNK)
        ]
    )


def calibrate(scores: Tensor) -> Tensor:
    """Normalise scores by the mean and deviation of each text.

    CLIP prefers some texts to others whatever an image shows. Texts that
    hardly vary are not amplified: the divisor is at least half the median of
    the standard deviations.

    Args:
        scores: Scores of N images and T texts, (N, T).

    Returns:
        Mean 0 over the images, standard deviation at most 1, (N, T).
    """
    std = scores.std(0, correction=0)
    least = std.median() / 2
    tiny = torch.finfo(scores.dtype).tiny
    return (scores - scores.mean(0)) / std.clamp(min=least + tiny)


def mean_view(views: Tensor) -> Tensor:
    """Return the mean of the views' unit embeddings, not normalised.

    Its product with a text is the mean of the views' cosines.

    Args:
        views: Embeddings of the V views of N images, (N, V, E), any dtype.

    Returns:
        float32, (N, E).
    """
    return torch.cat(
        [
            F.normalize(part.float(), dim=-1).mean(1)
            for part in views.split(CHUNK)
        ]
    )


def conditional_gain(
    images: Tensor, with_text: Tensor, alone: Tensor
) -> Tensor:
    """Return the gain of describing an image by a class and a text.

    ``cos(v, "a photo of {class} and {text}") - cos(v, "a photo of {class}")``
    averaged over the views v: presence already takes the best view, and here
    the best view would be a crop that shows the text without the class.

    Args:
        images: Mean views of the images, (N, E); see :func:`mean_view`.
        with_text: Unit embeddings of the class with T texts, (T, E).
        alone: Unit embedding of the class alone, (E,).

    Returns:
        In [-2, 2], float32, (N, T).
    """
    return images @ (with_text - alone).T


def co_occurrence(
    hits: Tensor, labels: Tensor, smoothing: float = 5.0
) -> Tensor:
    """Return pointwise mutual information of texts and classes.

    ``log(P(text | class) / P(text))`` over a data set, where each class gets
    ``smoothing`` more images that show texts as often as all images do.

    Args:
        hits: Whether each of N images shows each text, bool, (N, T).
        labels: Whether each image has each class, bool, (N, K).
        smoothing: Number of added images, above 0.

    Returns:
        Natural logarithms; 0 for a class without images and for a text
        without hits, float32, (K, T).
    """
    hits, labels = hits.float(), labels.float()
    overall = hits.mean(0).clamp(min=1 / (2 * len(hits)))
    together = labels.T @ hits
    count = labels.sum(0)[:, None]
    given = (together + smoothing * overall) / (count + smoothing)
    result = (given / overall).log()
    return result.where((hits.sum(0) > 0) & (count > 0), 0)


def allowed_texts(
    vocabulary: Sequence[str],
    classes: Sequence[str],
    texts: Tensor,
    class_texts: Tensor,
    similarity: float,
) -> Tensor:
    """Return which texts may be background of each class.

    Excluded are the class itself, denied words (:func:`denied_by`), and
    texts that CLIP confuses with the class.

    Args:
        vocabulary: T texts.
        classes: Names of the K classes.
        texts: Unit embeddings of the texts, (T, E).
        class_texts: Unit embeddings of the classes, (K, E).
        similarity: Largest cosine that a text may have with the class.

    Returns:
        bool, (K, T).

    Raises:
        ValueError: The vocabulary is empty, or none of it is left for a
            class.
    """
    if not vocabulary:
        raise ValueError('the vocabulary of background texts is empty')
    near = class_texts @ texts.T > similarity
    denied = torch.tensor(
        [[denied_by(t, name) is not None for t in vocabulary]
         for name in classes],
        device=near.device,
    )  # fmt: skip
    allowed = ~(near | denied)
    served = allowed.any(1).tolist()
    for name, has_text, by_word in zip(classes, served, denied):
        if not has_text:
            raise ValueError(
                f'the vocabulary has no word for the class {name!r}: of '
                f'{len(vocabulary)} texts, {int(by_word.sum())} are the '
                'class, parts, synonyms or kinds of it, and the others are '
                f'nearer to it than similarity={similarity}'
            )
    return allowed


def rank_texts(
    scores: Tensor, similar: Tensor, top: int, floor: float
) -> list[list[tuple[int, float]]]:
    """Return the best texts of each image, without similar ones.

    Args:
        scores: Scores of M images and T texts, ``-inf`` if not allowed,
            (M, T).
        similar: Whether two texts are similar, bool, (T, T): the worse one
            is left out.
        top: Largest number of texts.
        floor: Scores must be above it.

    Returns:
        For each image, indices of texts with scores, best first.
    """
    best, index = scores.sort(dim=1, descending=True, stable=True)
    counts = (best > floor).sum(1).tolist()
    rows = similar.tolist()
    result = []
    for count, values, indices in zip(counts, best.tolist(), index.tolist()):
        chosen: list[tuple[int, float]] = []
        for i, score in zip(indices[:count], values):
            if len(chosen) == top:
                break
            if not any(rows[i][other] for other, _ in chosen):
                chosen.append((i, score))
        result.append(chosen)
    return result
