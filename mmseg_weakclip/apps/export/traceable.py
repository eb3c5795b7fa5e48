"""Replacements of modules whose trace would hold one image size only.

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
        upsample: Module to replace.
    """

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        # Sizes are multiplied as integers, which can be traced.
        self.factor = Fraction(upsample.scale_factor)
        self.mode = upsample.mode
        self.align_corners = upsample.align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Resize (B, C, h, w) by the factor, sides rounded down."""
        size = [
            length * self.factor.numerator // self.factor.denominator
            for length in x.shape[-2:]
        ]
        return F.interpolate(x, size, None, self.mode, self.align_corners)


class TraceablePadding(nn.Module):
    """mmseg's ``AdaptivePadding``, for windows at least as large as strides.

    Args:
        padding: Module to replace.
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
        cells: Number of rows and columns of the result.
    """

    def __init__(self, cells: tuple[int, int]) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """Average (B, C, H, W) to (B, C, *cells)."""
        rows = pooling_matrix(x[0, 0, :, 0], self.cells[0])
        columns = pooling_matrix(x[0, 0, 0], self.cells[1])
        return rows @ x @ columns.T


def pooling_matrix(line: Tensor, cells: int) -> Tensor:
    """Return the weights of the mean over each cell of a line.

    Cell i covers floor(i N / cells) to ceil((i + 1) N / cells), the end not
    included, as in PyTorch's adaptive pooling.

    Args:
        line: N values; only their number, type and device are used.
        cells: Number of cells.

    Returns:
        Weights, (cells, N); rows sum to 1.
    """
    # A sum of ones: arange would fix the device of the trace.
    place = torch.ones_like(line, dtype=torch.int64).cumsum(0) - 1
    index = torch.ones_like(line[:1], dtype=torch.int64).expand(cells)
    index = index.cumsum(0)[:, None] - 1
    length = line.shape[0]
    start = index * length // cells
    end = ((index + 1) * length + cells - 1) // cells
    inside = (place >= start) & (place < end)
    return inside.to(line.dtype) / (end - start)


class FixedText(nn.Module):
    """Text embeddings of a bank's classes, without the text tower.

    Args:
        bank: Text bank whose class names are set.
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
        """Return the embeddings, in the shape of ``TextBank.forward``."""
        return self.embeddings


def make_traceable(model: nn.Module) -> nn.Module:
    """Replace modules that are traced for one image size only, in place.

    SyncBN becomes BN, text banks become their embeddings.

    Returns:
        The model, in evaluation mode.
    """
    model = revert_sync_batchnorm(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            setattr(parent, name, _traceable(child))
    # Not chained: some backbones' train() returns None.
    model.eval()
    return model


def _traceable(module: nn.Module) -> nn.Module:
    """Return the replacement of a module, or the module itself."""
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
        # Pooling into one cell is the mean, which ONNX has.
        if rows and columns and (rows, columns) != (1, 1):
            return TraceableAvgPool((rows, columns))
    return module


def _extents(padding: AdaptivePadding) -> list[int]:
    """Return the extent of a dilated window in pixels, by axis."""
    return [
        (size - 1) * dilation + 1
        for size, dilation in zip(padding.kernel_size, padding.dilation)
    ]
