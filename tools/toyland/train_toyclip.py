"""Train toyland's CLIP.

Images meet texts only: prompts for the 14 tags and captions of the batch's
own scenes. A text is true of an image when the image has every tag it names;
the loss is binary cross-entropy on scale * cosine + bias (as in SigLIP, with
tags in place of pairs, so that two images with one caption are no mistake).
Nothing spatial is ever shown to it. Deterministic for a given number of
threads; stops and goes on with --resume.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from pretraining import (
    augment,
    multi_hot,
    render_pool,
    write_texts,
)
from retrieval import normalize, prompt_precision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmseg_weakclip.models.clip.weights import TOKEN_ROWS, TOKEN_TABLE

MODEL = 'toyclip'


def save_weights(
    clip: nn.Module, used: Tensor, path: Path, note: dict[str, str]
) -> None:
    """Half precision, the token table as its trained rows."""
    state = {
        name: value.half().contiguous().cpu()
        for name, value in clip.state_dict().items()
    }
    rows = used.nonzero().flatten()
    state[TOKEN_TABLE] = state[TOKEN_TABLE][rows].contiguous()
    state[TOKEN_ROWS] = torch.tensor([*rows.tolist(), len(used)])
    temporary = path.with_suffix('.part')
    save_file(state, temporary, metadata=note)
    os.replace(temporary, path)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='folder for the weights and the running state',
    )
    parser.add_argument('--iterations', type=int, default=12_000)
    parser.add_argument('--batch-size', type=int, default=160)
    parser.add_argument('--scenes', type=int, default=100_000)
    parser.add_argument(
        '--captions',
        type=int,
        default=32,
        help='captions a step, beside the prompts',
    )
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--weight-decay', type=float, default=0.05)
    parser.add_argument('--patch-dropout', type=float, default=0.75)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--resume', action='store_true')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    logger = MMLogger.get_instance('toyclip')
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    args.out.mkdir(parents=True, exist_ok=True)
    clip = open_clip.create_model(
        MODEL, force_patch_dropout=args.patch_dropout
    ).to(device)
    bias = nn.Parameter(torch.tensor(-2.0, device=device))
    tokenizer = open_clip.get_tokenizer(MODEL)
    used = torch.zeros(clip.vocab_size, dtype=torch.bool)
    groups = [
        dict(
            params=[p for p in clip.parameters() if p.ndim > 1],
            weight_decay=args.weight_decay,
        ),
        dict(
            params=[p for p in clip.parameters() if p.ndim < 2] + [bias],
            weight_decay=0.0,
        ),
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, args.iterations, pct_start=0.05
    )
    state_file = args.out / 'state.pt'
    begin, seconds = 0, 0.0
    if args.resume and state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        clip.load_state_dict(state['clip'])
        optimizer.load_state_dict(state['optimizer'])
        schedule.load_state_dict(state['schedule'])
        bias.data = state['bias'].to(device)
        used, begin, seconds = state['used'], state['begin'], state['seconds']
        torch.set_rng_state(state['random'])
    logger.info('rendering %d scenes', args.scenes)
    images, tags = render_pool(args.scenes, clip.visual.image_size[0])

    start = time.time() - seconds
    clip.train()
    for iteration in range(begin, args.iterations):
        rng = np.random.default_rng((2, iteration))
        chosen = rng.integers(args.scenes, size=args.batch_size)
        batch_tags = [tags[index] for index in chosen]
        texts, needs = write_texts(batch_tags, args.captions, rng)
        ids = tokenizer(texts)
        used[ids.unique()] = True
        # True where no needed tag is missing from the image.
        truth = ((1 - multi_hot(batch_tags)) @ needs.T == 0).float()
        x = normalize(augment(images[chosen], rng).to(device))
        # The fused attention of CPUs has a slow backward pass in bfloat16.
        with (
            sdpa_kernel(SDPBackend.MATH),
            torch.autocast(device.type, torch.bfloat16),
        ):
            visual = clip.encode_image(x, normalize=True)
            words = clip.encode_text(ids.to(device), normalize=True)
        logits = (
            clip.logit_scale.exp() * visual.float() @ words.float().T + bias
        )
        loss = F.binary_cross_entropy_with_logits(logits, truth.to(device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():  # CLIP's bound on the temperature
            clip.logit_scale.clamp_(max=np.log(100))
        done = iteration + 1
        if done % 100 == 0:
            spent = time.time() - start
            logger.info(
                'iteration %d/%d  loss %.4f  scale %.1f  %.0f s, %.0f s left',
                done,
                args.iterations,
                loss,
                clip.logit_scale.exp(),
                spent,
                spent / done * (args.iterations - done),
            )
        if done % 1000 == 0 or done == args.iterations:
            torch.save(
                dict(
                    clip=clip.state_dict(),
                    bias=bias.data.cpu(),
                    optimizer=optimizer.state_dict(),
                    schedule=schedule.state_dict(),
                    used=used,
                    begin=done,
                    seconds=time.time() - start,
                    random=torch.get_rng_state(),
                ),
                state_file.with_suffix('.part'),
            )
            os.replace(state_file.with_suffix('.part'), state_file)
    clip.visual.patch_dropout = nn.Identity()
    scores = prompt_precision(clip.eval(), tokenizer, 300)
    note = dict(
        hours=f'{(time.time() - start) / 3600:.2f}',
        device=device.type,
        threads=str(args.threads),
        mean_average_precision=json.dumps(scores),
        # What the weights depend on; where they were written is no part of it.
        settings=json.dumps(
            {
                key: str(value)
                for key, value in vars(args).items()
                if key not in ('out', 'resume')
            }
        ),
    )
    save_weights(clip, used, args.out / f'{MODEL}.safetensors', note)
    logger.info('image-level mAP on val: %s', scores)
    logger.info('%s hours on %s', note['hours'], device)


if __name__ == '__main__':
    main()
