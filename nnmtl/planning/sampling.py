"""How often a training case is drawn for the heads: of its center and of its known classes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnmtl.cohort.targets import ClassTarget, TargetTable

EVENNESS = 0.5  # 0 draws all cases alike, 1 all classes and centers


def case_shares(
    table: TargetTable, names: Sequence[str], sampling: Literal["uniform", "balanced"]
) -> NDArray[np.float64] | None:
    """The probability of drawing each case; None draws all alike.

    Balanced, a center of n cases is drawn in proportion to the square root of n, and within it a
    case of a class that has the share p of K classes weighs 1 / sqrt(p K), averaged over the
    biomarkers. Classes are counted within the center, so that the center tells less of the class. A
    biomarker that is continuous, or not known for the case, counts as 1.

    Args:
        table: N training cases of the fold, and no others.
        names: the biomarkers that count.
        sampling: of the plan.

    Returns:
        (N,) summing to 1, in the table's order.
    """
    if sampling == "uniform":
        return None
    centers = np.array(table.centers)
    classes = [target for name in names if isinstance(target := table.targets[name], ClassTarget)]
    shares = np.zeros(len(centers))
    for center in np.unique(centers):
        rows = np.flatnonzero(centers == center)
        of_classes = [_class_weights(target.select(rows)) for target in classes]
        weights = np.mean(of_classes, axis=0) if of_classes else np.ones(len(rows))
        shares[rows] = len(rows) ** (1 - EVENNESS) * weights / weights.sum()
    return shares / shares.sum()


def _class_weights(target: ClassTarget) -> NDArray[np.float64]:
    """(N,) by how rare each case's class is among these cases."""
    known = target.observed & (target.possible.sum(1) == 1)
    if not known.any():
        return np.ones(len(known))
    classes = target.possible.argmax(1)
    counts = np.bincount(classes[known], minlength=target.possible.shape[1])
    expected = known.sum() / len(counts)  # cases per class, were all alike
    return np.where(known, (expected / np.maximum(1, counts[classes])) ** EVENNESS, 1.0)
