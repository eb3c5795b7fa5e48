"""Autocast on the pretended device, by torch's table for CUDA.

torch casts by the device that its C++ sees, so that it would cast nothing
here. The same is done one level higher, for functions of Python.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

from .tensor import DeviceTensor

# https://docs.pytorch.org/docs/stable/amp.html, "CUDA Ops that can autocast".
LOW = {
    '__matmul__', '__rmatmul__', 'addbmm', 'addmm', 'addmv', 'addr',
    'baddbmm', 'bilinear', 'bmm', 'chain_matmul', 'conv1d', 'conv2d',
    'conv3d', 'conv_transpose1d', 'conv_transpose2d', 'conv_transpose3d',
    'einsum', 'linear', 'matmul', 'mm', 'multi_dot',
    'multi_head_attention_forward', 'mv', 'prelu',
    'scaled_dot_product_attention', '_native_multi_head_attention',
    '_transformer_encoder_layer_fwd',
}  # fmt: skip
HIGH = {
    '__pow__', '__rdiv__', '__rpow__', '__rtruediv__', 'acos', 'asin',
    'binary_cross_entropy_with_logits', 'cdist', 'cosh',
    'cosine_embedding_loss', 'cosine_similarity', 'cross_entropy', 'cumprod',
    'cumsum', 'dist', 'erfinv', 'exp', 'expm1', 'group_norm',
    'hinge_embedding_loss', 'kl_div', 'l1_loss', 'layer_norm', 'log', 'log10',
    'log1p', 'log2', 'log_softmax', 'logsumexp', 'margin_ranking_loss',
    'mse_loss', 'multi_margin_loss', 'multilabel_margin_loss', 'nll_loss',
    'nll_loss_nd', 'norm', 'normalize', 'pdist', 'poisson_nll_loss', 'pow',
    'prod', 'reciprocal', 'renorm', 'rsqrt', 'sinh', 'smooth_l1_loss',
    'soft_margin_loss', 'softmax', 'softmin', 'softplus', 'sum', 'tan',
    'triplet_margin_loss',
}  # fmt: skip
WIDEST = {
    'addcdiv', 'addcmul', 'atan2', 'bilinear', 'cat', 'concat', 'cross',
    'dot', 'grid_sample', 'index_put', 'scatter_add', 'stack', 'tensordot',
}  # fmt: skip


def autocast_call(func: Callable, args: tuple, kwargs: dict) -> Any:
    """Call a function with its tensors cast as autocast on CUDA casts them.

    Raises:
        RuntimeError: CUDA's autocast refuses the function.
    """
    name = getattr(func, '__name__', '')
    if func is F.binary_cross_entropy:
        raise RuntimeError(
            'binary_cross_entropy is unsafe to autocast: use '
            'binary_cross_entropy_with_logits'
        )
    if not torch.is_autocast_enabled('cuda'):
        return func(*args, **kwargs)
    dtype = None
    if name in LOW:
        dtype = torch.get_autocast_dtype('cuda')
    elif name in HIGH:
        dtype = torch.float32
    elif name in WIDEST:
        dtype = _widest(args, kwargs)
    if dtype is None:
        return func(*args, **kwargs)

    def cast(tensor: DeviceTensor) -> Tensor:
        # float64 is left as it is.
        fits = tensor.is_floating_point() and tensor.dtype != torch.float64
        return tensor.to(dtype) if fits else tensor

    args, kwargs = tree_map_only(DeviceTensor, cast, (args, kwargs))
    # What is below the function is not cast again.
    with torch.autocast('cuda', enabled=False):
        return func(*args, **kwargs)


def _widest(args: tuple, kwargs: dict) -> torch.dtype | None:
    found = set()
    tree_map_only(
        DeviceTensor, lambda tensor: found.add(tensor.dtype), (args, kwargs)
    )
    half = {torch.float16, torch.bfloat16}
    return torch.float32 if torch.float32 in found and found & half else None
