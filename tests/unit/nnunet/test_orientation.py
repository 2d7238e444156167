"""Images of several centers are turned alike; of one, or all axial, they stay as they are."""

import json
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK

from nnmtl.nnunet.fingerprint import extract_fingerprint
from nnmtl.nnunet.orientation import need_reorienting

AXIAL = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
FLIPPED = ((-1, 0, 0), (0, -1, 0), (0, 0, 1))
SAGITTAL = ((0, 0, 1), (1, 0, 0), (0, -1, 0))
CORONAL = ((1, 0, 0), (0, 0, 1), (0, -1, 0))


@pytest.fixture
def write(tmp_path):
    def image(direction, name="one"):
        written = SimpleITK.Image(4, 5, 6, SimpleITK.sitkUInt8)
        written.SetDirection(np.array(direction, dtype=float).ravel().tolist())
        SimpleITK.WriteImage(written, str(tmp_path / f"{name}.nii.gz"))
        return tmp_path / f"{name}.nii.gz"

    return image


def turned(direction, degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) @ np.array(direction)


@pytest.mark.parametrize("direction", [AXIAL, FLIPPED, turned(AXIAL, 20)])
def test_axial_slices_stay(direction, write):
    assert not need_reorienting([write(AXIAL), write(direction, "other")])


@pytest.mark.parametrize("direction", [SAGITTAL, CORONAL, turned(SAGITTAL, 20)])
def test_one_image_in_other_slices_is_enough(direction, write):
    assert need_reorienting([write(AXIAL), write(direction, "other")])


def test_a_file_that_has_no_orientation_is_left_alone(tmp_path):
    (tmp_path / "photo.png").touch()
    assert not need_reorienting([tmp_path / "photo.png"])


@pytest.fixture
def fingerprint_of(tmp_path, monkeypatch):
    """Extracts the fingerprint of an axial case and its sagittal copy, in these two centers."""
    extractor = "nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor"
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        monkeypatch.setattr(f"{extractor}.{variable}", str(tmp_path / variable))
    # Spawned workers take longer to start than to work.
    context = SimpleNamespace(Pool=ThreadPool)
    monkeypatch.setattr(
        f"{extractor}.multiprocessing", SimpleNamespace(get_context=lambda _: context)
    )
    monkeypatch.setattr(
        "nnunetv2.utilities.dataset_name_id_conversion.nnUNet_raw", str(tmp_path / "nnUNet_raw")
    )
    raw = tmp_path / "nnUNet_raw" / "Dataset001_A"
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    array = np.zeros((8, 12, 16), np.uint8)  # slices from foot to head, 3 mm apart
    array[2:4, 5:8, 6:10] = 1
    axial = SimpleITK.GetImageFromArray(array)
    axial.SetSpacing((0.8, 1.0, 3.0))
    for case, image in (("a", axial), ("s", SimpleITK.DICOMOrient(axial, "PSL"))):
        SimpleITK.WriteImage(image, str(raw / "labelsTr" / f"{case}.nii.gz"))
        ones = SimpleITK.Cast(image, SimpleITK.sitkFloat32) + 1
        SimpleITK.WriteImage(ones, str(raw / "imagesTr" / f"{case}_0000.nii.gz"))

    def extract(centers, **dataset_json):
        content = {
            "channel_names": {"0": "pre"},
            "labels": {"background": 0, "tumor": 1},
            "file_ending": ".nii.gz",
            "numTraining": 2,
            "nnmtl": {"schema": 1, "tumor_labels": [1], "biomarkers": [], "covariates": []},
        }
        (raw / "dataset.json").write_text(json.dumps(content | dataset_json))
        rows = "".join(
            f"{case},{case},{center}\n" for case, center in zip("as", centers, strict=True)
        )
        (raw / "targets.csv").write_text(f"case_id,patient_id,center\n{rows}")
        extract_fingerprint("Dataset001_A", num_processes=1)
        folder = tmp_path / "nnUNet_preprocessed" / "Dataset001_A"
        return json.loads((folder / "nnmtl_fingerprint.json").read_text())

    return extract


def test_sagittal_and_axial_centers_are_measured_along_the_same_axes(fingerprint_of):
    facts = fingerprint_of("NS")
    assert facts["reoriented"] is True
    for name in ("N", "S"):
        center = facts["centers"][name]
        assert center["spacing_mm"]["p50"] == pytest.approx([3.0, 1.0, 0.8])
        assert center["shape"]["p50"] == [8, 12, 16]
        assert center["tumor_extent_mm"]["p50"] == pytest.approx([6.0, 3.0, 3.2])


@pytest.mark.parametrize(
    ("centers", "told"),
    [("NN", {}), ("NS", {"overwrite_image_reader_writer": "SimpleITKIO"})],
    ids=["one center", "a reader is named"],
)
def test_otherwise_axes_are_as_nnunet_reads_them(centers, told, fingerprint_of):
    facts = fingerprint_of(centers, **told)
    assert facts["reoriented"] is False
    assert facts["overall"]["spacing_mm"]["p50"] != pytest.approx([3.0, 1.0, 0.8])
