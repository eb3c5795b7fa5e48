"""How SegCLIP's new parts start."""

from torch import nn

STD = 0.02


def init_linear(module: nn.Module) -> None:
    """Start all linear layers inside at N(0, 0.02) and zero bias.

    Those inside of attention, too.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=STD)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.MultiheadAttention):
            nn.init.normal_(part.in_proj_weight, std=STD)
