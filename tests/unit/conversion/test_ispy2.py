"""The converter of I-SPY2 as BreastDCEDL, on an invented imitation of its tree."""

import nibabel
import numpy as np
import pytest

from nnmtl.cohort.image_file import read_array, read_header
from nnmtl.errors import NnmtlError

COLUMNS = ("pid", "n_xy", "n_z", "slice_space", "xy_spacing", "age", "pCR", "HR", "HER2pos")
ROWS = [
    ("ACRIN-6698-1", "6", "4", "2.0", "0.7", "44.0", "0", "0", "1"),
    ("ISPY2-2", "6", "4", "2.5", "0.6", "", "1", "1", "0"),
]

UNTOLD = np.eye(4)


@pytest.fixture
def ispy2(tree):
    tree.write_table("metadata_spy2_vis1_for_modeling.csv", COLUMNS, *ROWS)
    return tree


@pytest.fixture
def voxels():
    """(slice, row, column), as the published files have their axes."""
    return np.arange(4 * 6 * 6, dtype=np.int16).reshape(4, 6, 6)


def write(path, voxels, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


def add_images(source, voxels, *, image="dce", mask="mask", affine=UNTOLD):
    for case in (row[0] for row in ROWS):
        for phase in range(3):
            name = f"{case}_spy2_vis1_dce_aqc_{phase}.nii.gz"
            write(source.folder / image.replace("{case}", case) / name, voxels, affine)
        tumor = (voxels == 50).astype(np.int32)
        name = f"{case}_spy2_vis1_mask.nii.gz"
        write(source.folder / mask.replace("{case}", case) / name, tumor, affine)


def test_targets_are_those_of_the_table(ispy2):
    made = ispy2.convert("ispy2", "--targets-only")
    assert made.cells("HR") == {"ACRIN-6698-1": "0", "ISPY2-2": "1"}
    assert made.cells("HER2") == {"ACRIN-6698-1": "1", "ISPY2-2": "0"}
    assert made.cells("pCR") == {"ACRIN-6698-1": "0", "ISPY2-2": "1"}
    assert {"ER", "PR"}.isdisjoint(made.table.targets)
    assert (made.folder / "geometry.csv").read_text().splitlines()[1].endswith("2,0.7,0.7,4,6,6,")


@pytest.mark.parametrize(
    "places",
    [
        {},
        {"mask": "masks"},
        {"image": "{case}/dce", "mask": "{case}/mask"},
        {"image": "BreastDCEDL_ISPY2/dce", "mask": "BreastDCEDL_ISPY2/mask"},
    ],
)
def test_files_without_a_grid_get_that_of_the_table(ispy2, voxels, places):
    add_images(ispy2, voxels, **places)
    folder = ispy2.convert("ispy2").folder
    for path in ("imagesTr/ISPY2-2_0001.nii.gz", "labelsTr/ISPY2-2.nii.gz"):
        assert read_header(folder / path).spacing_mm == pytest.approx((0.6, 0.6, 2.5))
    assert (read_array(folder / "imagesTr/ISPY2-2_0001.nii.gz") == voxels).all()
    assert (read_array(folder / "labelsTr/ISPY2-2.nii.gz") == (voxels == 50)).all()


def test_files_with_a_grid_are_kept(ispy2, voxels):
    add_images(ispy2, voxels, affine=np.diag([2.0, 0.7, 0.7, 1]))
    folder = ispy2.convert("ispy2").folder
    assert (folder / "imagesTr/ISPY2-2_0000.nii.gz").is_symlink()


def test_a_size_that_is_not_the_tables_is_refused(ispy2, voxels):
    add_images(ispy2, voxels[:3])
    with pytest.raises(NnmtlError, match="4 x 6 x 6, as its row in the table says, got 3 x 6 x 6"):
        ispy2.convert("ispy2")


def test_a_spacing_that_neither_file_nor_table_tells_is_refused(ispy2, voxels):
    add_images(ispy2, voxels)
    path = ispy2.folder / "metadata_spy2_vis1_for_modeling.csv"
    path.write_text(path.read_text().replace("0.6", ""))
    with pytest.raises(NnmtlError, match=r"row 3: expected slice_space and xy_spacing .* ISPY2-2"):
        ispy2.convert("ispy2")


def test_a_source_without_images_says_what_was_expected(ispy2):
    with pytest.raises(NnmtlError, match=r"expected dce in .* give --targets-only"):
        ispy2.convert("ispy2")
