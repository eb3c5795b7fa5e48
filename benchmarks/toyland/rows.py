"""Every way to masks on toyland, as rows for benchmarks/toyland."""

from dataclasses import dataclass, field
from pathlib import Path

from mmseg_weakclip.models.clip.dense.presets import OWN_PRESETS

WORK = Path('work_dirs/ladder')
NAMELESS = 'model.decode_head.text.bank.prefix='
CRF = (
    'test_evaluator.crf.gaussian_sxy=1.',
    'test_evaluator.crf.bilateral_sxy=20.',
    'test_evaluator.crf.bilateral_srgb=13.',
)
PAR = ('test_evaluator.par.iterations=20',)
# Blocks of presets, halved.
SIX_BLOCKS = {
    'res_clip': dict(terms='[kk,attention:3-5]'),
    'sc_clip': {
        'affinity': 'own:4',
        'smooth.before': '4',
        'smooth.after': '2',
        'fuse': '[2,5]',
    },
}
# The row whose refined masks WeakCLIP starts from.
START = '+ TSE, CRF'
EXTRACTION = 'configs/toyland/extract_backgrounds.py'
TRANSPORT = 'model.decode_head.transport'
SEEDS_OPTION = 'train_dataloader.dataset.data_prefix.seg_map_path'
# What SegCLIP leaves as it is of CLIP's image half.
STEM = ('conv1', 'class_embedding', 'positional_embedding', 'ln_pre')
# The row of SegCLIP whose groups the third picture shows.
ALL_LOSSES = 'SegCLIP, all losses'
# CLIMS goes on from the classifier of the same seed.
CLIMS_START = (f'load_from={WORK}/cam_seed{{seed}}/iter_2400.pth',)
# Rows whose maps, and whose masks, the picture shows.
PAINTED_MAPS = (
    'plain CLIP',
    'sclip',
    'maskclip',
    'excel, last 1 of 5 blocks',
    'excel, heads apart',
    '+ CAA, last 3 blocks',
)
# ImageNet weights of WeCLIP+'s second model, a file that
# tools/model_converters/efficientnet_lite0.py writes.
GUIDE_FILE = 'data/pretrained/efficientnet_lite0_imagenet.pth'
GUIDE = (f'model.guide.pretrained={GUIDE_FILE}',)
# Of the second picture, of objects where they usually are: titles of rows.
CRITICS = {
    'CAM of a classifier': 'CAM',
    'CLIMS': 'CLIMS',
    'CLIMS+': 'CLIMS+',
    'CLIMS+, extracted backgrounds': 'CLIMS+, extr.',
}
PAINTED_MASKS = ('excel, heads apart', '+ TSE', '+ PAR', '+ CRF')


@dataclass
class Row:
    """A line of the ladder.

    Attributes:
        name: What it is.
        config: Config of its test, below configs/toyland.
        options: Settings that differ from the config's.
        training: Config of what is trained before; None trains nothing.
        training_options: Settings that differ from that config's; {seed} is
            put in.
        seeds: Row whose masks of the training images it is trained on; where
            that row is trained, each training on those of the same seed.
            None for those of START, or for none.
        variant: Tells its training from others of the same config.
        without_labels: Whether the test sees no image labels.
    """

    name: str
    config: str = 'seeds.py'
    options: tuple[str, ...] = ()
    training: str | None = None
    training_options: tuple[str, ...] = ()
    seeds: 'Row | None' = None
    variant: str = ''
    without_labels: bool = False
    results: list[dict] = field(default_factory=list)

    @property
    def stem(self) -> str:
        """Its name, as that of a file."""
        stem = '_'.join(self.name.replace('+', 'with').split())
        return stem.replace(',', '')

    def folder(self, split: str = 'val', seed: int = 0) -> Path:
        """Where its test works."""
        return WORK / f'{self.stem}_{split}_seed{seed}'

    def training_folder(self, seed: int) -> Path:
        """Where its training works; rows of one training share it."""
        stem = Path(self.training).stem
        parts = [stem, self.variant] if self.variant else [stem]
        return WORK / f'{"_".join(parts)}_seed{seed}'


def affinity(layers: int) -> tuple[str, ...]:
    """Attention of the last blocks, in boxes as ExCEL has them for VOC."""
    return (
        f'model.backbone.attention_layers={layers}',
        'model.decode_head.affinity.box_threshold=.79',
    )


def classes(combine: str) -> tuple[str, ...]:
    """Affinity of classes, without boxes, as the paper has it.

    Its temperature was chosen on other scenes.
    """
    affinity = 'model.decode_head.affinity'
    options = [
        f'{affinity}.box_threshold=None',
        f'{affinity}.classes.tau=.001',
        f'{affinity}.classes.combine={combine}',
    ]
    if combine != 'alone':
        options.append('model.backbone.attention_layers=6')
    return tuple(options)


def six_blocks(preset: str, **options: str) -> tuple[str, ...]:
    """Options of a preset whose blocks are those of a CLIP of twelve."""
    dense = 'model.backbone.dense'
    return (
        f'{dense}.preset={preset}',
        *(f'{dense}.{name}={value}' for name, value in options.items()),
    )


def seed_rows() -> list[Row]:
    """Training-free rows; the paths first, then what helps the best."""
    rows = [Row('plain CLIP', options=('model.backbone.dense=None',))]
    large = {'sc_clip', 'res_clip'}
    for preset in sorted(set(OWN_PRESETS) - large - {'nacclip', 'excel'}):
        rows.append(Row(preset, options=(f'model.backbone.dense={preset}',)))
    rows.extend(
        Row(f'{preset}, in six blocks', options=six_blocks(preset, **options))
        for preset, options in SIX_BLOCKS.items()
    )
    for layers in (1, 3):
        name = f'excel, last {layers} of 5 blocks'
        option = f'model.backbone.dense.layers={layers}'
        rows.append(Row(name, options=(option,)))
    tse = 'seeds_tse.py'
    return [
        *rows,
        Row('excel, heads summed', options=('model.backbone.dense=excel',)),
        Row('excel, heads apart'),
        Row('+ TSE', tse),
        Row('+ TSE, sentences without names', tse, (NAMELESS,)),
        Row('+ CAA, last 3 blocks', options=affinity(3)),
        Row('+ CAA, all 6 blocks', options=affinity(6)),
        Row('+ CDA', options=classes('alone')),
        Row('+ CDA times CAA', options=classes('mul')),
        Row('+ CDA after CAA', options=classes('matmul')),
        *(
            Row(name, options=(f'{TRANSPORT}.smoothness=.1', *shares))
            for name, shares in (
                ('+ transport', ()),
                (
                    '+ transport, equal shares',
                    (f'{TRANSPORT}.sharpness=0',),
                ),
            )
        ),
        Row(
            '+ label propagation',
            options=('model.decode_head.propagation.alpha=.95',),
        ),
        Row('+ PAR', options=PAR),
        Row('+ PAMR', options=('test_evaluator.par=pamr',)),
        Row('+ CRF', options=CRF),
        Row('+ TSE, CAA, PAR', tse, (*affinity(6), *PAR)),
        Row(START, tse, CRF),
        Row(
            'GradCAM',
            'clipes.py',
            ('model.decode_head.affinity=None', 'test_evaluator.crf=None'),
        ),
        Row('CLIP-ES', 'clipes.py'),
        Row(
            'plain CLIP, zero-shot',
            'zero_shot.py',
            ('model.backbone.dense=None',),
            without_labels=True,
        ),
        Row('excel, zero-shot', 'zero_shot.py', without_labels=True),
        *(
            Row(
                f'excel, zero-shot, {step}',
                'zero_shot.py',
                (f'model.refine.type={step}',),
                without_labels=True,
            )
            for step in ('PAMR', 'LabelPropagation')
        ),
    ]


def trained_rows(root: Path) -> list[Row]:
    """Rows with a training in them.

    Args:
        root: Folder that WORK is below, absolute.
    """
    excel = dict(training='excel.py')
    seeds = root / Row(START).folder('train') / 'out/masks'
    weakclip = dict(
        training='weakclip.py', training_options=(f'{SEEDS_OPTION}={seeds}',)
    )
    clims = [
        Row(name, config, training=config, training_options=options)
        for name, config, options in (
            ('CAM of a classifier', 'cam.py', ()),
            ('CLIMS', 'clims.py', CLIMS_START),
            ('CLIMS+', 'clims_plus.py', CLIMS_START),
            (
                'CLIMS+, extracted backgrounds',
                'clims_plus_extracted.py',
                CLIMS_START,
            ),
        )
    ]
    best = clims[-1]
    # Of the same training as WeakCLIP's own.
    masks = root / WORK / f'{best.stem}_train_seed{{seed}}/out/masks'
    from_clims = dict(
        training='weakclip.py',
        training_options=(f'{SEEDS_OPTION}={masks}',),
        seeds=best,
        variant=f'from_{best.stem}',
    )
    return [
        Row('ExCEL, its maps', 'excel_seeds.py', **excel),
        Row('ExCEL, network', 'excel.py', **excel, without_labels=True),
        Row(
            'WeCLIP+, network',
            'weclip_plus.py',
            GUIDE,
            training='weclip_plus.py',
            training_options=GUIDE,
            without_labels=True,
        ),
        Row('WeakCLIP, its masks', 'weakclip_masks.py', **weakclip),
        Row(
            'WeakCLIP, network',
            'weakclip.py',
            **weakclip,
            without_labels=True,
        ),
        *clims,
        Row(
            'WeakCLIP from CLIMS+, its masks',
            'weakclip_masks.py',
            **from_clims,
        ),
        Row(
            'WeakCLIP from CLIMS+, network',
            'weakclip.py',
            **from_clims,
            without_labels=True,
        ),
        *caption_rows(),
    ]


def segclip(
    name: str, variant: str = '', options: tuple[str, ...] = ()
) -> Row:
    """A SegCLIP that differs from toyland's by options."""
    return Row(
        name,
        'segclip.py',
        options,
        training='segclip.py',
        training_options=options,
        variant=variant,
        without_labels=True,
    )


def caption_rows() -> list[Row]:
    """SegCLIP: its losses, its centres, and where patches are grouped."""
    without = {
        'reconstruction': 'model.auxiliary_head=None',
        'superpixels': 'model.decode_head.superpixel=None',
    }
    rows = [
        segclip('SegCLIP, contrast', 'contrast', tuple(without.values())),
        segclip(
            '+ reconstruction',
            'reconstruction',
            (without['superpixels'],),
        ),
        segclip('+ superpixels', 'superpixels', (without['reconstruction'],)),
        segclip(ALL_LOSSES),
    ]
    for count in (4, 16):
        options = (
            f'model.backbone.group.num_centers={count}',
            f'model.auxiliary_head.num_centers={count}',
        )
        rows.append(
            segclip(f'all, {count} centres', f'{count}_centres', options)
        )
    for blocks in (3, 4):
        frozen = [
            *STEM,
            *(f'transformer.resblocks.{i}' for i in range(blocks)),
        ]
        options = (
            f'model.backbone.group_after={blocks}',
            f'model.backbone.out_indices=[{blocks - 1}]',
            f'model.backbone.frozen=[{",".join(frozen)}]',
        )
        rows.append(
            segclip(f'all, after {blocks} blocks', f'after_{blocks}', options)
        )
    together = ('model.backbone.isolated_regions=False',)
    rows.append(segclip('all, regions together', 'together', together))
    return rows
