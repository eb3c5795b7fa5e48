"""Counts of bad samples and shards that a worker of a stream has met."""

import logging

from mmengine.logging import print_log

# Number of samples from which on, or at the end of a pass, shares are judged.
JUDGED_FROM = 1000
# Number of bad samples that are logged one by one.
TOLD = 10


class StreamTally:
    """Counts of one worker since its start.

    Args:
        num_shards: Number of shards of the whole data set.
        max_bad_share: Largest share of bad samples among those read by this
            worker, and of bad shards among all, in [0, 1].

    Attributes:
        read: Number of samples that were read.
        blank: Number of samples with a blank caption, which are skipped.
        bad: Number of bad samples, which are skipped.
        bad_shards: URLs of the damaged shards.
    """

    def __init__(self, num_shards: int, max_bad_share: float) -> None:
        self.num_shards = num_shards
        self.max_bad_share = max_bad_share
        self.read = self.blank = self.bad = 0
        self.bad_shards: set[str] = set()

    def _warn(self, message: str) -> None:
        print_log(message, logger='current', level=logging.WARNING)

    def add_bad_sample(self, place: str, problem: str) -> None:
        """Count and log a bad sample.

        Args:
            place: Shard and name of the sample.
            problem: What is wrong with it.

        Raises:
            ValueError: Too many samples are bad.
        """
        self.bad += 1
        if self.bad <= TOLD:
            more = (
                ' Further ones are counted only.' if self.bad == TOLD else ''
            )
            self._warn(
                f'{place}: {problem}; it is skipped, bad sample {self.bad} of '
                f'{self.read} read by this worker.{more}'
            )
        if self.read >= JUDGED_FROM:
            self._judge_samples()

    def add_bad_shard(self, url: str, error: Exception) -> None:
        """Count and log a damaged shard.

        Args:
            url: File or URL of the shard.
            error: Error that reading it raised.

        Raises:
            ValueError: Too many shards are damaged.
        """
        self.bad_shards.add(url)
        count = len(self.bad_shards)
        self._warn(
            f'The shard {url} is damaged ({error}); the rest of it is '
            f'skipped, bad shard {count} of {self.num_shards}.'
        )
        if count > self.max_bad_share * self.num_shards:
            raise ValueError(
                f'{count} of {self.num_shards} shards are damaged, the last '
                f'is {url} ({error}). Mend them, take them off the list, or '
                f'raise max_bad_share={self.max_bad_share}.'
            )

    def _judge_samples(self) -> None:
        if self.bad > self.max_bad_share * self.read:
            raise ValueError(
                f'{self.bad} of {self.read} samples that this worker has read '
                'are bad; the log names the first ones. Mend them, or raise '
                f'max_bad_share={self.max_bad_share}.'
            )

    def end_pass(self, epoch: int, sound: int) -> None:
        """Check the counts after a pass over the shards of this worker.

        Args:
            epoch: Number of the pass, from 0.
            sound: Number of samples that the pass gave.

        Raises:
            ValueError: There were no samples, or too many are bad.
        """
        if self.blank or self.bad or self.bad_shards:
            self._warn(
                f'Up to pass {epoch} over its shards this worker has read '
                f'{self.read} samples and skipped {self.blank} blank captions '
                f'and {self.bad} bad samples; {len(self.bad_shards)} shards '
                'were damaged.'
            )
        self._judge_samples()
        if not sound:
            raise ValueError(
                'The shards of a worker hold no sample to train on: it has '
                f'read {self.read}, {self.blank} of them with a blank caption '
                f'and {self.bad} of them bad.'
            )
