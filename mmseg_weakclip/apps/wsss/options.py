"""What a user asks for."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

PUBLISHED_CLIP = 'ViT-B-16-quickgelu'
CLIP_WEIGHTS = {'toyclip': 'toyland'}
RANDOM = 'random'
RANDOM_NOTE = 'CLIP has random weights: masks and scores mean nothing.'


@dataclass(frozen=True)
class Options:
    """All that a run depends on; see the tool for what each means.

    Attributes with a ``None`` leave the choice to the method.
    """

    images: str
    labels: str
    work_dir: str
    classes: str | None = None
    truth: str | None = None
    val_list: str | None = None
    val_share: float = 0.1
    method: str = 'excel'
    segmenter: str = 'deeplabv3plus_r50'
    clip: str | None = None
    clip_weights: str | None = None
    clip_size: int | None = None
    crf: str | None = None
    segmenter_weights: str | None = None
    segmenter_size: int | None = None
    iterations: int | None = None
    method_iterations: int | None = None
    batch_size: int | None = None
    max_side: int = 1280
    skip_damaged: bool = False
    gpus: int | None = None
    amp: bool = False
    seed: int = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> 'Options':
        """The options that a manifest has."""
        known = {field.name for field in fields(cls)}
        values = {key: v for key, v in values.items() if key in known}
        return cls(**{**values, 'notes': tuple(values.get('notes', ()))})

    def with_clip_defaults(self) -> 'Options':
        """Weights where only a CLIP was named, and what to say of them."""
        clip, weights = self.clip, self.clip_weights
        if clip is None and weights is not None:
            clip = PUBLISHED_CLIP
        if weights is None and clip is not None:
            weights = CLIP_WEIGHTS.get(clip, 'openai')
        notes = tuple(n for n in self.notes if n != RANDOM_NOTE)
        if weights == RANDOM:
            notes += (RANDOM_NOTE,)
        return replace(self, clip=clip, clip_weights=weights, notes=notes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
