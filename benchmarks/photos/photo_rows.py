"""What is compared on photos, as rows for benchmarks/photos."""

from dataclasses import dataclass, field
from pathlib import Path

WORK = Path('work_dirs/photos')
CLASSIFIER = 'configs/cam/cam_lite0_1xb16-9e_animals-288x288.py'
TAGS = 'configs/cam/cam_lite0_1xb16-9e_animals-288x288_tags.py'
SEGMENTER = 'benchmarks/photos/segmenter.py'
SEED_LOSS = 'benchmarks/photos/segmenter_seed-loss.py'
PAR = ('test_evaluator.par.iterations=20',)
CRF = ('test_evaluator.crf=deeplab',)
IMPORTANCE = ('model.decode_head.importance_weight=1.',)
CORRELATION = ('model.decode_head.correlation.levels=[0,1]',)
FROZEN = ('model.backbone.frozen_stages=5',)
# The row whose masks of the training photos the segmenters are trained on;
# fixed beforehand.
START = 'CAM + CRF'


@dataclass
class Row:
    """A line of the table.

    Attributes:
        name: What it is.
        options: Settings of its test that differ from the classifier's.
        training: Settings of its training that differ; rows of the same
            settings share a training.
        config: Config of its training and its test.
        segments: Whether it is a segmenter, trained on the masks of START,
            whose test sees no tags.
    """

    name: str
    options: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    config: str = CLASSIFIER
    segments: bool = False
    results: list[dict] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """Its name, as that of a file."""
        return '_'.join(
            self.name.replace('+', 'with').replace(',', '').split()
        )


def map_rows() -> list[Row]:
    """Class maps, and what is done to them; tags are given."""
    return [
        Row('CAM'),
        Row('CAM + PAR', PAR),
        Row(START, CRF),
        Row('importance', training=IMPORTANCE),
        Row('importance + CRF', CRF, IMPORTANCE),
        Row('correlation', CORRELATION),
        Row('correlation + CRF', (*CORRELATION, *CRF)),
        Row('both', CORRELATION, IMPORTANCE),
        Row('both + CRF', (*CORRELATION, *CRF), IMPORTANCE),
    ]


def segmenter_rows() -> list[Row]:
    """Segmenters on the masks of START: two losses, two backbones."""
    return [
        Row(
            f'segmenter, {loss}, {backbone}',
            training=frozen,
            config=config,
            segments=True,
        )
        for backbone, frozen in (('frozen', FROZEN), ('trained', ()))
        for loss, config in (
            ('cross entropy', SEGMENTER),
            ('CAMSeedLoss', SEED_LOSS),
        )
    ]


def training_name(row: Row) -> str:
    """The folder of a row's training, without seed and length."""
    if row.segments:
        return row.stem
    return 'importance' if row.training else 'plain'
