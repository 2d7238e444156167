"""The converters of public sets, on invented imitations of their tables and folders."""

import csv
import json

import pytest
import SimpleITK

from nnmtl.cli.convert import main
from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.raw_dataset import read_raw_dataset
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError

MAMA_MIA = [
    # patient_id, dataset, site, hr, er, pr, her2, pcr, age
    ("ISPY2_1", "ISPY2", "AAX", "0.0", "", "", "0.0", "1.0", "44.0"),
    ("ISPY2_2", "ISPY2", "AAY", "1.0", "", "", "1.0", "0.0", ""),
    ("DUKE_1", "DUKE", "DUKE", "1.0", "1.0", "0.0", "", "", "61.0"),
    ("NACT_1", "NACT", "NACT", "", "", "", "0.0", "0.0", "50.0"),
]
MAMA_MIA_COLUMNS = ("patient_id", "dataset", "site", "hr", "er", "pr", "her2", "pcr", "age")
GRID = {
    "view": "axial",
    "num_slices": "80.0",
    "image_rows": "512.0",
    "image_columns": "256.0",
    "pixel_spacing": "[0.7, 0.6]",
    "slice_thickness": "2.0",
}
DUKE_COLUMNS = ["Patient ID", "FOV Computed (Field of View) in cm ", "Rows", "Columns"]
DUKE_COLUMNS += ["Date of Birth (Days)", "ER", "PR", "HER2", "Shape", "Shape"]
DUKE = [
    ["Breast_MRI_901", 15, 1, 1, -14610, 0, 0, 1, 3, None],
    ["Breast_MRI_902", 9, 2, 2, "NA", 1, 0, 2, None, 1],
]


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def mama_mia(source):
    rows = [dict(zip(MAMA_MIA_COLUMNS, row, strict=True)) | GRID for row in MAMA_MIA]
    with (source / "clinical_and_imaging_info.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return source


@pytest.fixture
def duke(source):
    lines = [DUKE_COLUMNS, *[["" if cell is None else cell for cell in row] for row in DUKE]]
    with (source / "clinical.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return source


def convert(name, source, *options):
    main([name, str(source), "-d", "5", *options])
    (folder,) = (source.parent / "raw").glob("Dataset005_*")
    return folder


def cells(folder, biomarker):
    declaration = parse_declaration(json.loads((folder / "dataset.json").read_text()))
    table = read_targets(folder / "targets.csv", declaration)
    return dict(zip(table.case_ids, table.targets[biomarker].cells(), strict=True))


def geometry(folder):
    with (folder / "geometry.csv").open() as file:
        return {row["case_id"]: row for row in csv.DictReader(file)}


def test_negative_hormone_receptors_of_ispy2_make_er_and_pr_negative(mama_mia):
    folder = convert("mama_mia", mama_mia, "--targets-only")
    assert cells(folder, "ER") == {"DUKE_1": "1", "ISPY2_1": "0", "ISPY2_2": "", "NACT_1": ""}
    assert cells(folder, "PR") == {"DUKE_1": "0", "ISPY2_1": "0", "ISPY2_2": "", "NACT_1": ""}
    assert cells(folder, "HR") == {"DUKE_1": "1", "ISPY2_1": "0", "ISPY2_2": "1", "NACT_1": ""}
    assert cells(folder, "HER2") == {"DUKE_1": "", "ISPY2_1": "0", "ISPY2_2": "1", "NACT_1": "0"}


def test_what_positive_hormone_receptors_leave_open_is_reported(mama_mia):
    report = (convert("mama_mia", mama_mia, "--targets-only") / "not_understood.csv").read_text()
    assert report.count("\n") == 3
    assert report.count("ISPY2_2,3,") == 2


def test_the_grid_of_mama_mia_is_that_of_its_columns(mama_mia):
    row = geometry(convert("mama_mia", mama_mia, "--targets-only"))["ISPY2_1"]
    assert [row[f"spacing_{axis}_mm"] for axis in "zyx"] == ["2", "0.7", "0.6"]
    assert [row[f"shape_{axis}"] for axis in "zyx"] == ["80", "512", "256"]
    assert (row["center"], row["view"]) == ("ISPY2", "axial")


def test_the_center_of_mama_mia_may_be_the_site(mama_mia):
    folder = convert("mama_mia", mama_mia, "--targets-only", "--center", "site")
    assert {row["center"] for row in geometry(folder).values()} == {"AAX", "AAY", "DUKE", "NACT"}


def test_images_and_masks_of_mama_mia_are_found(mama_mia):
    image = SimpleITK.Image([8, 6, 4], SimpleITK.sitkInt16) + 1
    image[2, 2, 2] = 5
    for case in (row[0] for row in MAMA_MIA):
        (mama_mia / "images" / case).mkdir(parents=True)
        (mama_mia / "segmentations" / "expert").mkdir(parents=True, exist_ok=True)
        for phase in range(3):
            path = mama_mia / "images" / case / f"{case}_{phase:04d}.nii.gz"
            SimpleITK.WriteImage(image, str(path))
        mask = SimpleITK.Cast(image > 4, SimpleITK.sitkUInt8)
        SimpleITK.WriteImage(mask, str(mama_mia / "segmentations" / "expert" / f"{case}.nii.gz"))
    folder = convert("mama_mia", mama_mia)
    phase = (folder / "imagesTr" / "NACT_1_0001.nii.gz").resolve()
    assert phase == (mama_mia / "images" / "NACT_1" / "NACT_1_0001.nii.gz").resolve()
    assert len(list((folder / "imagesTr").iterdir())) == 8
    assert len(list((folder / "labelsTr").iterdir())) == 4
    dataset = read_raw_dataset(folder)
    assert dataset.dataset_json["numTraining"] == 4
    assert not dataset.declaration.missing_channels


def test_a_spreadsheet_of_mama_mia_gives_the_same(mama_mia):
    openpyxl = pytest.importorskip("openpyxl")
    first = (convert("mama_mia", mama_mia, "--targets-only") / "targets.csv").read_bytes()
    path = mama_mia / "clinical_and_imaging_info.csv"
    book = openpyxl.Workbook()
    for line in csv.reader(path.read_text().splitlines()):
        book.active.append([float(c) if c.replace(".", "").isdigit() else c or None for c in line])
    book.save(path.with_suffix(".xlsx"))
    path.unlink()
    main(["mama_mia", str(mama_mia), "-d", "6", "--name", "Sheet", "--targets-only"])
    assert (mama_mia.parent / "raw/Dataset006_Sheet/targets.csv").read_bytes() == first


def test_a_borderline_her2_of_duke_is_not_observed(duke):
    folder = convert("duke", duke, "--targets-only")
    assert cells(folder, "HER2") == {"Breast_MRI_901": "1", "Breast_MRI_902": ""}
    assert cells(folder, "ER") == {"Breast_MRI_901": "0", "Breast_MRI_902": "1"}
    ages = [line.rpartition(",")[2] for line in (folder / "targets.csv").read_text().split()[1:]]
    assert float(ages[0]) == pytest.approx(40, abs=1e-6)
    assert ages[1] == ""


def test_codes_of_duke_become_mm_and_pixels(duke):
    row = geometry(convert("duke", duke, "--targets-only"))["Breast_MRI_901"]
    assert float(row["spacing_y_mm"]) == pytest.approx(360 / 448)
    assert (row["shape_y"], row["shape_x"], row["spacing_z_mm"], row["shape_z"]) == (
        *("448", "448"),
        *("", ""),
    )


def test_the_sheet_of_duke_has_lines_of_groups_and_codes(duke):
    openpyxl = pytest.importorskip("openpyxl")
    first = (convert("duke", duke, "--targets-only") / "targets.csv").read_bytes()
    book = openpyxl.Workbook()
    book.active.append(["Patient Information", "MRI", *[None] * 8])
    book.active.append(DUKE_COLUMNS)
    book.active.append(
        [None, "250=0,...", "320=0", "320=0", None, "{0 = neg,\n1 = pos}", *[None] * 4]
    )
    for row in DUKE:
        book.active.append(row)
    book.save(duke / "Clinical_and_Other_Features.xlsx")
    main(["duke", str(duke), "-d", "6", "--name", "Sheet", "--targets-only"])
    assert (duke.parent / "raw/Dataset006_Sheet/targets.csv").read_bytes() == first


def test_a_code_that_is_not_published_is_named(duke):
    path = duke / "clinical.csv"
    path.write_text(path.read_text().replace("902,9,2,2", "902,9,3,2"))
    with pytest.raises(
        NnmtlError, match=r"row 3, column 'Rows': expected a published code .* got '3'"
    ):
        convert("duke", duke, "--targets-only")


def test_the_images_of_duke_are_another_converters(duke):
    with pytest.raises(NnmtlError, match="images of this collection are DICOM"):
        convert("duke", duke)


@pytest.mark.parametrize("name", ["mama_mia", "duke"])
def test_a_source_without_the_table_is_refused(source, name):
    with pytest.raises(NnmtlError, match=r"expected a folder with Clinical|a folder with clinical"):
        convert(name, source, "--targets-only")
