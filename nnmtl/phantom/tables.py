"""The columns of a synthetic cohort's targets.csv and phantom_truth.csv."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from nnmtl.cohort.biomarker import (
    BinaryBiomarker,
    Biomarker,
    CategoricalBiomarker,
    ContinuousBiomarker,
)
from nnmtl.errors import NnmtlError
from nnmtl.phantom.case import PhantomCase
from nnmtl.phantom.labels import HER2_CATEGORIES
from nnmtl.phantom.nuisance import nuisance_columns

BIOMARKERS: Mapping[str, Biomarker] = MappingProxyType(
    {
        biomarker.name: biomarker
        for biomarker in (
            BinaryBiomarker(name="ER"),
            BinaryBiomarker(name="PR"),
            BinaryBiomarker(name="HER2"),
            CategoricalBiomarker(name="HER2_3", categories=HER2_CATEGORIES, ordered=True),
            ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100), cutoffs=(14, 20, 30)),
        )
    }
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What of one case goes into the tables.

    Attributes:
        case_id: also the patient's id.
        center: its name.
        subset: training or test case.
        targets: a cell for each of BIOMARKERS.
        truth: further columns of the truth table.
    """

    case_id: str
    center: str
    subset: Literal["Tr", "Ts"]
    targets: Mapping[str, str | int | float]
    truth: Mapping[str, float]


def truth_of(case: PhantomCase) -> dict[str, float]:
    """Traits (`u_*`), nuisance and exact posterior of a case, by column."""
    traits = {f"u_{name}": value for name, value in case.traits.items()}
    return traits | nuisance_columns(case.nuisance) | dict(case.posterior)


def check_biomarkers(biomarkers: Sequence[str], missing: Mapping[str, float]) -> None:
    """Checks the names of the columns and the shares of gaps that are asked for.

    Raises:
        NnmtlError: for an unknown biomarker, or a share that is not one of a chosen biomarker.
    """
    for name in biomarkers:
        if name not in BIOMARKERS:
            raise NnmtlError(
                f"phantom: expected biomarkers among {', '.join(BIOMARKERS)}, got {name!r}; "
                "choose among them."
            )
    for name, share in missing.items():
        if name not in biomarkers or not 0 <= share <= 1:
            raise NnmtlError(
                "phantom: expected the missing share of a chosen biomarker between 0 and 1, "
                f"got {share!r} for {name!r}; the chosen ones are {', '.join(biomarkers)}."
            )


def target_columns(
    rows: Sequence[Row], biomarkers: Sequence[str], *, missing: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    """The columns of targets.csv, sorted by case.

    Args:
        rows: one per case.
        biomarkers: names of the columns.
        missing: per biomarker the probability that a training case lacks it.
        seed: decides which do.
    """
    rows = sorted(rows, key=lambda row: row.case_id)
    columns = _identities(rows)
    for name in biomarkers:
        # One stream per biomarker: the gaps of one do not move those of another.
        uniform = np.random.default_rng([seed, *name.encode()]).random(len(rows))
        columns[name] = [
            "" if row.subset == "Tr" and draw < missing.get(name, 0.0) else str(row.targets[name])
            for row, draw in zip(rows, uniform, strict=True)
        ]
    return columns


def truth_columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The columns of phantom_truth.csv, sorted by case; `true_*` are the targets without gaps."""
    rows = sorted(rows, key=lambda row: row.case_id)
    columns = _identities(rows)
    for name in BIOMARKERS:
        columns[f"true_{name}"] = [str(row.targets[name]) for row in rows]
    for name in rows[0].truth if rows else ():
        # Six digits of a probability near 1 could tie; its distance from 1 matters for the AUC.
        columns[name] = [f"{row.truth[name]:.9g}" for row in rows]
    return columns


def _identities(rows: Sequence[Row]) -> dict[str, list[str]]:
    case_ids = [row.case_id for row in rows]
    return {
        "case_id": case_ids,
        "patient_id": case_ids,
        "center": [row.center for row in rows],
    }
