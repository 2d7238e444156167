"""From a head's outputs to probabilities."""

import torch
from torch import Tensor

from nnmtl.planning.architecture import HeadKind


def head_answers(output: Tensor, kind: HeadKind) -> Tensor:
    """Probabilities of a head's outputs; those of a continuous or a beta head as they are.

    An ordinal head answers "above class k?" for every k but the last. No class is likelier to be
    surpassed than the one below it, so a higher answer is lowered to its predecessor's.

    Args:
        output: (B, num_outputs).
        kind: the head's kind.

    Returns:
        (B, 1) of a binary or continuous head, (B, 2) of a beta head, (B, K) for K classes, summing
        to 1.
    """
    if kind == "binary":
        return torch.sigmoid(output)
    if kind == "categorical":
        return torch.softmax(output, 1)
    if kind == "ordinal":
        above = torch.sigmoid(output).cummin(1).values
        edge = above.new_ones(len(above), 1)
        return torch.cat([edge, above], 1) - torch.cat([above, torch.zeros_like(edge)], 1)
    return output
