"""The converters of public sets on their real tables: aggregate counts, as published."""

import csv
import json
from collections import Counter

import pytest

from nnmtl.cli.convert import main
from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.geometry_table import geometry_fingerprint
from nnmtl.cohort.targets import read_targets
from nnmtl.cohort.validation import count_events

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def folders(real_data, tmp_path_factory):
    raw_folder = tmp_path_factory.mktemp("raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_raw", str(raw_folder))
        main(["mama_mia", str(real_data / "mamamia"), "-d", "511", "--targets-only"])
        main(["duke", str(real_data / "duke"), "-d", "512", "--targets-only"])
        main(["ucsf_pdgm", str(real_data / "ucsf_pdgm"), "-d", "513", "--targets-only"])
    return {
        "mama_mia": raw_folder / "Dataset511_MAMAMIA",
        "duke": raw_folder / "Dataset512_Duke",
        "ucsf_pdgm": raw_folder / "Dataset513_UCSFPDGM",
    }


def table_of(folder):
    declaration = parse_declaration(json.loads((folder / "dataset.json").read_text()))
    return read_targets(folder / "targets.csv", declaration)


def geometry(folder):
    with (folder / "geometry.csv").open() as file:
        return {row["case_id"].rpartition("_")[2]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def mama_mia(folders):
    return table_of(folders["mama_mia"])


@pytest.fixture(scope="module")
def duke(folders):
    return table_of(folders["duke"])


def test_counts_of_mama_mia_are_those_of_its_table(mama_mia):
    assert len(mama_mia.case_ids) == len(set(mama_mia.patient_ids)) == 1506
    assert Counter(mama_mia.centers) == {"DUKE": 291, "ISPY1": 171, "ISPY2": 980, "NACT": 64}
    assert count_events(mama_mia, "HR") == {"0": 654, "1": 836}
    assert count_events(mama_mia, "HER2") == {"0": 1091, "1": 393}
    assert count_events(mama_mia, "pCR") == {"0": 1051, "1": 440}
    # The table has 224 and 280 negatives; 444 more are those of I-SPY2 without hormone receptors.
    assert count_events(mama_mia, "ER") == {"0": 224 + 444, "1": 286}
    assert count_events(mama_mia, "PR") == {"0": 280 + 444, "1": 230}


def test_er_and_pr_of_ispy2_are_negative_or_not_observed(mama_mia):
    ispy2 = mama_mia.select(
        case
        for case, center in zip(mama_mia.case_ids, mama_mia.centers, strict=True)
        if center == "ISPY2"
    )
    assert count_events(ispy2, "HR") == {"0": 444, "1": 536}
    assert count_events(ispy2, "ER") == count_events(ispy2, "PR") == {"0": 444, "1": 0}


def test_the_report_of_mama_mia_lists_what_ispy2_leaves_open(folders):
    with (folders["mama_mia"] / "not_understood.csv").open() as file:
        report = Counter((row["biomarker"], row["outcome"]) for row in csv.DictReader(file))
    assert report == {("ER", "undecided"): 536, ("PR", "undecided"): 536}


def test_the_geometry_of_mama_mia_spans_what_is_published(folders):
    rows = geometry(folders["mama_mia"]).values()
    in_plane = [float(row["spacing_y_mm"]) for row in rows]
    across = [float(row["spacing_z_mm"]) for row in rows]
    assert (round(min(in_plane), 2), round(max(in_plane), 2)) == (0.31, 1.41)
    assert (round(min(across), 1), round(max(across), 1)) == (0.8, 4.0)
    fingerprint = geometry_fingerprint(folders["mama_mia"] / "geometry.csv")
    assert fingerprint["overall"]["num_geometries"] == 1506


def test_counts_of_duke_are_those_of_its_table(duke):
    assert len(duke.case_ids) == len(set(duke.patient_ids)) == 617
    assert count_events(duke, "ER") == {"0": 158, "1": 459}
    assert count_events(duke, "PR") == {"0": 221, "1": 396}
    assert count_events(duke, "HER2") == {"0": 510, "1": 107}


def test_both_sets_agree_on_the_patients_that_they_share(mama_mia, duke, folders):
    of_duke = {case.rpartition("_")[2]: row for row, case in enumerate(duke.case_ids)}
    shared = [
        (row, of_duke[number])
        for row, case in enumerate(mama_mia.case_ids)
        if case.startswith("DUKE_") and (number := case.rpartition("_")[2]) in of_duke
    ]
    assert len(shared) == 206
    for name in ("ER", "PR", "HER2"):
        one, other = mama_mia.targets[name].cells(), duke.targets[name].cells()
        assert [one[row] for row, _ in shared] == [other[row] for _, row in shared]


def test_the_spacing_of_duke_is_that_of_mama_mia(folders):
    one, other = (geometry(folders[name]) for name in ("mama_mia", "duke"))
    both = [number for number in other if one.get(number, {"center": ""})["center"] == "DUKE"]
    assert len(both) == 206
    for number in both:
        for key in ("spacing_y_mm", "spacing_x_mm"):
            assert float(other[number][key]) == pytest.approx(float(one[number][key]), abs=1e-4)
        assert other[number]["shape_y"] == one[number]["shape_y"]


def test_counts_of_ucsf_pdgm_are_those_of_its_table(folders):
    table = table_of(folders["ucsf_pdgm"])
    assert (len(table.case_ids), len(set(table.patient_ids))) == (501, 495)
    assert count_events(table, "IDH") == {"0": 398, "1": 103}
    assert count_events(table, "MGMT") == {"0": 114, "1": 302}
    assert count_events(table, "codel_1p19q") == {"0": 395, "1": 9}
    assert count_events(table, "Grade") == {"G2": 56, "G3": 43, "G4": 402}
    assert count_events(table, "OS") == {"observed": 250}
    with (folders["ucsf_pdgm"] / "not_understood.csv").open() as file:
        report = Counter(row["biomarker"] for row in csv.DictReader(file))
    assert report == {"MGMT": 5, "codel_1p19q": 6, "OS": 250}


def test_second_exams_of_ucsf_pdgm_agree_with_the_first(folders):
    table = table_of(folders["ucsf_pdgm"])
    by_patient = {}
    for row, patient in enumerate(table.patient_ids):
        by_patient.setdefault(patient, []).append(row)
    pairs = [rows for rows in by_patient.values() if len(rows) == 2]
    assert len(pairs) == 6
    for target in table.targets.values():
        cells = target.cells()
        assert all(cells[first] == cells[second] for first, second in pairs)


@pytest.fixture(scope="module")
def ispy2(real_data, tmp_path_factory):
    source = real_data / "breastdcedl_ispy2"
    if not source.is_dir():
        pytest.skip(f"needs BreastDCEDL's table of I-SPY2 in {source.name} there")
    raw_folder = tmp_path_factory.mktemp("ispy2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_raw", str(raw_folder))
        main(["ispy2", str(source), "-d", "514", "--targets-only"])
    return table_of(raw_folder / "Dataset514_ISPY2")


def test_counts_of_ispy2_are_those_of_its_table(ispy2):
    assert len(ispy2.case_ids) == len(set(ispy2.patient_ids)) == 982
    assert count_events(ispy2, "HR") == {"0": 446, "1": 536}
    assert count_events(ispy2, "HER2") == {"0": 740, "1": 242}
    assert count_events(ispy2, "pCR") == {"0": 666, "1": 316}


def test_ispy2_and_mama_mia_agree_on_the_patients_that_they_share(ispy2, mama_mia):
    of_mama_mia = {case: row for row, case in enumerate(mama_mia.case_ids)}
    shared = [
        (row, of_mama_mia[name])
        for row, case in enumerate(ispy2.case_ids)
        if (name := f"ISPY2_{case.rpartition('-')[2]}") in of_mama_mia
    ]
    assert len(shared) == 980
    for name in ("HR", "HER2", "pCR"):
        one, other = ispy2.targets[name].cells(), mama_mia.targets[name].cells()
        assert [one[row] for row, _ in shared] == [other[row] for _, row in shared]
