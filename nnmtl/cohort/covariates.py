"""Clinical covariates of new cases, which have no targets.csv."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nnmtl.cohort.cell import parse_number
from nnmtl.cohort.csv_file import read_csv
from nnmtl.cohort.near_miss import did_you_mean
from nnmtl.errors import NnmtlError


def read_covariates(
    path: Path, names: Sequence[str], case_ids: Collection[str]
) -> dict[str, npt.NDArray[np.float64]]:
    """Case id → its K covariates in the order of the names, nan where a cell is empty.

    Args:
        path: a UTF-8, comma separated file with the columns case_id and every name, and no other.
        names: the K covariates that the model was trained with.
        case_ids: the cases that are predicted; one may have no row, then it is not in the result.

    Raises:
        NnmtlError: if the model has no covariates, a column is unknown or missing, a cell is no
            number, or a row is of a case that is not predicted or has a row already.
    """
    if not names:
        raise NnmtlError(
            f"{path}: expected a model that was trained with clinical covariates, but this one has "
            "none; leave out --covariates."
        )
    covariates: dict[str, npt.NDArray[np.float64]] = {}
    for row in read_csv(path, ["case_id", *names]):
        case_id = row["case_id"]
        if case_id not in case_ids:
            hint = did_you_mean(case_id, case_ids) or "; remove the row"
            raise row.error("case_id", f"a case among the images{hint}")
        if case_id in covariates:
            raise row.error("case_id", "a case once; remove one of its rows")
        values = [parse_number(row, name) for name in names]
        covariates[case_id] = np.array([np.nan if value is None else value for value in values])
    return covariates
