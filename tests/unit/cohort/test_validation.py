import pytest

from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.splits import Fold
from nnmtl.cohort.validation import (
    check_centers,
    check_labels,
    check_missing_channels,
    check_patients,
    check_rows,
    check_table,
    check_targets,
)

DECLARATION = Declaration(tumor_labels=(1,))


@pytest.fixture
def table_of(make_table):
    def of_values(values, *, centers=None, **targets):
        ids = [f"p{index}" for index in range(len(values))]
        centers = centers or ["A"] * len(ids)
        return make_table(patients=ids, centers=centers, binary=values, **targets)

    return of_values


def one(findings, level):
    matching = [finding.message for finding in findings if finding.level == level]
    assert len(matching) == 1
    return matching[0]


def test_a_sound_cohort_has_no_findings(table_of):
    table = table_of([0, 1] * 60, continuous=list(range(100)) + [None] * 20)
    assert check_table(table, DECLARATION, table.case_ids) == []


def test_a_row_without_image_is_an_error_with_a_near_miss(table_of):
    message = one(check_rows(table_of([0, 1]), ["case_0000"], ["case_001"]), "error")
    assert "'case_0001' has no image" in message
    assert "did you mean 'case_001'" in message


def test_an_image_without_row_is_a_note(table_of):
    assert "'case_9'" in one(check_rows(table_of([0]), ["case_0000", "case_9"], []), "note")


def test_a_case_for_training_and_testing_is_an_error(table_of):
    findings = check_rows(table_of([0]), ["case_0000"], ["case_0000"])
    assert "in imagesTr and imagesTs" in one(findings, "error")


def test_a_patient_on_both_sides_is_an_error(make_table):
    table = make_table(patients=["p", "p"], centers=["A", "A"])
    assert "the patient 'p'" in one(check_patients(table, ["case_0000"], ["case_0001"]), "error")


def test_centers_that_look_alike_are_a_warning_and_small_ones_a_note(table_of):
    findings = check_centers(table_of([0] * 12, centers=["St. X"] * 6 + ["st x"] * 5 + ["B"]))
    assert "'St. X', 'st x'" in one(findings, "warning")
    assert "'B' joins the reference" in one(findings, "note")


def test_a_missing_channel_of_an_unknown_case_is_an_error():
    declaration = Declaration(tumor_labels=(1,), missing_channels={"case_7": (1,)})
    message = one(check_missing_channels(declaration, ["case_07"]), "error")
    assert "'case_7', which has no image; did you mean 'case_07'" in message


@pytest.mark.parametrize("values", [[1] * 9, [None] * 9, [1, None] * 9])
def test_one_class_only_is_an_error(values, table_of):
    assert "ER: expected cases of at least two classes" in one(
        check_targets(table_of(values), None), "error"
    )


def test_a_constant_number_is_an_error(make_table):
    table = make_table(patients=["a", "b"], centers=["A"] * 2, continuous=[5, 5])
    assert "Ki67: expected" in one(check_targets(table, None), "error")


def test_few_events_are_a_warning_and_fewer_an_error(table_of):
    table = table_of([0] * 60 + [1] * 5)
    assert "only 5 training cases are '1'" in one(check_targets(table, None), "warning")
    assert not [f for f in check_targets(table, None) if f.level == "error"]
    findings = check_targets(table_of([0] * 60 + [1] * 4), None)
    assert "at least 5 training cases that are '1', got 4" in one(findings, "error")


def test_few_events_in_one_training_fold_are_an_error_that_names_the_fold(table_of):
    table = table_of([0] * 60 + [1] * 6)
    whole = Fold(train=table.case_ids, validation=())
    short = Fold(train=table.case_ids[:-2], validation=table.case_ids[-2:])
    message = one(check_targets(table, [whole, short]), "error")
    assert "in each fold, but fold 1 has 4" in message


@pytest.mark.parametrize(
    ("labels", "level", "expected"),
    [
        ([0, 2], "error", "has no tumor"),
        ([0, 1, 7], "error", "holds [7], but dataset.json declares"),
        ([3], "note", "1 cases have no mask"),
    ],
)
def test_a_label_map_is_judged_by_its_labels(labels, level, expected):
    findings = check_labels(
        {"case_1": labels, "case_2": [0, 1, 3]},
        DECLARATION,
        known_labels={0, 1, 2, 3},
        ignore_label=3,
    )
    assert expected in one(findings, level)
