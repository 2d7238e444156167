"""The converters of UCSF-PDGM and UPENN-GBM, on invented imitations of their trees."""

import pytest

from nnmtl.cohort.raw_dataset import check_raw_dataset
from nnmtl.errors import NnmtlError

UCSF_COLUMNS = ("ID", "Age at MRI", "WHO CNS Grade", "MGMT status", "1p/19q", "IDH")
UCSF_COLUMNS += ("1-dead 0-alive", "OS")
UCSF = [
    ("UCSF-PDGM-004", "66", "4", "negative", "", "wildtype", "1", "1303"),
    ("UCSF-PDGM-433", "40", "3", "indeterminate", "relative co-deletion", "IDH1 p.R132H", "0", "9"),
    ("UCSF-PDGM-433_FU007d", "40", "3", "positive", "Co-deletion", "mutated (NOS)", "1", ""),
]
UPENN_COLUMNS = ("ID", "Age_at_scan_years", "Survival_from_surgery_days_UPDATED")
UPENN_COLUMNS += ("Survival_Status", "IDH1", "MGMT")
DECEASED, UNCERTAIN = "Deceased", "Deceased - uncertain date of death"
UPENN = [
    ("UPENN-GBM-00001_11", "50.1", "400", DECEASED, "Wildtype", "Methylated"),
    ("UPENN-GBM-00001_21", "51.2", "30", DECEASED, "Wildtype", "Methylated"),
    ("UPENN-GBM-00002_11", "60", "Not Available", "Alive", "Mutated", "Indeterminate"),
    ("UPENN-GBM-00003_11", "70", "Not Available", UNCERTAIN, "NOS/NEC", "Not Available"),
]
BRATS_VALUES = (1, 2, 4)


@pytest.fixture
def ucsf(tree):
    tree.write_table("UCSF-PDGM-metadata_v5.csv", UCSF_COLUMNS, *UCSF)
    for case in ("UCSF-PDGM-0004", "UCSF-PDGM-0433", "UCSF-PDGM-0433_FU007d"):
        path = f"UCSF-PDGM-v5/{case}_nifti/{case}_{{}}.nii.gz"
        tree.write_images(path, "T1", "T1c", "T2", "FLAIR")
        tree.write_mask(path.replace("{}", "tumor_segmentation"), *BRATS_VALUES)
    return tree


@pytest.fixture
def upenn(tree):
    tree.write_table("UPENN-GBM_clinical_info_v2.1.csv", UPENN_COLUMNS, *UPENN)
    for case in (row[0] for row in UPENN):
        path = f"NIfTI-files/images_structural/{case}/{case}_{{}}.nii.gz"
        tree.write_images(path, "T1", "T1GD", "T2", "FLAIR")
    for number in (1, 2):
        name = f"automated_segm/UPENN-GBM-0000{number}_11_automated_approx_segm.nii.gz"
        tree.write_mask(f"NIfTI-files/{name}", 1)
    tree.write_mask("NIfTI-files/images_segm/UPENN-GBM-00001_11_segm.nii.gz", *BRATS_VALUES)
    return tree


def test_codes_of_ucsf_become_targets_and_what_they_leave_open_is_listed(ucsf):
    made = ucsf.convert("ucsf_pdgm", "--targets-only")
    assert list(made.cells("IDH").values()) == ["0", "1", "1"]
    assert list(made.cells("MGMT").values()) == ["0", "", "1"]
    assert list(made.cells("codel_1p19q").values()) == ["", "", "1"]
    assert list(made.cells("Grade").values()) == ["G4", "G3", "G3"]
    assert list(made.cells("OS").values()) == ["1303", "", ""]
    second = "UCSF-PDGM-0433"
    assert made.unread() == {(second, "MGMT"), (second, "codel_1p19q"), (second, "OS")}


def test_a_second_exam_of_ucsf_is_the_same_patient(ucsf):
    table = ucsf.convert("ucsf_pdgm", "--targets-only").table
    assert table.case_ids == ("UCSF-PDGM-0004", "UCSF-PDGM-0433", "UCSF-PDGM-0433_FU007d")
    assert table.patient_ids == ("UCSF-PDGM-0004", "UCSF-PDGM-0433", "UCSF-PDGM-0433")


def test_an_old_number_of_a_second_exam_is_the_same_patient(tree):
    row = UCSF[1]
    tree.write_table("UCSF-PDGM-metadata_v2.csv", UCSF_COLUMNS, row, ("UCSF-PDGM-315", *row[1:]))
    assert set(tree.convert("ucsf_pdgm", "--targets-only").table.patient_ids) == {"UCSF-PDGM-0433"}


def test_labels_of_ucsf_become_consecutive_and_all_are_tumor(ucsf):
    made = ucsf.convert("ucsf_pdgm")
    assert made.labels("UCSF-PDGM-0004") == [1, 2, 3, 0, 0, 0]
    assert made.declaration.tumor_labels == (1, 2, 3)
    assert (made.folder / "imagesTr/UCSF-PDGM-0433_FU007d_0003.nii.gz").is_symlink()
    assert not any("labels:" in finding.message for finding in check_raw_dataset(made.folder))


def test_another_value_in_a_mask_is_named_and_nothing_stays(ucsf):
    path = "UCSF-PDGM-v5/UCSF-PDGM-0433_nifti/UCSF-PDGM-0433_tumor_segmentation.nii.gz"
    ucsf.write_mask(path, 1, 3)
    with pytest.raises(NnmtlError, match=r"0433_tumor.*expected the values 0, 1, 2, 4 .* got 3;"):
        ucsf.convert("ucsf_pdgm")
    assert not list(ucsf.raw_folder.iterdir())


def test_a_misspelled_column_is_suggested(tree):
    columns = [name.replace("MGMT status", "MGMT_status") for name in UCSF_COLUMNS]
    tree.write_table("UCSF-PDGM-metadata_v5.csv", columns, *UCSF)
    with pytest.raises(NnmtlError, match=r"'MGMT status' is missing; did you mean 'MGMT_status'?"):
        tree.convert("ucsf_pdgm", "--targets-only")


def test_an_id_of_another_set_is_refused(tree):
    tree.write_table("UCSF-PDGM-metadata_v5.csv", UCSF_COLUMNS, ("X-1", *UCSF[0][1:]))
    with pytest.raises(NnmtlError, match=r"row 2, column 'ID': expected an exam such as .* 'X-1'"):
        tree.convert("ucsf_pdgm", "--targets-only")


def test_folders_without_images_are_told_where_they_were_looked_for(tree):
    tree.write_table("UCSF-PDGM-metadata_v5.csv", UCSF_COLUMNS, *UCSF)
    with pytest.raises(NnmtlError, match=r"expected UCSF-PDGM-\*_nifti in .*source or up to three"):
        tree.convert("ucsf_pdgm")


def test_a_dry_run_writes_nothing(ucsf):
    with pytest.raises(StopIteration):
        ucsf.convert("ucsf_pdgm", "--dry-run")
    assert not ucsf.raw_folder.exists()


def test_codes_of_upenn_become_targets_and_what_they_leave_open_is_listed(upenn):
    made = upenn.convert("upenn_gbm", "--targets-only")
    assert list(made.cells("IDH").values()) == ["0", "1", ""]
    assert list(made.cells("MGMT").values()) == ["1", "", ""]
    assert list(made.cells("OS").values()) == ["400", "", ""]
    second, third = "UPENN-GBM-00002_11", "UPENN-GBM-00003_11"
    assert made.unread() == {(second, "MGMT"), (second, "OS"), (third, "IDH"), (third, "OS")}


def test_follow_ups_of_upenn_are_left_out(upenn):
    table = upenn.convert("upenn_gbm").table
    assert table.case_ids == tuple(f"UPENN-GBM-0000{number}_11" for number in (1, 2, 3))
    assert table.patient_ids == tuple(f"UPENN-GBM-0000{number}" for number in (1, 2, 3))


@pytest.mark.parametrize(("options", "second"), [((), 1), (("--corrected-masks",), 4)])
def test_a_corrected_mask_goes_before_an_automated_one(upenn, options, second):
    made = upenn.convert("upenn_gbm", *options)
    assert made.labels("UPENN-GBM-00001_11") == [1, 2, 3, 0, 0, 0]
    assert made.labels("UPENN-GBM-00002_11")[0] == second  # 4 is `ignore`: no mask
    assert made.dataset_json["labels"]["ignore"] == 4


@pytest.mark.parametrize("converter", ["ucsf_pdgm", "upenn_gbm"])
def test_a_source_without_the_table_is_refused(tree, converter):
    with pytest.raises(NnmtlError, match=r"SOURCE: expected a folder with U.*_v.*csv"):
        tree.convert(converter, "--targets-only")
