"""Sampler whose draws of training images can be repeated exactly.

mmengine resumes the order of images, not the random numbers of their
augmentation, which depend on the number of workers and on what each has
drawn before. Here every draw carries its position in the run, and a data set
that knows :class:`Draw` takes its randomness from that alone.
"""

import random
from collections.abc import Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


class Draw(int):
    """Index of an image together with its position in the run.

    It survives ``-`` and ``%``, by which ConcatDataset and RepeatDataset
    turn it into an index of the data set they wrap. Wrappers that look an
    index up in a table (torch's Subset, ClassBalancedDataset) lose it, and
    transforms of a wrapper (MultiImageMixDataset) run outside of it.

    Args:
        index: Index of the image.
        seed: Seed of the run.
        position: Number of images that all ranks drew before this one.
    """

    seed: int
    position: int

    def __new__(cls, index: int, seed: int, position: int) -> 'Draw':
        """Make the index; see the class."""
        draw = super().__new__(cls, index)
        draw.seed = seed
        draw.position = position
        return draw

    def __getnewargs__(  # type: ignore[override]  # int has one argument
        self,
    ) -> tuple[int, int, int]:
        return int(self), self.seed, self.position

    def __sub__(self, other: int) -> 'Draw':
        return Draw(int(self) - other, self.seed, self.position)

    def __mod__(self, other: int) -> 'Draw':
        return Draw(int(self) % other, self.seed, self.position)


@contextmanager
def draw_randomness(draw: Draw) -> Iterator[None]:
    """Make random numbers depend on a draw only.

    Seeds Python's, numpy's and torch's CPU generators inside the block and
    restores them after it, so that a model in the same process draws its own
    numbers as if there was no block.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    sequence = np.random.SeedSequence((draw.seed, draw.position))
    seeds = sequence.generate_state(3).tolist()
    random.seed(seeds[0])
    np.random.seed(seeds[1])  # noqa: NPY002  (mmcv transforms draw from it)
    # Unlike torch.manual_seed, this leaves the CUDA generators alone.
    torch.default_generator.manual_seed(seeds[2])
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(torch_state)


def randomness_of(index: int) -> AbstractContextManager[None]:
    """Return a context in which random numbers depend on the index.

    A :class:`Draw` gives :func:`draw_randomness`; any other index leaves the
    random numbers as they are.
    """
    return draw_randomness(index) if isinstance(index, Draw) else nullcontext()


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Sampler of an endless stream of :class:`Draw`, sliced by rank.

    It takes the place of mmengine's InfiniteSampler in IterBasedTrainLoop.
    Every epoch is a new permutation that depends only on the seed and the
    number of the epoch, so the stream can be entered anywhere at once.

    Args:
        dataset: Data set, of which only the length is used.
        shuffle: Whether to permute every epoch.
        seed: Seed, the same on all ranks; None draws one that the ranks
            agree on.

    Raises:
        ValueError: The data set is empty.
    """

    def __init__(
        self,
        dataset: Sized,
        *,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError(
                'The data set is empty: it has no images to sample.'
            )
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self._start = 0

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.size)
        rng = np.random.default_rng((self.seed, epoch))
        return rng.permutation(self.size)

    def __iter__(self) -> Iterator[Draw]:
        position = self._start * self.world_size + self.rank
        current = -1
        order = np.empty(0, dtype=np.int64)
        while True:
            epoch, offset = divmod(position, self.size)
            if epoch != current:
                current, order = epoch, self._order(epoch)
            yield Draw(int(order[offset]), self.seed, position)
            position += self.world_size

    def skip(self, num_samples: int) -> None:
        """Start the next iteration after some draws of this rank.

        mmengine's IterBasedTrainLoop calls it on resuming.

        Args:
            num_samples: Number of draws from the start of the run.

        Raises:
            ValueError: The number is negative.
        """
        if num_samples < 0:
            raise ValueError(f'Cannot skip {num_samples} draws.')
        self._start = num_samples

    def __len__(self) -> int:
        """Return the number of images, one epoch of all ranks together."""
        return self.size
