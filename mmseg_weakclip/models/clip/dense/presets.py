"""Names of dense paths: presets of the published methods.

A preset is a row of arguments of ``DenseAttention``; :func:`build_dense` takes
its name. Methods that no row expresses are refused with the reason.
"""

from collections.abc import Sequence

from mmseg.utils import ConfigType

from .attention import DenseAttention

PRESETS: dict[str, ConfigType] = {
    # Zhou et al., ECCV 2022: the value path of the last block.
    'maskclip': dict(terms=('identity',), residual=False),
    # Wang et al., ECCV 2024: two softmaxes added, so that rows sum to two,
    # within an otherwise whole block.
    'sclip': dict(terms=('qq', 'kk'), norm='sum', ffn=True),
    # Lan et al., ECCV 2024: neither residual nor feed-forward part.
    'clearclip': dict(terms=('qq',), residual=False),
    # Hajimiri et al., WACV 2025: neighbours first.
    'naclip': dict(terms=('kk',), window=5.0, residual=False),
    # Li et al., 2023: v-v attention beside the last six blocks.
    'clip_surgery': dict(layers=6, terms=('vv',)),
    # Bousselham et al., CVPR 2024: all three, iterated once.
    'gem': dict(
        layers=6,
        terms=('qq', 'kk', 'vv'),
        unit_length=True,
        iterations=1,
        temperature='adaptive',
    ),
    # Yang et al., CVPR 2025, static visual calibration: q-q, k-k and v-v of
    # the last five blocks averaged, then the heads' maps summed into one.
    'excel': dict(layers=5, terms=('qq', 'kk', 'vv'), heads='sum'),
    # Lan et al., ECCV 2024 (ProxyCLIP): the affinity of another model;
    # needs `affinity`.
    'proxy': dict(terms=('affinity',), residual=False),
    # SC-CLIP, without its limit on the area of a class. The class token might
    # be added before the attention: our source does not say.
    'sc_clip': dict(
        terms=('kk', 'affinity'),
        residual=False,
        affinity='own:9',
        repair='lof',
        smooth=dict(before=9, after=4, threshold=0.4),
        fuse=(4, 10),
        class_share=0.3,
        class_token=False,
    ),
    # ResCLIP: NACLIP's map and a share of .3 (VOC21's, tuned per data set) of
    # CLIP's own, twice. Without SFR, which needs a first prediction.
    'res_clip': dict(
        terms=('kk', 'attention:6-9'),
        weights=(1.4, 0.6),
        window=5.0,
        residual=False,
    ),
    # CorrCLIP: DINO's affinity within regions; again for the mean of blocks 6
    # to 10 (the norm makes their sum the same). Needs `regions` of
    # ZeroShotSegmentor. Without merged regions and their class tokens.
    'corr_clip': dict(
        terms=('affinity',),
        residual=False,
        fuse=(6, 10),
        affinity=dict(
            type='TimmAffinity',
            model='vit_base_patch8_224.dino',
            source='query+key',
            beta=0.0,
            gamma=4.0,
            positive=False,
        ),
    ),
    # GLA-CLIP: DINO's affinity from proxies, over the patches of all windows.
    # Needs `windows='joint'` of ZeroShotSegmentor.
    'gla_clip': dict(
        terms=('affinity',),
        residual=False,
        affinity=dict(
            type='ProxyTokenAffinity', model='vit_base_patch8_224.dino'
        ),
    ),
}
# The method spells its name with one C; many write two.
PRESETS['nacclip'] = PRESETS['naclip']
# Presets without another model.
OWN_PRESETS = tuple(
    name
    for name, row in PRESETS.items()
    if 'affinity' not in row['terms'] or isinstance(row.get('affinity'), str)
)

# Methods that no arguments express, by their names in lower case, without
# marks. ``docs/zero-shot.md`` has more.
LEFT_OUT = {
    'trident': 'it needs the affinities of two models, and the prompts of SAM',
    'rfclip': 'it changes every block of the plain stream',
    'pearl': 'it aligns queries and keys by their polar factor',
    'cass': 'it pairs the heads of two models by their spectra',
    'dslo': 'it needs a diffusion model',
    'radseg': 'it needs the backbone RADIO',
}
# What others call a post-processing of any dense path.
REFINEMENTS = {
    'pamr': "refine=dict(type='PAMR')",
    'lposs': "refine=dict(type='LabelPropagation', guide=...)",
}


def build_dense(dense: str | ConfigType | None) -> DenseAttention | None:
    """Build the options of a dense path.

    Args:
        dense: Name of a preset, arguments of :class:`DenseAttention`, which
            may start from a preset (``dict(preset='excel', layers=3)``), or
            None for plain CLIP.

    Raises:
        ValueError: There is no such preset or argument, or a value is not
            allowed.
    """
    if dense is None:
        return None
    options = {'preset': dense} if isinstance(dense, str) else dict(dense)
    name = options.pop('preset', None)
    if name is not None and name not in PRESETS:
        raise ValueError(describe_unknown(name, sorted(PRESETS)))
    known = list(DenseAttention.__dataclass_fields__)
    for key in options:
        if key not in known:
            raise ValueError(f'no dense argument {key!r}; there are {known}')
    for key in ('terms', 'weights', 'fuse'):
        value = options.get(key)
        if isinstance(value, list | tuple):
            options[key] = tuple(value)
        elif value is not None:  # a text is no list of its letters
            options[key] = (value,)
    return DenseAttention(**{**(PRESETS[name] if name else {}), **options})


def describe_unknown(name: str, known: Sequence[str]) -> str:
    """Return what to say about a preset that does not exist.

    Args:
        name: What a config asks for.
        known: Names of the presets.
    """
    plain = ''.join(filter(str.isalnum, str(name))).lower()
    if plain in LEFT_OUT:
        return (
            f'dense={name!r} is left out: {LEFT_OUT[plain]}; there are '
            f'{known}, see docs/zero-shot.md'
        )
    if plain in REFINEMENTS:
        return (
            f'dense={name!r} is no dense path, but a refinement after one: '
            f'set {REFINEMENTS[plain]} in ZeroShotSegmentor'
        )
    return (
        f'no dense preset {name!r}; there are {known}, or spell out the '
        'arguments'
    )
