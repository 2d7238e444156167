"""The converter of BraTS folders, on invented imitations of the challenges' trees."""

import pytest
import SimpleITK

from nnmtl.errors import NnmtlError

MODALITIES = ("t1", "t1ce", "t2", "flair")
NEW_MODALITIES = ("t1n", "t1c", "t2w", "t2f")


def add_case(tree, folder, *, values=(1, 2, 4), ending=".nii.gz", mask="seg"):
    """A case as of 2020 and 2021; `folder` ends in its name."""
    path = f"{folder}/{folder.rpartition('/')[2]}_{{}}{ending}"
    tree.write_images(path, *MODALITIES)
    if mask:
        tree.write_mask(path.replace("{}", mask), *values)


def add_new_case(tree, case):
    tree.write_images(f"{case}/{case}-{{}}.nii.gz", *NEW_MODALITIES)
    tree.write_mask(f"{case}/{case}-seg.nii.gz", 1, 2, 3)


@pytest.fixture
def brats_2020(tree):
    for number in (1, 2, 3):
        add_case(tree, f"BraTS20_Training_00{number}", ending=".nii")
    tree.write_table(
        "name_mapping.csv",
        ("Grade", "BraTS_2020_subject_ID"),
        ("HGG", "BraTS20_Training_001"),
        ("LGG", "BraTS20_Training_003"),
    )
    tree.write_table(
        "survival_info.csv",
        ("Brats20ID", "Age", "Survival_days", "Extent_of_Resection"),
        ("BraTS20_Training_001", "60.5", "289", "GTR"),
        ("BraTS20_Training_002", "50", "ALIVE (400 days later)", "NA"),
    )
    return tree


def test_tables_of_2020_fill_grade_survival_and_age(brats_2020):
    made = brats_2020.convert("brats", "--targets-only")
    assert list(made.cells("Grade").values()) == ["HGG", "", "LGG"]
    assert list(made.cells("OS").values()) == ["289", "", ""]
    assert made.unread() == {("BraTS20_Training_002", "OS")}
    assert [entry.name for entry in made.declaration.biomarkers] == ["Grade", "OS"]
    assert made.declaration.biomarkers[0].ordered
    assert made.declaration.covariates == ("age",)


def test_targets_need_tables_only(tree):
    tree.write_table("train_labels.csv", ("BraTS21ID", "MGMT_value"), ("00000", "1"), ("2", "0"))
    made = tree.convert("brats", "--targets-only")
    assert made.cells("MGMT") == {"BraTS2021_00000": "1", "BraTS2021_00002": "0"}


def test_images_that_are_not_packed_are_packed(brats_2020):
    made = brats_2020.convert("brats")
    packed = made.folder / "imagesTr" / "BraTS20_Training_001_0001.nii.gz"
    plain = brats_2020.folder / "BraTS20_Training_001" / "BraTS20_Training_001_t1ce.nii"
    one, other = (SimpleITK.ReadImage(str(path)) for path in (packed, plain))
    assert packed.read_bytes()[:2] == b"\x1f\x8b"
    assert (SimpleITK.GetArrayFromImage(one) == SimpleITK.GetArrayFromImage(other)).all()
    assert made.labels("BraTS20_Training_001") == [1, 2, 3, 0, 0, 0]


def test_the_mask_of_another_name_is_taken(tree):
    add_case(tree, "BraTS20_Training_355", mask="")
    tree.write_mask("BraTS20_Training_355/W39_1998.09.19_Segm.nii.gz", 1, 2, 4)
    assert tree.convert("brats").labels("BraTS20_Training_355") == [1, 2, 3, 0, 0, 0]


def test_a_grade_that_is_none_names_case_and_table(brats_2020):
    path = brats_2020.folder / "name_mapping.csv"
    path.write_text(path.read_text().replace("LGG", "LG"))
    with pytest.raises(NnmtlError, match=r"'Grade of BraTS20_Training_003 in name_mapping.csv'"):
        brats_2020.convert("brats", "--targets-only")


def test_cases_of_2021_lie_in_folders_of_sources_and_validation_has_no_mask(tree):
    add_case(tree, "BraTS2021_TrainingSet/UPENN-GBM/BraTS2021_00000")
    add_case(tree, "BraTS2021_ValidationSet/CPTAC-GBM/BraTS2021_00001", mask="")
    tree.write_table("train_labels.csv", ("BraTS21ID", "MGMT_value"), ("00000", "1"), ("1", "0"))
    made = tree.convert("brats")
    assert made.cells("MGMT") == {"BraTS2021_00000": "1", "BraTS2021_00001": "0"}
    assert made.labels("BraTS2021_00000") == [1, 2, 3, 0, 0, 0]
    assert set(made.labels("BraTS2021_00001")) == {made.dataset_json["labels"]["ignore"]}


def test_the_crosswalk_of_2021_tells_center_and_mgmt(tree):
    openpyxl = pytest.importorskip("openpyxl")
    add_case(tree, "BraTS2021_00000")
    add_case(tree, "BraTS2021_00002")
    book = openpyxl.Workbook()
    book.active.append(["Site ID", "BraTS2021 ID", "MGMT value"])
    book.active.append([18.0, "BraTS2021_00000", 1])
    book.save(tree.folder / "BraTS2021_MappingToTCIA.xlsx")
    made = tree.convert("brats")
    assert made.table.centers == ("18", "BraTS")
    assert list(made.cells("MGMT").values()) == ["1", ""]


def test_time_points_of_2023_are_one_patient_and_labels_stay(tree):
    for case in ("BraTS-GLI-00008-000", "BraTS-GLI-00008-001", "BraTS-GLI-00009-000"):
        add_new_case(tree, case)
    made = tree.convert("brats")
    assert made.table.patient_ids == ("BraTS-GLI-00008", "BraTS-GLI-00008", "BraTS-GLI-00009")
    assert made.labels("BraTS-GLI-00008-001") == [1, 2, 3, 0, 0, 0]
    assert (made.folder / "labelsTr" / "BraTS-GLI-00008-001.nii.gz").is_symlink()
    assert made.declaration.biomarkers == ()


def test_two_challenges_in_one_folder_are_refused(tree):
    add_case(tree, "BraTS2021_00000")
    add_new_case(tree, "BraTS-GLI-00008-000")
    with pytest.raises(NnmtlError, match="got BraTS-GLI-00008-000 and BraTS2021_00000; name"):
        tree.convert("brats")


def test_a_case_that_stands_twice_is_refused(tree):
    add_case(tree, "one/BraTS2021_00000")
    add_case(tree, "other/BraTS2021_00000")
    with pytest.raises(NnmtlError, match=r"other/BraTS2021_00000: expected each case once"):
        tree.convert("brats")


def test_a_folder_without_cases_says_what_was_expected(tree):
    with pytest.raises(NnmtlError, match=r"source: expected cases of one challenge.* got none"):
        tree.convert("brats")


def test_a_channel_that_is_absent_is_named(tree):
    add_case(tree, "BraTS2021_00000")
    (tree.folder / "BraTS2021_00000" / "BraTS2021_00000_t2.nii.gz").unlink()
    with pytest.raises(NnmtlError, match=r"expected the image .*BraTS2021_00000_t2.nii.gz"):
        tree.convert("brats")


def test_a_table_that_has_a_case_twice_is_refused(tree):
    rows = [("0", "1"), ("00000", "0")]
    tree.write_table("train_labels.csv", ("BraTS21ID", "MGMT_value"), *rows)
    with pytest.raises(NnmtlError, match=r"row 3, column 'BraTS21ID': expected each case once"):
        tree.convert("brats", "--targets-only")
