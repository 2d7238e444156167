"""A model before and after it was adapted, center by center, on cases that neither learned from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnmtl.evaluation.compared import Part, entry_of_parts
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
                entry_of_parts(name, [_of_center(part, center)])
                for name, part in ((BEFORE, before), (AFTER, after))
            ],
            dataset=dataset,
            split="Tr",
            fold_of={},
        ).rows
        if row.metric in CENTER_METRICS
    )


def _of_center(part: Part, center: str) -> Part:
    joined, rows = part.joined, np.array([each == center for each in part.joined.centers])

    def some(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(value for value, row in zip(values, rows, strict=True) if row)

    case_ids = some(joined.case_ids)
    selected = replace(
        joined,
        case_ids=case_ids,
        patient_ids=some(joined.patient_ids),
        centers=some(joined.centers),
        flags=tuple(flags for flags, row in zip(joined.flags, rows, strict=True) if row),
        without_row=tuple(case for case in joined.without_row if case in case_ids),
        biomarkers=tuple(biomarker.select(rows) for biomarker in joined.biomarkers),
    )
    dice = part.dice
    if dice is not None:
        dice = {case: dice[case] for case in case_ids if case in dice}
    return replace(part, joined=selected, dice=dice)


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
