"""A model before and after it was adapted, center by center, on cases that neither learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

from nnmtl.evaluation.compared import Part, entry_of_parts, part_of_center
from nnmtl.evaluation.comparison import Row, compare
from nnmtl.evaluation.comparison_metrics import CENTER_METRICS
from nnmtl.evaluation.intervals import Interval

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, kw_only=True)
class AdaptedRow:
    """One metric of one task at one center.

    Attributes:
        center: its name.
        is_known: whether the model had been trained on the center before.
        task: `segmentation` or a biomarker's name.
        metric: `dice`, `auc`, `auc_macro` or `mae`.
        unit: of the metric; empty for a plain number.
        n: cases of the center.
        before: of the model as it was.
        after: of the adapted model.
        difference: after - before on the same cases.
        reason: why the first or its interval is undefined; None if both are defined.
    """

    center: str
    is_known: bool
    task: str
    metric: str
    unit: str
    n: int
    before: Interval
    after: Interval
    difference: Interval
    reason: str | None


def judge_adapted(
    before: Part, after: Part, *, known: Sequence[str], dataset: str
) -> tuple[AdaptedRow, ...]:
    """Judges the centers that the model had known, then the others.

    Args:
        before: answers of the model as it was for the validation cases of a fold.
        after: answers of the adapted model for the same cases.
        known: centers that the model had been trained on.
        dataset: name of the raw dataset.
    """
    centers = sorted(set(after.joined.centers), key=lambda name: (name not in known, name))
    return tuple(
        _row(center, row, is_known=center in known)
        for center in centers
        for row in compare(
            [
                entry_of_parts(name, [part_of_center(part, center)])
                for name, part in ((BEFORE, before), (AFTER, after))
            ],
            dataset=dataset,
            split="Tr",
            fold_of={},
        ).rows
        if row.metric in CENTER_METRICS
    )


def _row(center: str, row: Row, *, is_known: bool) -> AdaptedRow:
    before, after = row.cells
    assert after.difference is not None  # of an entry that is not the reference
    return AdaptedRow(
        center=center,
        is_known=is_known,
        task=row.task,
        metric=row.metric,
        unit=row.unit,
        n=row.n,
        before=before.value,
        after=after.value,
        difference=after.difference,
        reason=before.reason,
    )
