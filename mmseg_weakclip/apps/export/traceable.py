"""Parts that can be traced, in place of parts that make numbers of sizes.

A trace records what happens to tensors. Where a module turns the size of a
map into a Python number, the size of the traced image is written into the
file for good. The modules here compute the same from the size of each image.
"""

from fractions import Fraction

import torch
import torch.nn.functional as F
from mmengine.model import revert_sync_batchnorm
from mmseg.models.utils import Upsample
from mmseg.models.utils.embed import AdaptivePadding
from torch import Tensor, nn

from mmseg_weakclip.models.clip.text_bank import TextBank


class TraceableUpsample(nn.Module):
    """mmseg's ``Upsample`` by a factor.

    Args:
        upsample: What it stands for.
    """

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        # Sizes are multiplied as integers: that is what can be traced.
        self.factor = Fraction(upsample.scale_factor)
        self.mode = upsample.mode
        self.align_corners = upsample.align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, scaled h, scaled w), rounded down."""
        size = [
            length * self.factor.numerator // self.factor.denominator
            for length in x.shape[-2:]
        ]
        return F.interpolate(x, size, None, self.mode, self.align_corners)


class TraceablePadding(nn.Module):
    """mmseg's ``AdaptivePadding``, of windows no smaller than their stride.

    Args:
        padding: What it stands for.
    """

    def __init__(self, padding: AdaptivePadding) -> None:
        super().__init__()
        self.axes = list(zip(_extents(padding), padding.stride))
        self.centred = padding.padding == 'same'

    def forward(self, x: Tensor) -> Tensor:
        """Pad (B, C, H, W) with zeros until windows cover it."""
        amounts: list[int] = []
        for length, (extent, stride) in zip(x.shape[-2:], self.axes):
            steps = (length - 1) // stride
            total = steps * stride + extent - length
            before = total // 2 if self.centred else 0
            amounts = [before, total - before, *amounts]
        return F.pad(x, amounts)


class TraceableAvgPool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as products with matrices.

    ONNX has no pooling into a given number of cells.

    Args:
        cells: Rows and columns of the result.
    """

    def __init__(self, cells: tuple[int, int]) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, *cells)."""
        rows = pooling_matrix(x[0, 0, :, 0], self.cells[0])
        columns = pooling_matrix(x[0, 0, 0], self.cells[1])
        return rows @ x @ columns.T


def pooling_matrix(line: Tensor, cells: int) -> Tensor:
    """Weights of the mean over each of some cells of a line.

    Cell i covers floor(i N / cells) to ceil((i + 1) N / cells), the end not
    included, as in PyTorch's adaptive pooling.

    Args:
        line: N values, for their number, type and device.
        cells: Number of cells.

    Returns:
        (cells, N); rows sum to 1.
    """
    # A sum of ones: arange would note the device of the trace.
    place = torch.ones_like(line, dtype=torch.int64).cumsum(0) - 1
    index = torch.ones_like(line[:1], dtype=torch.int64).expand(cells)
    index = index.cumsum(0)[:, None] - 1
    length = line.shape[0]
    start = index * length // cells
    end = ((index + 1) * length + cells - 1) // cells
    inside = (place >= start) & (place < end)
    return inside.to(line.dtype) / (end - start)


class FixedText(nn.Module):
    """What a text bank says of its classes, without the text tower.

    Args:
        bank: A bank that knows its names.
    """

    embeddings: Tensor

    def __init__(self, bank: TextBank) -> None:
        super().__init__()
        with torch.no_grad():
            self.register_buffer('embeddings', bank().detach().clone())
        self.names = bank.names
        self.background_words = bank.background_words
        self.rows_per_class = bank.rows_per_class

    def __len__(self) -> int:
        return len(self.names or ())

    def forward(self) -> Tensor:
        """See ``TextBank.forward``."""
        return self.embeddings


def make_traceable(model: nn.Module) -> nn.Module:
    """Replace what can't be traced for images of any size, in place.

    SyncBN becomes BN, text banks become their embeddings.

    Returns:
        The model, in evaluation mode.
    """
    model = revert_sync_batchnorm(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            setattr(parent, name, _traceable(child))
    # Chained, it would be None: some backbones' train() returns nothing.
    model.eval()
    return model


def _traceable(module: nn.Module) -> nn.Module:
    """What stands for a module; most are left as they are."""
    if isinstance(module, TextBank):
        return FixedText(module)
    if isinstance(module, Upsample) and not module.size:
        return TraceableUpsample(module)
    if isinstance(module, AdaptivePadding) and all(
        extent >= stride
        for extent, stride in zip(_extents(module), module.stride)
    ):
        return TraceablePadding(module)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        size = module.output_size
        rows, columns = size if isinstance(size, tuple) else (size, size)
        # Into a single cell: the mean, which ONNX has.
        if rows and columns and (rows, columns) != (1, 1):
            return TraceableAvgPool((rows, columns))
    return module


def _extents(padding: AdaptivePadding) -> list[int]:
    """Pixels that a window reaches over, by axis."""
    return [
        (size - 1) * dilation + 1
        for size, dilation in zip(padding.kernel_size, padding.dilation)
    ]
