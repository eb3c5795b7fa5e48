"""What the two halves of CLIP share: freezing, and staying out of files."""

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def fingerprint(module: nn.Module) -> Tensor:
    """A checksum of all parameters, as a scalar int64 tensor."""
    checksum = 0
    for parameter in module.parameters():
        raw = parameter.detach().cpu().contiguous().view(-1)
        checksum = zlib.crc32(raw.view(torch.uint8).numpy(), checksum)
    return torch.tensor(checksum)


class CLIPTower(nn.Module):
    """One half of CLIP.

    A frozen tower has no gradients and never leaves evaluation mode. If it
    can be had again by name, checkpoints hold its fingerprint in place of
    its weights; loading such a checkpoint into a model with other CLIP
    weights is an error. A checkpoint that does hold the weights is loaded
    as usual.

    Args:
        module: The tower.
        frozen: Whether it stays as it is; or the names of parameters and
            modules inside it that do while the rest is trained.
        reloadable: Whether the same weights can be had again by name.

    Raises:
        ValueError: Nothing inside has such a name.
    """

    def __init__(
        self, module: nn.Module, frozen: bool | Sequence[str], reloadable: bool
    ) -> None:
        super().__init__()
        self.module = module
        self.frozen = frozen is True
        self.reloadable = reloadable
        if self.frozen:
            self.requires_grad_(False)
            self.register_buffer('fingerprint', fingerprint(module))
        elif frozen:
            _freeze_parts(module, frozen)
        self._register_state_dict_hook(_leave_out_weights)
        self.register_load_state_dict_post_hook(_settle_keys)
        self.train(self.training)

    @property
    def left_out(self) -> bool:
        """Whether checkpoints do without the weights."""
        return self.frozen and self.reloadable

    def train(self, mode: bool = True) -> 'CLIPTower':
        return super().train(mode and not self.frozen)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        self._prefix = prefix
        self._has_weights = any(
            name.startswith(f'{prefix}module.') for name in state_dict
        )
        stored = state_dict.get(f'{prefix}fingerprint')
        if self.left_out and not self._has_weights and stored is not None:
            self._check_fingerprint(int(stored), prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_fingerprint(self, stored: int, prefix: str) -> None:
        if stored != int(self.fingerprint):
            raise ValueError(
                f'{prefix[:-1]}: this checkpoint was trained on other CLIP '
                f'weights (fingerprint {stored:#010x}) than the config loads '
                f'({int(self.fingerprint):#010x}); set `model` and '
                '`pretrained` to those it was trained with'
            )


def _freeze_parts(module: nn.Module, names: Sequence[str]) -> None:
    for name in names:
        parts = [
            parameter
            for path, parameter in module.named_parameters()
            if path == name or path.startswith(f'{name}.')
        ]
        if not parts:
            known = sorted(
                {p.split('.')[0] for p, _ in module.named_parameters()}
            )
            raise ValueError(
                f'frozen={tuple(names)}, but CLIP has no part {name!r} here; '
                f'there are {known} and what is inside them'
            )
        for parameter in parts:
            parameter.requires_grad_(False)


def _leave_out_weights(
    tower: CLIPTower, state_dict: dict, prefix: str, local_metadata: dict
) -> None:
    if tower.left_out:
        for name in [
            n for n in state_dict if n.startswith(f'{prefix}module.')
        ]:
            del state_dict[name]


def _settle_keys(tower: CLIPTower, keys) -> None:
    """After loading: excuse what was left out, notice what was replaced."""
    expendable = {f'{tower._prefix}fingerprint'}
    if tower._has_weights and tower.frozen:
        now = fingerprint(tower.module).to(tower.fingerprint.device)
        tower.reloadable &= bool(now == tower.fingerprint)
        tower.fingerprint = now
    elif tower.left_out:
        expendable.update(
            f'{tower._prefix}module.{name}'
            for name in tower.module.state_dict()
        )
    keys.missing_keys[:] = [
        name for name in keys.missing_keys if name not in expendable
    ]
