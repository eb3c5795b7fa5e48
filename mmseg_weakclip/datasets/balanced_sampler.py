"""Sampler that draws images of rare classes more often.

Repeat factor sampling of LVIS (Gupta et al., CVPR 2019): a class c that a
share f(c) of the images shows has the repeat factor

    r(c) = max(1, sqrt(t / f(c))),

and an image the largest factor of its classes.
"""

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from mmengine.registry import DATA_SAMPLERS

from .sampler import ResumableSampler
from .transforms import LoadImageLabels, find_transform, image_id_of


def repeat_factors(
    labels: Sequence[Sequence[int]], threshold: float
) -> np.ndarray:
    """Return how often each image is drawn in an epoch.

    Args:
        labels: Class ids of each image.
        threshold: Share t of the images below which a class is rare, in
            (0, 1].

    Returns:
        float64, (images,), each at least 1.
    """
    counts: dict[int, int] = {}
    for own in labels:
        for label in set(own):
            counts[label] = counts.get(label, 0) + 1
    factors = {
        label: max(1.0, (threshold * len(labels) / count) ** 0.5)
        for label, count in counts.items()
    }
    return np.array(
        [max((factors[label] for label in own), default=1.0) for own in labels]
    )


@DATA_SAMPLERS.register_module()
class RepeatFactorSampler(ResumableSampler):
    """Resumable sampler that draws images of rare classes more often.

    Every epoch has as many draws as the factors sum up to, and draws each
    image its factor times, rounded up or down at random such that the mean
    over epochs is the factor. As with :class:`ResumableSampler`, an epoch
    depends on the seed and its number only.

    Args:
        dataset: Data set with ``LoadImageLabels`` in its pipeline.
        threshold: Share of the images below which a class counts as rare.
            LVIS has 0.001 for its 1,203 classes; people who tag photos have
            tens of classes.
        seed: See :class:`ResumableSampler`.
        shuffle: Must be True; the runner of mmengine gives it.

    Raises:
        ValueError: The data set is empty, or brings no image labels; or the
            threshold is not in (0, 1].
    """

    def __init__(
        self,
        dataset: Sized,
        *,
        threshold: float = 0.1,
        seed: int | None = None,
        shuffle: bool = True,
    ) -> None:
        if not shuffle:
            raise ValueError(
                'RepeatFactorSampler draws at random: use ResumableSampler '
                'with shuffle=False'
            )
        if not 0 < threshold <= 1:
            raise ValueError(
                f'threshold={threshold} of RepeatFactorSampler must lie in '
                '(0, 1]'
            )
        super().__init__(dataset, seed=seed)
        factors = repeat_factors(_labels_of(dataset), threshold)
        self.size = round(float(factors.sum()))
        # Of a whole number of draws; the factors change by less than one
        # draw in an epoch.
        self.factors = factors * (self.size / factors.sum())

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, epoch))
        # Systematic sampling: ends of the images' intervals on a line, and a
        # draw at each whole number behind a random offset.
        order = rng.permutation(len(self.factors))
        ends = np.cumsum(self.factors[order])
        # Rounding must not lose the last draw.
        ends[-1] = self.size
        marks = np.floor(ends + rng.random()).astype(np.int64)
        draws = np.diff(marks, prepend=0)
        return rng.permutation(np.repeat(order, draws))


def _labels_of(dataset: Any) -> list[tuple[int, ...]]:
    """Return the class ids of each image of a data set."""
    loader = find_transform(getattr(dataset, 'pipeline', ()), LoadImageLabels)
    if loader is None or not hasattr(dataset, 'get_data_info'):
        raise ValueError(
            'RepeatFactorSampler needs image labels, but '
            f'{type(dataset).__name__} has no LoadImageLabels in its pipeline '
            '(wrappers of data sets are not looked into): use '
            'ResumableSampler'
        )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [
        loader.labels_of(image_id_of(info), info.get('classes'))
        for info in infos
    ]
