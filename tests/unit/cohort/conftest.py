"""A declaration, target tables and cases for the tests of this folder."""

import numpy as np
import pytest

from nnmtl.cohort.biomarker import BinaryBiomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.case_content import (
    CaseContent,
    measure_channel,
    measure_mask,
    same_images,
)
from nnmtl.cohort.case_geometry import measure_tumor
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.targets import ClassTarget, ContinuousTarget, TargetTable


@pytest.fixture(scope="session")
def breast():
    """A biomarker of each kind, and a covariate."""
    return Declaration(
        tumor_labels=(1,),
        biomarkers=(
            BinaryBiomarker(name="ER"),
            CategoricalBiomarker(
                name="HER2_3", categories=("zero", "low", "positive"), ordered=True
            ),
            ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100), cutoffs=(14, 20, 30)),
        ),
        covariates=("age",),
    )


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


@pytest.fixture(scope="session")
def make_content():
    return _make_content


def _make_content(number, *, image=None, channels=None, **changes):
    """An unremarkable case of its own patient in center A, with the changes asked for."""
    random = np.random.default_rng(number)
    image = random.integers(50, 900, (8, 12, 12)) if image is None else image
    direction, spacing_mm = np.eye(3).ravel(), changes.pop("spacing_mm", (3.0, 1.0, 1.0))
    tumor = changes.pop("tumor", None)
    if tumor is None:
        tumor = np.zeros(image.shape, bool)
        tumor[3:6, 4:8, 4:8] = True
    body = changes.pop("body", np.ones(image.shape, bool))
    channels = {0: image} if channels is None else channels
    known = {
        "case_id": f"case_{number:02d}",
        "patient_id": f"p{number:02d}",
        "center": "A",
        "split": "Tr",
        "orientation": "RAS",
        "shear": 0.0,
        "geometry": measure_tumor(tumor, spacing_mm),
        "channels": {
            key: measure_channel(array, direction, spacing_mm) for key, array in channels.items()
        },
        "copies": same_images(channels),
        "mask": measure_mask(changes.pop("label_map", tumor.astype(int)), tumor, body),
    }
    return CaseContent(**(known | changes))
