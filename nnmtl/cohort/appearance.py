"""How far an image's intensities are from those of the centers that a model has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmtl.cohort.case_intensity import FloatArray
from nnmtl.errors import NnmtlError

MIN_CASES = 5  # of a center with a mean of its own; the rest are taken together
OTHERS = "others"
THRESHOLD_QUANTILE = 0.95
# In standard deviations of the body: below, a difference is not one that a network could notice,
# and a quantile that hardly varies in training would make every other image strange.
SMALLEST_SPREAD = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class AppearanceSpace:
    """What the images of the training centers look like: means and one covariance, no single case.

    Attributes:
        centers: K names; centers with under 5 cases are together called `others`.
        means: (K, P) mean appearance of each.
        covariance: (P, P) within centers, shrunk to its diagonal.
        threshold: 95 % of the training cases, each left out in turn, are no farther.
        between: how far the cases of the most remote center are from the nearest other one
            (median); None with one center.
    """

    centers: tuple[str, ...]
    means: FloatArray
    covariance: FloatArray
    threshold: float
    between: float | None

    def distances(self, appearances: FloatArray) -> FloatArray:
        """Distances of M cases (M, P) to each center: (M, K), in the spread within centers.

        Mahalanobis distance over the root of P, so that about 1 is usual whatever the number of
        channels. An entry that is nan, of a channel that was not acquired, counts as the mean.
        """
        return _distances(appearances, self.means, self.covariance)


def appearance_space(appearances: FloatArray, centers: Sequence[str]) -> AppearanceSpace | None:
    """Summarizes N training cases.

    The threshold comes from leaving each case out of its center's mean and of the covariance, so
    that a case does not vouch for itself.

    Args:
        appearances: (N, P), nan where a channel was not acquired.
        centers: of each case.

    Returns:
        None if there are fewer than 5 cases.
    """
    groups = _groups(centers)
    names = sorted(set(groups) - {""})
    rows = np.array([group != "" for group in groups], dtype=bool)
    if not names:
        return None
    kept, of_case = appearances[rows], np.array([g for g in groups if g])
    number = np.array([names.index(group) for group in of_case])
    means = np.stack([_mean(kept[number == group]) for group in range(len(names))])
    residuals = np.nan_to_num(kept - means[number])
    scatter = residuals.T @ residuals
    left_out = _left_out_distances(kept, number, means, residuals, scatter)
    covariance = _shrunk(scatter, len(kept) - len(names))
    return AppearanceSpace(
        centers=tuple(names),
        means=means,
        covariance=covariance,
        threshold=float(np.quantile(left_out, THRESHOLD_QUANTILE)),
        between=_between(_distances(kept, means, covariance), number),
    )


def _groups(centers: Sequence[str]) -> list[str]:
    """The group of each case; empty where even the small centers together are too few."""
    counts = {center: list(centers).count(center) for center in set(centers)}
    groups = [center if counts[center] >= MIN_CASES else OTHERS for center in centers]
    too_few = groups.count(OTHERS) < MIN_CASES
    return ["" if group == OTHERS and too_few else group for group in groups]


def _mean(values: FloatArray) -> FloatArray:
    """Mean over cases of what is known; 0 where no case has it."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1))


def _shrunk(scatter: FloatArray, freedom: int) -> FloatArray:
    """A covariance that can be inverted, whatever the numbers of cases and of features.

    Few cases know the spread of each feature, though not how features go together: the weight of
    the diagonal falls from 1 with the cases per feature.
    """
    features = len(scatter)
    covariance = scatter / max(1, freedom)
    diagonal = np.diag(np.maximum(np.diag(covariance), SMALLEST_SPREAD**2))
    weight = features / (features + max(0, freedom))
    return np.asarray((1 - weight) * covariance + weight * diagonal) + 1e-9 * np.eye(features)


def _distances(values: FloatArray, means: FloatArray, covariance: FloatArray) -> FloatArray:
    difference = np.nan_to_num(values[:, None] - means[None])
    solved = np.linalg.solve(covariance, difference[..., None])[..., 0]
    return np.sqrt(np.maximum(0, (difference * solved).sum(-1)) / values.shape[1])


def _left_out_distances(
    values: FloatArray,
    number: Any,
    means: FloatArray,
    residuals: FloatArray,
    scatter: FloatArray,
) -> FloatArray:
    """(N,) each case's distance to the nearest center, without the case in mean and covariance."""
    counts = np.bincount(number)
    freedom = len(values) - len(means) - 1
    nearest = np.empty(len(values))
    for case, (group, residual) in enumerate(zip(number, residuals, strict=True)):
        count = counts[group]
        others = means.copy()
        others[group] = means[group] - residual / (count - 1)
        without = scatter - count / (count - 1) * np.outer(residual, residual)
        nearest[case] = _distances(values[[case]], others, _shrunk(without, freedom)).min()
    return nearest


def _between(distances: FloatArray, number: Any) -> float | None:
    count = distances.shape[1]
    if count < 2:
        return None
    farthest = [
        np.median(np.delete(distances[number == group], group, axis=1).min(axis=1))
        for group in range(count)
    ]
    return float(max(farthest))


def appearance_to_json(space: AppearanceSpace | None) -> dict[str, object] | None:
    """The space as JSON-ready values; None stays None."""
    if space is None:
        return None
    return {
        "centers": list(space.centers),
        "means": space.means.tolist(),
        "covariance": space.covariance.tolist(),
        "threshold": space.threshold,
        "between": space.between,
    }


def parse_appearance(value: Mapping[str, Any] | None, *, where: str) -> AppearanceSpace | None:
    """Reads what `appearance_to_json` gives; raises `NnmtlError` naming a key that is missing."""
    if value is None:
        return None
    try:
        return AppearanceSpace(
            centers=tuple(value["centers"]),
            means=np.array(value["means"], dtype=float),
            covariance=np.array(value["covariance"], dtype=float),
            threshold=float(value["threshold"]),
            between=value["between"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NnmtlError(
            f"{where}: expected the appearance of the training images, but {error}; train the "
            "model again, or restore the file."
        ) from error
