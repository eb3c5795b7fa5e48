"""Options of a run, and the known choices of each."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mmseg_weakclip.datasets.labels.tables.options import (
    TableOptions,
    parse_table_options,
)
from mmseg_weakclip.models.clip.local_models import local_tags

PUBLISHED_CLIP = 'ViT-B-16-quickgelu'
# Beginnings of open_clip's names of a folder and of a repository.
FOLDER, HUB = 'local-dir:', 'hf-hub:'
RANDOM = 'random'
RANDOM_NOTE = 'CLIP has random weights: masks and scores mean nothing.'


METHODS = (
    'excel', 'clipes', 'clims', 'weakclip', 'excel+weakclip', 'cam',
    'cam+weakclip', 'seeds',
)  # fmt: skip
# Method of a run that starts from another tool's masks alone.
SEEDS = 'seeds'
# Methods whose maps come from a classifier, whose backbone may be chosen.
CLASSIFIERS = ('cam', 'cam+weakclip', 'clims')
# Those whose classifier is checked on labels that it has not seen.
CHECKED = ('cam', 'cam+weakclip')
# Methods without CLIP.
WITHOUT_CLIP = ('cam', SEEDS)
# Value of --backbone-weights and others for timm's own.
TIMM = 'timm'
RANDOM_BACKBONE_NOTE = (
    'The classifier began with random weights, and has nothing but the photos '
    'to learn from.'
)
RANDOM_AFFINITY_NOTE = (
    'The model that spread the seeds had random weights: what it takes for '
    'alike means nothing.'
)
CRFS = ('none', 'voc12', 'deeplab')
# Value of --segmenter -> file in configs/segmenters.
SEGMENTERS = {
    'deeplabv1_resnet38d': 'deeplabv1_resnet38d_4xb4-40k_voc12-448x448',
    'deeplabv2_r101': 'deeplabv2_r101_2xb10-30k_voc12-321x321',
    'deeplabv3plus_r50': 'deeplabv3plus_r50_4xb4-20k_voc12-512x512',
    'deeplabv3plus_r101': 'deeplabv3plus_r101_4xb4-20k_voc12-512x512',
    'dinov2-b': 'linear_dinov2-b14_4xb4-20k_voc12-518x518',
    'dinov2-s': 'linear_dinov2-s14_4xb4-20k_voc12-518x518',
    'dinov2-s_tuned': 'linear_dinov2-s14_4xb4-20k_voc12-518x518_tuned',
    'fpn_small': 'fpn-small_r18_1xb16-3k_voc12-128x128',
    'lite0_fpn': 'fpn_lite0_1xb16-6k_voc12-256x256',
    'segformer_b2': 'segformer_mit-b2_4xb4-20k_voc12-512x512',
    'segmenter_deit-s': 'segmenter_deit-s16_4xb2-40k_voc12-512x512',
    'upernet_deit-s': 'upernet_deit-s16_4xb4-20k_voc12-512x512',
}


def brings_weights(clip: str) -> bool:
    """Return whether a CLIP is a folder or repository with its weights."""
    return clip.startswith((FOLDER, HUB))


@dataclass(frozen=True)
class Options:
    """Options of a run; ``weakclip run --help`` describes them.

    ``None`` leaves the choice to the method.
    """

    images: str
    labels: str
    work_dir: str
    label_format: str = 'auto'
    image_column: str | None = None
    label_columns: str | None = None
    delimiter: str | None = None
    separator: str | None = None
    layout: str = 'auto'
    classes: str | None = None
    truth: str | None = None
    val_list: str | None = None
    val_share: float | None = None
    profile: str | None = None
    method: str = 'excel'
    segmenter: str = 'deeplabv3plus_r50'
    clip: str | None = None
    clip_weights: str | None = None
    clip_size: int | None = None
    backbone: str | None = None
    backbone_weights: str | None = None
    affinity: str | None = None
    affinity_weights: str | None = None
    crf: str | None = None
    seeds: str | None = None
    seed_classes: str | None = None
    seed_rest: str | None = None
    seed_threshold: float | None = None
    segmenter_weights: str | None = None
    segmenter_size: int | None = None
    iterations: int | None = None
    method_iterations: int | None = None
    batch_size: int | None = None
    rounds: int = 1
    ignore_flips: bool = False
    self_target: bool = False
    max_side: int = 1280
    skip_damaged: bool = False
    gpus: int | None = None
    amp: bool = False
    seed: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> 'Options':
        """Return the options stored in a manifest."""
        known = {field.name for field in fields(cls)}
        values = {key: v for key, v in values.items() if key in known}
        return cls(**{**values, 'notes': tuple(values.get('notes', ()))})

    def with_clip_defaults(self, default: str | None = None) -> 'Options':
        """Return options with CLIP's default weights if none are given.

        Random weights, of CLIP or of another network, add a note.

        Args:
            default: CLIP of the profile; None leaves it to the configs.
        """
        clip, weights = self.clip, self.clip_weights
        if clip is None:
            clip = default if weights is None else default or PUBLISHED_CLIP
        if weights is None and clip is not None and not brings_weights(clip):
            (weights, *_) = [*local_tags(clip), 'openai']
        ours = (RANDOM_NOTE, RANDOM_BACKBONE_NOTE, RANDOM_AFFINITY_NOTE)
        notes = tuple(n for n in self.notes if n not in ours)
        if weights == RANDOM:
            notes += (RANDOM_NOTE,)
        if self.backbone_weights == 'none':
            notes += (RANDOM_BACKBONE_NOTE,)
        if self.affinity_weights == 'none':
            notes += (RANDOM_AFFINITY_NOTE,)
        return replace(self, clip=clip, clip_weights=weights, notes=notes)

    @property
    def joins(self) -> bool:
        """Whether the masks of a method are joined with another tool's."""
        return self.seeds is not None and self.method != SEEDS

    @property
    def table(self) -> TableOptions:
        """What the user says about a table of labels."""
        return parse_table_options(
            self.image_column,
            self.label_columns,
            self.delimiter,
            self.separator,
            self.layout,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the options as a JSON object."""
        return asdict(self)
