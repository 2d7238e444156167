"""Gradients of several tasks without conflict: no task's step raises another task's loss."""

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from nnmtl.errors import NnmtlError


def load_torchjd() -> ModuleType:
    """The module `torchjd.aggregation`.

    Raises:
        NnmtlError: if it, or the solver that it needs, is not installed.
    """
    try:
        from torchjd import aggregation

        aggregation.UPGrad()  # asks for the solver
    except ImportError as error:
        raise NnmtlError(
            'task_weighting "upgrad": expected the packages torchjd and quadprog, but they are not '
            "both installed; run pip install 'nnmtl[torchjd]', or plan another task_weighting."
        ) from error
    return aggregation


def combine_without_conflict(gradients: Tensor) -> Tensor:
    """The sum of the gradients, each projected first to where it descends for all of them.

    UPGrad (Quinton and Rey, "Jacobian descent for multi-objective optimization", arXiv 2406.16232)
    with the sum instead of the mean: gradients without conflict give their plain sum.

    Args:
        gradients: (T, P), a task per row. Rows of zeros say nothing.

    Returns:
        (P,). The plain sum where an entry is not finite, for the caller to notice.
    """
    told = gradients[gradients.any(1)]
    if len(told) < 2 or not told.isfinite().all():
        return gradients.sum(0)
    aggregation = load_torchjd()
    return aggregation.UPGrad(pref_vector=told.new_ones(len(told)))(told)


def backward_without_conflict(
    losses: Sequence[Tensor], *, shared: Sequence[Tensor], own: Sequence[Tensor]
) -> None:
    """Adds the losses' gradients to `.grad`; those of shared parameters are combined.

    A gradient that shared parameters have already, such as the segmentation's, counts as one more
    task.

    Args:
        losses: a weighted scalar per task, of one graph.
        shared: parameters in which tasks may conflict; those without gradient are left alone.
        own: all other parameters that the losses train: they get the plain sum.
    """
    shared = [parameter for parameter in shared if parameter.requires_grad]
    own = [parameter for parameter in own if parameter.requires_grad]
    if shared:
        rows = [_flat([parameter.grad for parameter in shared], shared)]
        for loss in losses:
            parts = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
            rows.append(_flat(parts, shared))
        combined = combine_without_conflict(torch.stack(rows))
        pieces = torch.split(combined, [parameter.numel() for parameter in shared])
        for parameter, piece in zip(shared, pieces, strict=True):
            parameter.grad = piece.view_as(parameter).clone()
    torch.autograd.backward([torch.stack(list(losses)).sum()], inputs=own)


def _flat(gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """(P,) with zeros where there is no gradient."""
    parts = zip(gradients, parameters, strict=True)
    return torch.cat(
        [
            (torch.zeros_like(each) if part is None else part).detach().flatten().float()
            for part, each in parts
        ]
    )
