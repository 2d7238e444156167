"""Batches from several centers: each batch on one grid, centers by the square root of their size.

The square root stands between cases counting alike, where a large center is nearly all that is
seen, and centers counting alike, where the few cases of a small one are learned by heart.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from numpy.typing import NDArray

from nnmtl.nnunet.grids import Grid


@dataclass(frozen=True, kw_only=True)
class GridCases:
    """The cases that share a grid.

    Attributes:
        grid: of these cases.
        case_ids: at least one.
        chances: of each case to be drawn for a batch on this grid; None for all alike.
        share: of the batches that are on this grid.
    """

    grid: Grid
    case_ids: tuple[str, ...]
    chances: tuple[float, ...] | None
    share: float


def cases_by_grid(
    case_ids: Sequence[str],
    center_of: Callable[[str], str],
    grid_of: Callable[[str], Grid],
    *,
    is_balanced: bool,
) -> list[GridCases]:
    """Cases per grid, with the weight of the square root of each center's size.

    Args:
        case_ids: in the order in which a loader is to have them.
        center_of: case id → center.
        grid_of: center → grid.
        is_balanced: False counts all cases alike.
    """
    counts = Counter(center_of(case) for case in case_ids)
    weight_of = {
        case: 1 / math.sqrt(counts[center_of(case)]) if is_balanced else 1.0 for case in case_ids
    }
    groups: dict[str, list[str]] = {}
    for case in case_ids:
        groups.setdefault(grid_of(center_of(case)).name, []).append(case)
    total = math.fsum(weight_of.values())
    return [
        _group([weight_of[case] for case in cases], cases, grid_of(center_of(cases[0])), total)
        for _, cases in sorted(groups.items())
    ]


def _group(weights: Sequence[float], cases: Sequence[str], grid: Grid, total: float) -> GridCases:
    own = math.fsum(weights)
    is_even = len(set(weights)) == 1  # then nnU-Net draws as it does without chances
    return GridCases(
        grid=grid,
        case_ids=tuple(cases),
        chances=None if is_even else tuple(weight / own for weight in weights),
        share=own / total,
    )


class CenterMix:
    """One loader out of several: every batch comes from one of them, drawn by its share."""

    def __init__(self, loaders: Sequence[nnUNetDataLoader], shares: Sequence[float]) -> None:
        """Keeps the loaders.

        Args:
            loaders: of one grid each.
            shares: of the batches that come from each; they sum to 1.
        """
        self.loaders = list(loaders)
        self.shares = list(shares)

    def draw_by(self, case_ids: Sequence[str], shares: NDArray[np.float64] | None) -> None:
        """Draws each case with its share, which sum to 1, whatever its grid; None: as before."""
        if shares is None:
            return
        share_of = dict(zip(case_ids, shares.tolist(), strict=True))
        whole = [math.fsum(share_of[str(case)] for case in each.indices) for each in self.loaders]
        self.shares = [share / math.fsum(whole) for share in whole]
        for loader, share in zip(self.loaders, whole, strict=True):
            loader.draw_by(case_ids, shares / share)

    def set_thread_id(self, thread_id: int) -> None:
        """nnU-Net's workers number their copies."""
        for loader in self.loaders:
            loader.set_thread_id(thread_id)

    def __iter__(self) -> "CenterMix":
        return self

    def __next__(self) -> dict[str, Any]:
        """The next batch; which grid is drawn from the stream that nnU-Net draws cases from."""
        number = 0
        if len(self.loaders) > 1:
            number = np.random.choice(len(self.loaders), p=self.shares)  # noqa: NPY002
        batch: dict[str, Any] = next(self.loaders[number])
        return batch
