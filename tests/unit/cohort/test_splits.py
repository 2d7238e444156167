import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmtl.cohort.biomarker import BinaryBiomarker, ContinuousBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.splits import (
    folds_beside,
    holdout_7_1_2,
    leave_one_center_out,
    patient_folds,
    split_patients,
)
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError


@st.composite
def cohorts(draw):
    """Up to 40 patients of 1 to 3 cases in 3 centers, targets partly missing."""
    num_cases = draw(st.lists(st.integers(1, 3), min_size=5, max_size=40))
    patients = [f"p{index}" for index, count in enumerate(num_cases) for _ in range(count)]
    center_of = {patient: draw(st.sampled_from("ABC")) for patient in dict.fromkeys(patients)}
    size = {"min_size": len(patients), "max_size": len(patients)}
    return {
        "patients": patients,
        "centers": [center_of[patient] for patient in patients],
        "binary": draw(st.lists(st.sampled_from([0, 1, None]), **size)),
        "continuous": draw(st.lists(st.none() | st.floats(0, 100), **size)),
    }


@settings(max_examples=40, deadline=None)
@given(cohort=cohorts())
def test_every_case_is_validated_once_and_no_patient_is_on_two_sides(make_table, cohort):
    table = make_table(**cohort)
    folds = patient_folds(table)
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    validated = [case_id for fold in folds for case_id in fold.validation]
    assert sorted(validated) == list(table.case_ids)
    for fold in folds:
        assert sorted(fold.train + fold.validation) == list(table.case_ids)
        assert not {patient_of[case] for case in fold.train} & {
            patient_of[case] for case in fold.validation
        }


@settings(max_examples=40, deadline=None)
@given(cohort=cohorts(), random=st.randoms())
def test_beside_new_cases_those_that_a_model_has_learned_from_are_never_validated(
    make_table, cohort, random
):
    table = make_table(**cohort)
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    own_patients = random.sample(sorted(set(table.patient_ids)), len(set(table.patient_ids)) - 2)
    learned = {  # of a patient some cases may be new
        case for case, patient in patient_of.items() if patient in own_patients and case[-1] != "1"
    }
    known = [[case for case in learned if part_of(patient_of[case]) == part] for part in (0, 1)]
    folds = folds_beside(table, known, learned)
    seen = {patient_of[case] for case in learned if part_of(patient_of[case]) == 2}
    for fold, own in zip(folds, known, strict=True):
        patients = {patient_of[case] for case in fold.validation}
        assert sorted(fold.train + fold.validation) == list(table.case_ids)
        assert not {patient_of[case] for case in fold.train} & patients
        assert not patients & seen
        assert set(own) <= set(fold.validation)
        assert not (set(learned) - set(own)) & set(fold.validation)


def part_of(patient):
    """0 and 1: validated by that fold's model; 2: learned from by both."""
    return int(patient[1:]) % 3


@settings(max_examples=40, deadline=None)
@given(cohort=cohorts())
def test_folds_hold_equally_many_patients(make_table, cohort):
    table = make_table(**cohort)
    patient_of = dict(zip(table.case_ids, table.patient_ids, strict=True))
    sizes = [len({patient_of[case] for case in fold.validation}) for fold in patient_folds(table)]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.sampled_from([0, 1, None]), min_size=10, max_size=60))
def test_one_biomarker_is_spread_as_evenly_as_can_be(make_table, values):
    ids = [f"p{index}" for index in range(len(values))]
    table = make_table(patients=ids, centers=["A"] * len(ids), binary=values)
    value_of = dict(zip(table.case_ids, values, strict=True))
    for value in (0, 1, None):
        counts = [
            sum(value_of[case] == value for case in fold.validation)
            for fold in patient_folds(table)
        ]
        assert max(counts) - min(counts) <= 1


def test_prevalence_missingness_and_centers_are_close_in_all_folds(make_table):
    generator = np.random.default_rng(0)
    centers = generator.choice(["A", "B", "C"], 300, p=[0.6, 0.3, 0.1])
    values = [None if generator.random() < 0.3 else int(generator.random() < 0.2) for _ in centers]
    table = make_table(patients=[f"p{i}" for i in range(300)], centers=centers, binary=values)
    folds = [table.select(fold.validation) for fold in patient_folds(table)]
    expected = len(table.case_ids) / 5
    for count_in in (
        lambda fold: fold.targets["ER"].observed.sum(),
        lambda fold: (~fold.targets["ER"].possible[:, 0]).sum(),
        lambda fold: fold.centers.count("A"),
        lambda fold: fold.centers.count("C"),
    ):
        counts = [count_in(fold) for fold in folds]
        assert max(counts) - min(counts) <= 2
    assert all(len(fold.case_ids) == expected for fold in folds)


def test_order_of_rows_does_not_change_a_fold(tmp_path):
    declaration = Declaration(
        tumor_labels=(1,),
        biomarkers=(
            BinaryBiomarker(name="ER"),
            ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100)),
        ),
    )
    header = "case_id,patient_id,center,ER,Ki67"
    rows = [f"c{i},p{i // 2},{'AB'[i // 20]},{i % 3 % 2},{i}" for i in range(40)]
    folds = []
    for order in (rows, random.Random(1).sample(rows, len(rows))):
        (tmp_path / "targets.csv").write_text("\n".join([header, *order]))
        folds.append(patient_folds(read_targets(tmp_path / "targets.csv", declaration)))
    assert folds[0] == folds[1]


def test_the_seed_decides_the_folds(make_table):
    table = make_table(patients=[f"p{i}" for i in range(30)], centers=["A"] * 30)
    assert patient_folds(table, seed=1) == patient_folds(table, seed=1)
    assert patient_folds(table, seed=1) != patient_folds(table, seed=2)


def test_a_holdout_has_the_proportions_seven_one_two(make_table):
    values = [0, 0, 0, 1] * 25
    table = make_table(patients=[f"p{i}" for i in range(100)], centers=["A"] * 100, binary=values)
    parts = holdout_7_1_2(table)
    assert [len(part) for part in parts] == [70, 10, 20]
    positives = [int((~table.select(part).targets["ER"].possible[:, 0]).sum()) for part in parts]
    assert np.abs(np.subtract(positives, [17.5, 2.5, 5])).max() <= 0.5


def test_each_part_gets_a_patient_however_few_there_are(make_table):
    table = make_table(patients=["a", "b", "c"], centers=["A"] * 3)
    assert [len(part) for part in split_patients(table, (7, 1, 2), seed=0)] == [1, 1, 1]


def test_leaving_a_center_out_validates_on_it_alone(make_table):
    table = make_table(patients=["a", "b", "c"], centers=["A", "B", "A"])
    folds = leave_one_center_out(table)
    assert list(folds) == ["A", "B"]
    assert folds["A"].validation == ("case_0000", "case_0002")
    assert folds["A"].train == ("case_0001",)


def test_too_few_patients_folds_or_centers_are_refused(make_table):
    table = make_table(patients=["a", "b", "b"], centers=["A"] * 3)
    with pytest.raises(NnmtlError, match="at least 5 patients for 5 parts, got 2"):
        patient_folds(table)
    with pytest.raises(NnmtlError, match="expected at least 2, got 1"):
        patient_folds(table, num_folds=1)
    with pytest.raises(NnmtlError, match="at least 2 centers"):
        leave_one_center_out(table)
