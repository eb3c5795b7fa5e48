"""Options of dense CLIP: attention maps that keep patches local.

Only CLIP's class token is trained; in the last blocks its patch tokens mix
information of distant places. The published remedies differ in one attention
step. With h the plain
stream, V_l the values and W_l, b_l the output projection of block l, a dense
stream is

    y = residual * h_{L-n} + sum over the last n blocks of (A_l V_l W_l + b_l)

and with ``ffn`` the block's own feed-forward part follows. A method that
replaces the last block is the row with n = 1; those that run beside the
plain blocks have any n. What remains to choose is the map A_l, by the
arguments of :class:`DenseAttention`; a preset is a name for such a choice.

The step is linear in A: adding one relation R to every head's map adds
``R @ U``, where U is the sum of V_l W_l (times the number of heads when heads
are summed). So a relation that is learnt or comes from another model needs no
second pass through CLIP; see ``stream.py``.
"""

import re
from dataclasses import dataclass

from mmseg.utils import ConfigType

from .token_options import check_token_options, is_count, is_number

SELF_TERMS = ('qq', 'kk', 'vv')
SIMILARITIES = ('qk', *SELF_TERMS)
TERMS = (*SIMILARITIES, 'identity', 'affinity')
# Terms such as 'attention:6-9', and affinities such as 'own:9'.
BLOCKS = re.compile(r'attention:([1-9]\d*)-([1-9]\d*)')
OWN = re.compile(r'own:([1-9]\d*)')


@dataclass(frozen=True)
class DenseAttention:
    """Arguments of one dense path.

    Args:
        layers: Number n of last blocks in the sum.
        terms: Terms of the map A: softmaxes of similarities, any of
            ``'qk'``, ``'qq'``, ``'kk'``, ``'vv'``; ``'identity'``, each
            token its own value; ``'affinity'``, a map of another model;
            ``'attention:6-9'``, the mean of CLIP's own attention in the
            blocks 6 to 9, counted from 1.
        weights: Weights of the terms, in order, instead of ``norm``.
        norm: Whether the terms are averaged (``'mean'``) or added
            (``'sum'``).
        heads: ``'keep'`` for one map per head; ``'mean'`` or ``'sum'`` for
            one map of all heads, the mean or the sum of theirs.
        residual: Whether y starts from h_{L-n} or from zero.
        ffn: Whether the feed-forward part of the last block is run on y.
        window: Standard deviation, in patches, of a Gaussian around each
            patch that is added to the scores before the softmax, with a
            peak of one, and zero at the class token. None adds nothing.
        unit_length: Whether queries, keys and values are scaled to unit
            length, head by head, before they are compared.
        iterations: Number of times that the compared features are first
            mixed by their own map, p <- softmax(p p^T / T) p; for
            self-similarities only.
        temperature: Divisor T of the scores: None is CLIP's own, sqrt(d)
            with d the width of a head; ``'adaptive'`` is that divided by
            the mean length of the block's normalised input tokens, image by
            image (GEM).
        affinity: Config of the module behind the term ``'affinity'``, such
            as ``TimmAffinity``. It turns images (B, 3, H, W) and CLIP's grid
            (h, w) into maps (B, n * m, n * m) whose rows sum to one, and the
            grid (n, m) of their patches. Or ``'own:9'``: CLIP's own tokens
            after block 9, counted from 1, by the cosines above their mean,
            three times as sharp (SC-CLIP). If that grid is not CLIP's, values
            are resized to it, and it must be the only term, in one block
            without residual.
        repair: ``'lof'``, or its arguments ``neighbours`` and ``share``:
            before the last block, and in the tokens of ``'own:...'``,
            outliers become the mean of their neighbours; see
            :func:`find_outliers`. None repairs nothing.
        smooth: Blocks, counted from 1, by whose tokens patches are averaged
            ``before`` and ``after`` the last block's attention, and the
            ``threshold`` of :func:`smooth_tokens`; None smooths nothing.
        fuse: First and last of some blocks, counted from 1: the attention of
            the last block runs once more on the sum of their outputs, and
            the result is added.
        class_share: Factor of the class token that is added to the patches
            after each of these passes: of block L-1, then of the sum.
        class_token: Whether patches see the class token.

    Raises:
        ValueError: A value is not allowed, or two values are incompatible.
    """

    layers: int = 1
    terms: tuple[str, ...] = ('qk',)
    norm: str = 'mean'
    heads: str = 'keep'
    residual: bool = True
    ffn: bool = False
    window: float | None = None
    unit_length: bool = False
    iterations: int = 0
    temperature: float | str | None = None
    affinity: ConfigType | str | None = None
    weights: tuple[float, ...] | None = None
    repair: ConfigType | str | None = None
    smooth: ConfigType | None = None
    fuse: tuple[int, int] | None = None
    class_share: float = 0.0
    class_token: bool = True

    def __post_init__(self) -> None:
        plain = {term for term in self.terms if not BLOCKS.fullmatch(term)}
        if not self.terms or not plain <= set(TERMS):
            known = *TERMS, 'attention:6-9'
            raise ValueError(f'terms={self.terms} must be some of {known}')
        if self.norm not in ('mean', 'sum'):
            raise ValueError(f"norm={self.norm!r} must be 'mean' or 'sum'")
        if self.heads not in ('keep', 'mean', 'sum'):
            raise ValueError(
                f"heads={self.heads!r} must be 'keep', 'mean' or 'sum'"
            )
        for name, least in (('layers', 1), ('iterations', 0)):
            if not is_count(getattr(self, name), least):
                raise ValueError(
                    f'{name}={getattr(self, name)!r} must be a whole number, '
                    f'{least} or more'
                )
        if not (self.window is None or is_number(self.window, 0)):
            raise ValueError(
                f'window={self.window!r} must be a number of patches above 0'
            )
        own = self.temperature in (None, 'adaptive')
        if not (own or is_number(self.temperature, 0)):
            raise ValueError(
                f'temperature={self.temperature!r} must be above 0, '
                "'adaptive' or None"
            )
        self._refuse_contradictions()
        self._check_tokens()

    @property
    def own_block(self) -> int | None:
        """Block of CLIP, from 1, whose tokens are the affinity, if any."""
        if not isinstance(self.affinity, str):
            return None
        match = OWN.fullmatch(self.affinity)
        return int(match[1]) if match else None

    @property
    def highest_block(self) -> int:
        """The highest block, from 1, that an option names; 0 for none."""
        named = [self.own_block or 0, *(self.fuse or ())]
        if self.smooth:
            named += [self.smooth.get(k) or 0 for k in ('before', 'after')]
        return max(*named, *self.attention_blocks, 0)

    @property
    def attention_blocks(self) -> set[int]:
        """Blocks, from 1, of the terms ``'attention:a-b'``."""
        return {
            number
            for term in self.terms
            if (match := BLOCKS.fullmatch(term))
            for number in range(int(match[1]), int(match[2]) + 1)
        }

    @property
    def term_weights(self) -> tuple[float, ...]:
        """Weight of each term."""
        if self.weights is not None:
            return self.weights
        one = 1 / len(self.terms) if self.norm == 'mean' else 1.0
        return (one,) * len(self.terms)

    @property
    def changes_tokens(self) -> bool:
        """Whether the last block's attention is not all that differs."""
        return any((self.repair, self.smooth, self.fuse, self.class_share))

    def _check_tokens(self) -> None:
        if isinstance(self.affinity, str) and self.own_block is None:
            raise ValueError(f"affinity={self.affinity!r} is not like 'own:9'")
        if self.weights is not None and len(self.weights) != len(self.terms):
            raise ValueError(f'weights={self.weights} for terms={self.terms}')
        if self.attention_blocks and self.heads != 'keep':
            raise ValueError(f"terms={self.terms} need heads='keep'")
        check_token_options(self.repair, self.smooth)
        if self.fuse and len(self.fuse) != 2:
            raise ValueError(f'fuse={self.fuse} must be two numbers of blocks')
        ranges = [self.fuse] if self.fuse else []
        for term in self.terms:
            if match := BLOCKS.fullmatch(term):
                ranges.append((int(match[1]), int(match[2])))
        if not all(0 < first <= last for first, last in ranges):
            raise ValueError(
                f'terms={self.terms}, fuse={self.fuse}: blocks are counted '
                'from 1, the first before the last'
            )
        if self.changes_tokens and (
            self.layers > 1 or self.residual or self.ffn
        ):
            raise ValueError(
                'repair, smooth, fuse and class_share need layers=1, '
                f'residual=False and ffn=False, not layers={self.layers}, '
                f'residual={self.residual}, ffn={self.ffn}'
            )

    def _refuse_contradictions(self) -> None:
        if self.ffn and self.layers > 1:
            raise ValueError(
                f'ffn=True with layers={self.layers}: the feed-forward part '
                'belongs to the one block that is replaced, layers=1'
            )
        if ('affinity' in self.terms) != (self.affinity is not None):
            raise ValueError(
                f'terms={self.terms} with affinity={self.affinity}: the term '
                "'affinity' and the config of its module, affinity=dict(type="
                "'TimmAffinity', ...), need each other"
            )
        if self.iterations and not set(self.terms) <= set(SELF_TERMS):
            raise ValueError(
                f'iterations={self.iterations} with terms={self.terms}: only '
                f'{SELF_TERMS} can be iterated'
            )
        idle = [
            f'{name}={getattr(self, name)}'
            for name in ('window', 'unit_length', 'temperature')
            if getattr(self, name)
        ]
        if idle and not set(self.terms) & set(SIMILARITIES):
            raise ValueError(
                f'{", ".join(idle)} with terms={self.terms}: these terms have '
                'no similarity that this could change'
            )
