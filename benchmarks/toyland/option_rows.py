"""Options beyond the four systems on toyland, as rows for benchmarks/toyland.

The second model is EfficientNet-Lite0 with ImageNet weights, and regions are
superpixels: toyland has no DINO and no SAM.
"""

from pathlib import Path

from rows import (
    CRF,
    GUIDE,
    GUIDE_FILE,
    SEEDS_OPTION,
    SIX_BLOCKS,
    START,
    Row,
    affinity,
    six_blocks,
)

HEAD, DENSE = 'model.decode_head', 'model.backbone.dense'
# Its patches of 8 pixels, as those of CLIP: steps of 16 of an image that is
# twice as large.
SECOND = {
    'model': 'tf_efficientnet_lite0',
    'pretrained': GUIDE_FILE,
    'level': '3',
    'scale': '2.',
}
ALL_BLOCKS = affinity(6)[:1]
NO_BOXES = (*ALL_BLOCKS, f'{HEAD}.affinity.box_threshold=None')
BOXES = affinity(6)
WINDOWS = (
    'model.test_cfg.mode=slide',
    'model.test_cfg.crop_size=[96,96]',
    'model.test_cfg.stride=[48,48]',
)


# Of the second model, as the papers have it of DINO's.
PATHS = {
    'proxy': {},
    'gla_clip': {'type': 'ProxyTokenAffinity'},
    'corr_clip': {'beta': '0.', 'gamma': '4.', 'positive': 'False'},
}


def nested(prefix: str, **values: str) -> tuple[str, ...]:
    """Options below a key of the config."""
    return tuple(f'{prefix}.{name}={value}' for name, value in values.items())


def path(preset: str) -> tuple[str, ...]:
    """Options of a dense path by the second model."""
    affinity = {'type': 'TimmAffinity', **SECOND, **PATHS[preset]}
    return (
        f'{DENSE}.preset={preset}',
        *nested(f'{DENSE}.affinity', **affinity),
    )


def tagged_rows(regions: Path) -> list[Row]:
    """Training-free rows with image labels.

    Args:
        regions: Folder of the superpixels of all scenes, absolute.
    """
    mixed = (
        f'{HEAD}.affinity.guide_share=.6',
        *nested(
            'model.backbone.guide', type='TimmAffinity', grid='clip', **SECOND
        ),
    )
    chosen = nested(f'{HEAD}.superpixels', folder=str(regions))
    vote = nested('test_evaluator.regions', folder=str(regions))
    over_features = (
        'model.type=GuidedEncoderDecoder',
        *nested('model.guide', type='TimmFeatures', **SECOND),
        *nested(f'{HEAD}.propagation', alpha='.95', levels='[0]'),
    )
    return [
        Row('proxy of Lite0', options=path('proxy')),
        Row('+ CAA without boxes', options=NO_BOXES),
        Row('+ CAA without boxes, Lite0 .6', options=(*NO_BOXES, *mixed)),
        Row('+ CAA, Lite0 .6', options=(*BOXES, *mixed)),
        Row(
            '+ CAA without boxes, superpixels give',
            options=(*NO_BOXES, *chosen),
        ),
        Row('+ CAA, superpixels give', options=(*BOXES, *chosen)),
        Row('+ label propagation over Lite0', options=over_features),
        Row('+ superpixels vote', options=vote),
        Row('+ CRF, superpixels vote', options=(*CRF, *vote)),
    ]


def untagged_rows(regions: Path) -> list[Row]:
    """Training-free rows without image labels; see :func:`tagged_rows`."""
    in_regions = nested('model.regions', folder=str(regions))
    guide = nested('model.refine.guide', type='TimmFeatures', **SECOND)
    options = {
        'maskclip': (f'{DENSE}=maskclip',),
        'naclip': (f'{DENSE}=naclip',),
        'sc_clip, in six blocks': six_blocks(
            'sc_clip', **SIX_BLOCKS['sc_clip']
        ),
        'proxy of Lite0': path('proxy'),
        'gla_clip of Lite0': path('gla_clip'),
        'corr_clip of Lite0, superpixels': (
            *path('corr_clip'),
            f'{DENSE}.fuse=[3,5]',
            *in_regions,
        ),
        'excel, superpixels vote': (*in_regions, 'model.regions.scope=False'),
        'excel, LabelPropagation over Lite0': (
            'model.refine.type=LabelPropagation',
            *guide,
        ),
        'excel, windows of 96': WINDOWS,
        'excel, windows of 96 joint': (*WINDOWS, 'model.windows=joint'),
    }
    return [
        Row(f'{name}, zero-shot', 'zero_shot.py', values, without_labels=True)
        for name, values in options.items()
    ]


def network(name: str, config: str, variant: str, *options: str) -> Row:
    """A trained network that differs from its config by options."""
    return Row(
        name,
        config,
        options,
        training=config,
        training_options=options,
        variant=variant,
        without_labels=True,
    )


def relation_rows() -> list[Row]:
    """WeCLIP+ with one change each."""
    plus = 'weclip_plus.py'
    alone = [
        f'{key}=None'
        for key in (
            'model.guide',
            f'{HEAD}.second_adapter',
            f'{HEAD}.cross_loss',
        )
    ]
    never = [f'{HEAD}.loss_decode.{loss}.start=1.' for loss in (0, 1)]
    grad_cam = 'weclip_plus_grad-cam.py'
    open_gate = f'{HEAD}.gate=False'
    return [
        network('WeCLIP+, CLIP alone', plus, 'alone', *alone),
        network(
            'WeCLIP+, no self-targets', plus, 'no_targets', *GUIDE, *never
        ),
        network('WeCLIP+, gate', plus, 'gate', *GUIDE, f'{HEAD}.gate=True'),
        network(
            'WeCLIP+, super-class boundaries', 'weclip_plus_sbe.py', '', *GUIDE
        ),
        network('WeCLIP+, GradCAM', grad_cam, 'open', *GUIDE, open_gate),
        network('WeCLIP+, GradCAM, gate', grad_cam, '', *GUIDE),
    ]


def segmenter_rows(root: Path) -> list[Row]:
    """A small segmenter on masks of START, and on their surer half.

    Args:
        root: Folder that WORK is below, absolute.
    """
    start = Row(START)
    half = Row(
        f'{START}, surer half',
        'seeds_tse.py',
        (*CRF, 'test_evaluator.sure_share=.5'),
    )
    entropy = {'loss.type': 'CrossEntropyLoss', 'loss.avg_non_ignore': 'True'}
    target = nested(
        f'{HEAD}.loss_decode',
        _delete_='True',
        type='SelfTargetLoss',
        **entropy,
    )
    pair = 'model.type=CrossLabelSegmentor'
    later = [f'model.{name}_start=.6' for name in ('cross', 'mix')]
    rows = []
    for name, variant, masks, options in (
        ('segmenter', 'plain', start, ()),
        ('segmenter, self-target', 'target', start, target),
        ('segmenter, surer half', 'half', half, ()),
        ('segmenter, surer half, BECO-lite', 'pair', half, (pair,)),
        (
            'segmenter, surer half, BECO-lite from 60 % on',
            'pair_late',
            half,
            (pair, *later),
        ),
    ):
        row = network(name, 'segmenter.py', variant, *options)
        folder = root / masks.folder('train') / 'out/masks'
        row.training_options += (f'{SEEDS_OPTION}={folder}',)
        row.seeds = masks
        rows.append(row)
    return rows
