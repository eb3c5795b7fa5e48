"""How well toyland's CLIP knows what is in an image."""

import numpy as np
import open_clip
import torch
from pretraining import multi_hot
from torch import Tensor, nn

from mmseg_weakclip.toyland.captions import TEMPLATES
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import make_scene

# Neither a scene of the training nor one of data/toyland.
SEED = 99


def normalize(images: Tensor) -> Tensor:
    """CLIP's own normalisation of images 0..255, (B, 3, H, W)."""
    mean, std = (
        255 * images.new_tensor(value).view(3, 1, 1)
        for value in (
            open_clip.OPENAI_DATASET_MEAN,
            open_clip.OPENAI_DATASET_STD,
        )
    )
    return (images - mean) / std


def average_precision(scores: Tensor, truth: Tensor) -> float:
    """Area under precision over recall, in [0, 1].

    Args:
        scores: Of B images, (B,).
        truth: Which of them have the class, bool, (B,).
    """
    hits = truth[scores.argsort(descending=True)].double()
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum())


@torch.no_grad()
def prompt_precision(
    clip: nn.Module, tokenizer: open_clip.SimpleTokenizer, count: int
) -> dict[str, float]:
    """Image-level mAP of the class prompts on fresh scenes, by template.

    Args:
        clip: In evaluation mode.
        tokenizer: The model's.
        count: Number of scenes.
    """
    device = next(clip.parameters()).device
    scenes = [make_scene(SEED, index) for index in range(count)]
    images = np.stack([scene.image for scene in scenes])
    truth = multi_hot([scene.labels for scene in scenes]).bool()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float().to(device)
    features = torch.cat(
        [
            clip.encode_image(part, normalize=True)
            for part in normalize(x).split(50)
        ]
    )
    result = {}
    for template in TEMPLATES:
        texts = tokenizer([template.format(name) for name in CLASSES])
        words = clip.encode_text(texts.to(device), normalize=True)
        scores = (features @ words.T).cpu()
        precisions = [
            average_precision(scores[:, k], truth[:, k])
            for k in range(len(CLASSES))
        ]
        result[template] = float(np.mean(precisions))
    return result
