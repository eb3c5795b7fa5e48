"""One of two processes that train with ImageTextContrastiveLoss.

Run as a script: rank, a file for the processes to meet in, and the file for
what came out.
"""

import sys
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmseg_weakclip.models.losses.image_text_contrastive import (
    ImageTextContrastiveLoss,
)

WORLD = 2


class Towers(nn.Module):
    """Two linear maps and the logarithm of a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Linear(5, 4)
        self.text = nn.Linear(3, 4)
        self.log_scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, images, texts):
        return self.image(images), self.text(texts), self.log_scale.exp()


def step(loss, model, batch) -> tuple[float, list[torch.Tensor]]:
    """Loss of a batch, and the gradient of each parameter."""
    images, texts, ids = batch
    model.zero_grad()
    value = loss(*model(images, texts), ids)
    value.backward()
    return value.item(), [p.grad.clone() for p in model.parameters()]


def main(rank: int, meeting: str, result: str) -> None:
    torch.manual_seed(0)
    model = Towers()
    ids = torch.tensor([7, 3, 9, 7, 7, 3])
    # The same caption has the same features; those of 7 are on both ranks.
    texts = torch.randn(10, 3)[ids]
    batch = torch.randn(len(ids), 5), texts, ids
    losses = {
        name: ImageTextContrastiveLoss(same_text=name)
        for name in ('negative', 'positive')
    }
    # One process, before there is a group of them.
    whole = {name: step(loss, model, batch) for name, loss in losses.items()}

    dist.init_process_group(
        'gloo',
        init_method=f'file://{meeting}',
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=60),
    )
    part = [values.chunk(WORLD)[rank] for values in batch]
    replica = DistributedDataParallel(model)
    found = {name: step(loss, replica, part) for name, loss in losses.items()}

    alone = ImageTextContrastiveLoss(gather=False)
    embeddings = [value.detach() for value in model(*part[:2])]
    local = alone(*embeddings).item()

    # Rank 1 has one sample less.
    unequal = [value[: len(ids) // WORLD - rank] for value in embeddings[:2]]
    try:
        losses['negative'](*unequal, embeddings[2])
        error = None
    except ValueError as refusal:
        error = str(refusal)
    # Nobody is left waiting in a collective.
    dist.barrier()
    torch.save(
        dict(whole=whole, found=found, local=local, error=error), result
    )
    dist.destroy_process_group()


if __name__ == '__main__':
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
