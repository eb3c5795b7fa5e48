"""What is compared on photos, as rows for benchmarks/photos."""

from dataclasses import dataclass, field
from typing import Any

VIEWS = {
    'coarse': (216, 288, 432),
    'default': (288, 432, 576),
    'fine': (432, 576, 720),
}
HEAD = 'model.decode_head'
LOSS = f'{HEAD}.loss_decode'
# The CRF of the one command; other presets are other rows.
CRF, SUPERPIXELS = ('--crf', 'voc12'), 'felzenszwalb'


@dataclass(frozen=True)
class Maps:
    """Class maps of a classifier; their threshold is chosen for them.

    Attributes:
        name: What they are.
        views: Long sides of the views, a key of VIEWS.
        training: Settings of the classifier's training that differ.
        test: Settings of the test that differ.
    """

    name: str = 'CAM'
    views: str = 'default'
    training: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)


@dataclass
class Row:
    """A line of the table.

    Attributes:
        name: What it is.
        results: Of each training: mIoU on val, IoU of each class, minutes and
            GiB of the largest process.
    """

    name: str
    results: list[dict[str, float]] = field(default_factory=list)


@dataclass
class MapRow(Row):
    """Class maps, refined: labels are given.

    Attributes:
        maps: The maps.
        refine: Flags of `weakclip refine`.
        regions: Generator of the regions that vote, or ''.
    """

    maps: Maps = field(default_factory=Maps)
    refine: tuple[str, ...] = ()
    regions: str = ''


@dataclass
class SegmenterRow(Row):
    """A segmenter on a run's masks; its test sees no labels.

    Attributes:
        training: Settings that differ from the run's own segmenter.
        sure_share: Share of each class's pixels that keep it in the masks.
        masks: Masks of the run, of the first round or of the second.
        ignore_flips: Whether those of the second round are made again, and
            leave out what the sharpness of the scores decides.
    """

    training: dict[str, Any] = field(default_factory=dict)
    sure_share: float = 1.0
    masks: str = 'masks'
    ignore_flips: bool = False


def map_rows() -> list[MapRow]:
    """Class maps, and what is done to them."""
    coarse, fine = (
        Maps(f'CAM, views of {VIEWS[name]}', views=name)
        for name in ('coarse', 'fine')
    )
    plain = Maps()
    importance = Maps(
        'CAM, importance sampling',
        training={f'{HEAD}.importance_weight': 1.0},
    )
    correlation = Maps(
        'CAM, pixel correlation',
        test={f'{HEAD}.correlation': dict(levels=(0, 1))},
    )
    propagation = Maps(
        'CAM, label propagation',
        test={f'{HEAD}.propagation': dict(levels=(0, 1))},
    )
    rows = [
        MapRow('', maps=maps, refine=refine)
        for maps in (coarse, fine, plain)
        for refine in ((), CRF)
    ]
    rows += [
        MapRow('', maps=plain, refine=('--par',)),
        MapRow('', maps=plain, refine=('--pamr',)),
        MapRow('', maps=plain, refine=('--par', *CRF)),
        MapRow('', maps=plain, refine=('--crf', 'deeplab')),
        MapRow('', maps=plain, refine=('--transport', '.1')),
        MapRow('', maps=plain, refine=('--transport', '.1', *CRF)),
        MapRow('', maps=plain, regions=SUPERPIXELS),
        MapRow('', maps=plain, refine=CRF, regions=SUPERPIXELS),
        *(
            MapRow('', maps=maps, refine=refine)
            for maps in (importance, correlation, propagation)
            for refine in ((), CRF)
        ),
    ]
    titles = {
        '--transport': 'transport',
        '--par': 'PAR',
        '--pamr': 'PAMR',
        'voc12': 'CRF',
        'deeplab': "DeepLab's CRF",
    }
    for row in rows:
        steps = [titles[flag] for flag in row.refine if flag in titles]
        if row.regions:
            steps.append('superpixels vote')
        row.name = ' + '.join([row.maps.name, *steps])
    return rows


def segmenter_rows() -> list[SegmenterRow]:
    """Segmenters beside the run's own, each with one change."""
    entropy = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    seed_loss = dict(type='CAMSeedLoss', size=(64, 64))
    self_target = dict(type='SelfTargetLoss', loss=entropy)
    # WeakCLIP's head without its texts is Semantic FPN with two more losses.
    with_images = {
        'model.data_preprocessor.type': 'WeakSegDataPreProcessor',
        f'{HEAD}.type': 'TextGuidedHead',
        f'{HEAD}.boundary_loss': dict(type='CRFBoundaryLoss', size=(64, 64)),
    }
    # What `weakclip run --segmenter-size 384` sets; crops stay as large.
    train, test = (
        f'{split}_dataloader.dataset.pipeline' for split in ('train', 'test')
    )
    larger = {
        f'{train}.2.scale': (3072, 384),
        f'{train}.2.ratio_range': (0.75, 1.25),
        f'{test}.1.scale': (3072, 384),
    }
    return [
        SegmenterRow('as in the run'),
        SegmenterRow(
            'frozen backbone', training={'model.backbone.frozen_stages': 5}
        ),
        SegmenterRow('CAMSeedLoss', training={LOSS: [seed_loss]}),
        SegmenterRow(
            'boundary loss', training={**with_images, LOSS: [entropy]}
        ),
        # As in WeakCLIP, whose seed loss balances objects and background.
        SegmenterRow(
            'CAMSeedLoss, boundary loss',
            training={**with_images, LOSS: [], f'{HEAD}.seed_loss': seed_loss},
        ),
        SegmenterRow('self-target', training={LOSS: [self_target]}),
        SegmenterRow('short side 384', training=larger),
        SegmenterRow('masks of the second round', masks='masks_2'),
        SegmenterRow(
            'masks of the second round, self-target',
            training={LOSS: [self_target]},
            masks='masks_2',
        ),
        SegmenterRow(
            'masks of the second round, flips ignored',
            masks='masks_2',
            ignore_flips=True,
        ),
        SegmenterRow('the surer half of the pixels', sure_share=0.5),
        SegmenterRow(
            'the surer half, BECO-lite',
            training={'model.type': 'CrossLabelSegmentor'},
            sure_share=0.5,
        ),
        SegmenterRow(
            'the surer half, BECO-lite from 60 % on',
            training={
                'model.type': 'CrossLabelSegmentor',
                'model.cross_start': 0.6,
                'model.mix_start': 0.6,
            },
            sure_share=0.5,
        ),
    ]
