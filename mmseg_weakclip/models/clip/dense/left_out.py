"""Published methods that no option of a dense path expresses."""

from collections.abc import Sequence

# By their names in lower case, without marks. ``docs/zero-shot.md`` has more.
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
