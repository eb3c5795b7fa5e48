"""The least that a training step of a method could cost.

A floor is the maths of the method with nothing around it: the frozen image
tower without a graph, forward and backward pass of what is trained, and the
optimiser. Losses, pseudo labels, refinement, checks and logs are not in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from common import Clock
from mmengine.optim import OptimWrapper
from mmseg.models import EncoderDecoder
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

# Side of the matrices whose product gives the speed of the machine.
GEMM_SIDE = 2048


@dataclass
class BareStep:
    """One step of the bare maths of a method.

    Attributes:
        frozen: Ways to run the frozen part on the images, without a graph;
            the fastest of the first step counts. The last gives what is
            trained its input.
        trained: Function of what ``frozen[-1]`` gives, to outputs with a
            graph, whose sum is differentiated.
    """

    frozen: tuple[Callable[[Tensor], Any], ...]
    trained: Callable[[Any], tuple[Tensor, ...]]

    def __call__(
        self, images: Tensor, wrapper: OptimWrapper, clock: Clock
    ) -> dict[str, float]:
        """Run the step; seconds of its parts and their sum, the floor."""
        inputs, times = None, {}
        clock()
        with torch.no_grad(), wrapper.optim_context(nn.Module()):
            for function in self.frozen:
                inputs = function(images)
                times[function] = clock()
        seconds = dict(frozen=min(times.values()))
        fastest = min(times, key=times.get)
        self.frozen = tuple(
            function
            for function in self.frozen
            if function in (fastest, self.frozen[-1])
        )
        with wrapper.optim_context(nn.Module()):
            outputs = self.trained(inputs)
        seconds['forward'] = clock()
        sum(output.float().mean() for output in outputs).backward()
        seconds['backward'] = clock()
        wrapper.optimizer.step()
        wrapper.optimizer.zero_grad()
        seconds['optimiser'] = clock()
        seconds['floor'] = sum(seconds.values())
        return seconds

    def count_flops(self, images: Tensor) -> int:
        """Count operations of matrix products and convolutions of a step."""
        with FlopCounterMode(display=False) as counter:
            with torch.no_grad():
                inputs = self.frozen[-1](images)
            outputs = self.trained(inputs)
            sum(output.float().mean() for output in outputs).backward()
        return counter.get_total_flops()


def gemm_rate(device: str, dtype: torch.dtype, clock: Clock) -> float:
    """Measure operations per second of a large matrix product."""
    left, right = torch.randn(
        2, GEMM_SIDE, GEMM_SIDE, device=device, dtype=dtype
    )
    least = float('inf')
    for _ in range(4):
        clock()
        left @ right
        least = min(least, clock())
    return 2 * GEMM_SIDE**3 / least


def weakclip_floor(model: EncoderDecoder, crop: int) -> BareStep:
    """Adapter, prompts through the text tower, co-attention, FPN and head.

    The tower is open_clip's own or ours: in bfloat16 on a CPU, open_clip's
    takes ten times as long.
    """
    device = next(model.parameters()).device
    trunk = open_clip.create_model(
        'ViT-B-16-quickgelu', force_image_size=crop
    ).visual.to(device)
    trunk.requires_grad_(False).eval()

    def trained(inputs: Any) -> tuple[Tensor, ...]:
        maps, tokens = inputs
        levels = model.backbone.adapter(maps)
        *levels, score = model.neck((*levels, tokens))
        return model.decode_head(levels), score

    return BareStep((trunk, model.backbone._run_tower), trained)


def excel_floor(model: EncoderDecoder, crop: int) -> BareStep:
    """Adapter, decoder and relation, of CLIP with its dense stream."""
    head = model.decode_head

    def trained(tokens: Any) -> tuple[Tensor, ...]:
        features = head.adapter(tokens)
        return head._decode(features), head._relation_scores(features)

    return BareStep((lambda images: model.backbone(images)[-1],), trained)


def clims_floor(model: EncoderDecoder, crop: int) -> BareStep:
    """The network, and CLIP on two regions of two classes an image.

    CLIP has no trained part, but gradients pass through it to the maps.
    """
    head = model.decode_head

    def trained(images: Tensor) -> tuple[Tensor, ...]:
        maps = head(model.backbone(images)).float().sigmoid()
        size = tuple(head.critic.size)
        small = F.interpolate(images, size, mode='bilinear').repeat(2, 1, 1, 1)
        masks = F.interpolate(maps[:, :2], size, mode='bilinear')
        inside = small * masks.flatten(0, 1)[:, None]
        regions = torch.cat([inside, small - inside])
        return maps, head.critic.tower.module(regions)

    return BareStep((lambda images: images,), trained)
