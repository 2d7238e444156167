import json

import pytest

from nnmtl.cli.convert import main
from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.raw_dataset import check_raw_dataset
from nnmtl.cohort.splits import patient_folds
from nnmtl.cohort.targets import read_targets
from nnmtl.cohort.validation import count_events

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def folder(real_data, tmp_path_factory):
    raw_folder = tmp_path_factory.mktemp("raw")
    source = real_data / "lgg"
    argv = ["table", str(source), "-d", "501", "--name", "LGG", "--mapping", "tcga_lgg"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_raw", str(raw_folder))
        main([*argv, "--table", str(source / "labels.csv")])
    return raw_folder / "Dataset501_LGG"


@pytest.fixture(scope="module")
def declaration(folder):
    return parse_declaration(json.loads((folder / "dataset.json").read_text()))


@pytest.fixture(scope="module")
def table(folder, declaration):
    return read_targets(folder / "targets.csv", declaration)


def test_counts_are_those_of_the_source(table, declaration):
    assert len(table.case_ids) == len(set(table.patient_ids)) == 89
    assert count_events(table, "IDH") == {"0": 20, "1": 68}
    assert list(count_events(table, "IDH_codel").values()) == [20, 45, 23]
    assert count_events(table, "Grade") == {"0": 41, "1": 47}
    assert count_events(table, "Purity") == {"observed": 80}
    assert {name: table.centers.count(name) for name in set(table.centers)} == {
        "CS": 12,
        "DU": 37,
        "EZ": 1,
        "FG": 12,
        "HT": 27,
    }
    channels = [channel for missing in declaration.missing_channels.values() for channel in missing]
    assert (channels.count(0), channels.count(2)) == (6, 9)


def test_the_dataset_has_no_error(folder):
    assert not [finding for finding in check_raw_dataset(folder) if finding.level == "error"]


def test_wild_types_are_spread_over_the_folds(table):
    folds = [table.select(fold.validation) for fold in patient_folds(table)]
    wild_types = [count_events(fold, "IDH")["0"] for fold in folds]
    assert max(wild_types) - min(wild_types) <= 1
