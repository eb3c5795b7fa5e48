"""Image scores from positions that are drawn by their class scores.

Importance sampling of Jonnarth and Felsberg, "Importance Sampling CAMs for
Weakly-Supervised Segmentation" (ICASSP 2022). The mean over positions is
large if a few positions are very sure, so a classifier is content with the
telling part of an object. A drawn position is sure only if most of what the
map marks is.
"""

import torch
from torch import Tensor


def draw_positions(logits: Tensor) -> Tensor:
    """Draw a position of each class, by its share of the class's scores.

    p_k(x) = s_k(x) / sum_y s_k(y) with s = sigmoid of the logits.

    Args:
        logits: Class maps of any sign, (B, K, h, w).

    Returns:
        Index of a position of each image and class, int64, (B, K). No
        gradient goes through the draw.
    """
    with torch.no_grad():
        # Divided by the largest, in the logarithm: very negative logits have
        # a probability, too.
        scores = torch.nn.functional.logsigmoid(logits.float().flatten(2))
        scores = (scores - scores.amax(2, keepdim=True)).exp()
        return torch.multinomial(scores.flatten(0, 1), 1).view(
            logits.shape[:2]
        )


def sampled_logits(logits: Tensor) -> Tensor:
    """Return the logits of each image at positions drawn for each class.

    Args:
        logits: Class maps of any sign, (B, K, h, w).

    Returns:
        Logits of the images, (B, K); their gradient goes to the drawn
        positions.
    """
    places = draw_positions(logits)
    return logits.flatten(2).gather(2, places[..., None])[..., 0]
