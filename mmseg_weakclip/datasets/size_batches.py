"""Batches of images of one size, for tests of images of many sizes."""

from collections.abc import Iterator
from typing import Any

from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from mmseg_weakclip.common.images import read_image_size


@DATA_SAMPLERS.register_module()
class SameSizeBatchSampler(Sampler):
    """Batch images of one size together, whatever their order.

    ``test_dataloader=dict(batch_size=8, batch_sampler=dict(
    type='SameSizeBatchSampler'), ...)`` for pipelines whose inputs have one
    size where the images have; only the headers of the files are decoded. The
    last image of a process stays its last, since it may repeat an image, and
    mmengine drops such repeats by their place.

    Args:
        sampler: Sampler of the images' indices, without shuffling.
        batch_size: Largest number of images per batch.
        drop_last: Must be False: a test leaves out no image.

    Raises:
        ValueError: The sampler shuffles, or images would be left out.
    """

    def __init__(
        self,
        sampler: Any,
        batch_size: int,
        drop_last: bool = False,  # noqa: FBT001, FBT002  (mmengine's)
    ) -> None:
        if drop_last or getattr(sampler, 'shuffle', False):
            raise ValueError(
                'SameSizeBatchSampler is for tests: set shuffle=False in the '
                'sampler, and drop_last=False'
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self._batches: list[list[int]] | None = None

    def __iter__(self) -> Iterator[list[int]]:
        """Return an iterator over the indices of each batch."""
        return iter(self._make())

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._make())

    def _make(self) -> list[list[int]]:
        if self._batches is None:
            indices = list(self.sampler)
            dataset = self.sampler.dataset
            sizes = {
                index: read_image_size(
                    dataset.get_data_info(index)['img_path']
                )
                for index in indices
            }
            # Stable: images of one size stay in their order.
            order = sorted(indices[:-1], key=sizes.__getitem__)
            self._batches = []
            for index in [*order, *indices[-1:]]:
                last = self._batches[-1] if self._batches else []
                if (
                    0 < len(last) < self.batch_size
                    and sizes[last[0]] == sizes[index]
                ):
                    last.append(index)
                else:
                    self._batches.append([index])
        return self._batches
