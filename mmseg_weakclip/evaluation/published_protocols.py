"""How papers on weakly supervised segmentation score their networks.

One entry for each paper: what its published code, its README or its text says
of the test. None stands for what none of them says. Figures of papers with
different entries are not comparable.
"""

from dataclasses import dataclass

# Words for what several views are made into.
LOGITS, PROBABILITIES = 'logits', 'probabilities'
DEEPLAB_SOURCE = 'kazuto1011/deeplab-pytorch, which trains and tests it'


@dataclass(frozen=True)
class PublishedProtocol:
    """Test of a paper's network.

    Attributes:
        method: Name in papers.
        source: Where this is from.
        size: Size that images are brought to: ``'own'``, ``'long side 512'``,
            ``'short side 512'`` or ``'320 x 320'``.
        scales: Scales of the views, relative to the size.
        flip: Whether each view is also seen flipped.
        unflipped: Scales whose view is not seen flipped even so.
        fused: What the average of the views is of; None for one view.
        average_scale: Factor of the size at which it is taken.
        crf: Preset of the CRF; ``''`` for none.
        inner_scales: Scales over which the network itself takes the maximum.
        split: Lists that figures are about.
        threshold: Background threshold; ``'none'`` for an argmax that
            includes the background.
        note: What else to know.
    """

    method: str
    source: str
    size: str | None = None
    scales: tuple[float, ...] | None = None
    flip: bool | None = None
    unflipped: tuple[float, ...] = ()
    fused: str | None = None
    average_scale: float = 1.0
    crf: str | None = None
    inner_scales: tuple[float, ...] = (1.0,)
    split: str = 'val'
    threshold: str = 'none'
    note: str = ''

    @property
    def has_one_view(self) -> bool:
        """Whether the network sees each image once."""
        return self.scales == (1.0,) and not self.flip


def _deeplabv2(method: str) -> PublishedProtocol:
    return PublishedProtocol(
        method=method,
        source=DEEPLAB_SOURCE,
        size='own',
        scales=(1.0,),
        flip=False,
        crf='deeplab',
        inner_scales=(1.0, 0.75, 0.5),
        note='DeepLabV2-ResNet101 on its masks',
    )


PUBLISHED_PROTOCOLS = {
    'clipes': _deeplabv2('CLIP-ES'),
    'clims': _deeplabv2('CLIMS'),
    'pot': _deeplabv2('POT'),
    'beco': PublishedProtocol(
        method='BECO',
        source='published code (CVPR 2023)',
        size='own',
        scales=(1.0,),
        flip=False,
        crf='deeplab',
        note='the mean of the logits of two networks',
    ),
    'weclip': PublishedProtocol(
        method='WeCLIP',
        source='zbf1991/WeCLIP, folder WeCLIP',
        size='long side 512',
        scales=(1.0, 0.75),
        flip=True,
        fused=LOGITS,
        crf='weclip',
        note='the CRF is commented out in the script, but is in its figures',
    ),
    'weclip+': PublishedProtocol(
        method='WeCLIP+',
        source='zbf1991/WeCLIP, folder WeCLIP+',
        size='long side 512',
        scales=(1.0, 1.5),
        flip=True,
        fused=LOGITS,
        crf='weclip',
    ),
    'cd-clip': PublishedProtocol(
        method='CD-CLIP',
        source='paper, which follows WeCLIP+; no code',
        size='long side 512',
        scales=(1.0, 1.5),
        flip=True,
        fused=LOGITS,
        crf='weclip',
    ),
    'dfa': PublishedProtocol(
        method='DFA',
        source='paper; no code',
        scales=(1.0, 1.2, 1.5),
        note='with a CRF, whose parameters it does not give',
    ),
    'excel': PublishedProtocol(
        method='ExCEL, VOC',
        source='published code, its script for VOC (CVPR 2025)',
        size='320 x 320',
        scales=(0.7, 1.0, 1.2, 1.5),
        flip=True,
        unflipped=(1.0,),
        fused=LOGITS,
        crf='excel',
        note='the CRF is an option of the script, off by default',
    ),
    'excel-coco': PublishedProtocol(
        method='ExCEL, COCO',
        source='published code, its script for COCO (CVPR 2025)',
        size='320 x 320',
        scales=(0.7, 1.0, 1.2, 1.5),
        flip=True,
        fused=LOGITS,
        average_scale=0.2,
        crf='excel',
    ),
    'dhr': PublishedProtocol(
        method='DHR',
        source='shjo-april/DHR (ECCV 2024)',
        size='own',
        scales=(0.5, 1.0, 1.5, 2.0),
        flip=True,
        fused=PROBABILITIES,
        note='with a CRF, whose parameters we have not read',
    ),
    'urn': PublishedProtocol(
        method='URN',
        source='published code, a fork of mmseg (AAAI 2022)',
        size='short side 512',
        scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
        flip=True,
        fused=PROBABILITIES,
        note='windows of 512 at steps of 480; with a CRF, whose parameters '
        'we have not read',
    ),
    'weakclip': PublishedProtocol(
        method='WeakCLIP',
        source='Yingyue-L/deeplabv1-resnet38, its last stage',
        size='448 x 448',
        flip=True,
        fused=PROBABILITIES,
        crf='weakclip',
        note='several scales, which the code does not name; on COCO the CRF '
        'is deeplab',
    ),
}
