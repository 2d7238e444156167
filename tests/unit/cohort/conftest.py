"""Target tables for the tests of this folder."""

import numpy as np
import pytest

from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable


@pytest.fixture(scope="session")
def make_table():
    return _make_table


def _make_table(*, patients, centers, binary=None, continuous=None):
    """A table with one case per entry; None in a target is not observed."""
    targets = {}
    if binary is not None:
        targets["ER"] = _binary_target(binary)
    if continuous is not None:
        values = np.array([np.nan if value is None else value for value in continuous], float)
        targets["Ki67"] = ContinuousTarget(lower=values, upper=values, observed=~np.isnan(values))
    return TargetTable(
        case_ids=tuple(f"case_{index:04d}" for index in range(len(patients))),
        patient_ids=tuple(patients),
        centers=tuple(centers),
        targets=targets,
    )


def _binary_target(values):
    possible = np.array([[value in (0, None), value in (1, None)] for value in values], bool)
    return ClassTarget(
        possible=possible.reshape(-1, 2),
        observed=np.array([value is not None for value in values], bool),
    )
