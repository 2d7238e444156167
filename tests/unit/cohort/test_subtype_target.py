"""From a table of targets to the subtypes that it leaves possible."""

import pytest

from nnmtl.cohort.biomarker import BinaryBiomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.subtype import subtype_target
from nnmtl.cohort.subtype_rules import SUBTYPES
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError

A, B, B_HER2, HER2, TN = SUBTYPES["st_gallen_2011"]
NONE = "unclassified"


def receptors(*, ki67=True, her2=None):
    columns = [BinaryBiomarker(name=name) for name in ("ER", "PR", "HER2")]
    if her2 is not None:
        columns[2] = her2
    if ki67:
        columns.append(ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100)))
    return Declaration(tumor_labels=(1,), biomarkers=tuple(columns))


@pytest.fixture
def read(tmp_path):
    def read_rows(declaration, *rows):
        header = ["case_id,patient_id,center", *declaration.target_columns]
        lines = [f"c{row},p{row},A,{cells}" for row, cells in enumerate(rows)]
        (tmp_path / "targets.csv").write_text("\n".join([",".join(header), *lines]))
        return read_targets(tmp_path / "targets.csv", declaration)

    return read_rows


def test_a_table_becomes_a_categorical_target_with_sets(read):
    rows = ["1,1,0,10-30", "1,1,0,25", "1,,1,", ",,,", "0,0,0,0", "0,,,"]
    target = subtype_target(read(receptors(), *rows))
    sets = [
        {name for name, possible in zip(target.categories, row, strict=True) if possible}
        for row in target.possible
    ]
    assert target.categories == SUBTYPES["st_gallen_2013"]
    assert sets == [{A, B}, {B}, {B_HER2}, set(SUBTYPES["st_gallen_2013"]), {TN}, {HER2, TN, NONE}]
    assert target.observed.tolist() == [True, True, True, False, True, True]
    assert target.cells()[0] == f"{A}|{B}"


def test_the_four_groups_need_no_ki67_and_the_others_say_so(read):
    table = read(receptors(ki67=False), "0,1,0", "0,0,1")
    target = subtype_target(table, rule="ihc4")
    assert target.cells() == ["hr_positive_her2_negative", "hr_negative_her2_positive"]
    with pytest.raises(NnmtlError, match=r"needs the column 'Ki67', got \['ER', 'PR', 'HER2'\]"):
        subtype_target(table)


def test_an_empty_selection_has_no_rows(read):
    target = subtype_target(read(receptors(), "1,1,0,5").select([]))
    assert target.possible.shape == (0, 6)
    assert target.observed.shape == (0,)


def test_a_column_of_another_kind_is_refused(read):
    her2 = CategoricalBiomarker(name="HER2", categories=("zero", "low", "positive"))
    with pytest.raises(NnmtlError, match="needs a binary 'HER2'"):
        subtype_target(read(receptors(her2=her2), "1,1,low,5"))
    ki67 = BinaryBiomarker(name="Ki67")
    columns = (*receptors(ki67=False).biomarkers, ki67)
    with pytest.raises(NnmtlError, match="needs a number 'Ki67'"):
        subtype_target(read(Declaration(tumor_labels=(1,), biomarkers=columns), "1,1,0,1"))
