"""The cohort's fingerprint as it is read from images."""

import json
import tracemalloc

import numpy as np
import pytest
import SimpleITK

from nnmtl.cohort.declaration import Declaration
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.fingerprint import extract_fingerprint, read_facts

DECLARATION = Declaration(tumor_labels=(1,))
HEADER = {
    "channel_names": {"0": "pre"},
    "labels": {"background": 0, "tumor": 1},
    "file_ending": ".nii.gz",
    "nnmtl": {"schema": 1, "tumor_labels": [1], "biomarkers": [], "covariates": []},
}


def write_image(array, path, spacing_mm=(1.0, 1.0, 2.0)):
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing_mm)
    SimpleITK.WriteImage(image, str(path))
    return str(path)


def raw_dataset(folder, sizes):
    """Cases of these sizes, all voxels 1 within an empty margin of 2, with one tumor voxel."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(HEADER | {"numTraining": len(sizes)}))
    dataset = {}
    for index, size in enumerate(sizes):
        image, label_map = np.zeros(size, np.float32), np.zeros(size, np.uint8)
        image[tuple(slice(2, -2) if edge > 4 else slice(None) for edge in size)] = 1
        label_map[tuple(edge // 2 for edge in size)] = 1
        case = f"case_{index:03d}"
        dataset[case] = {
            "images": [write_image(image, folder / "imagesTr" / f"{case}_0000.nii.gz")],
            "label": write_image(label_map, folder / "labelsTr" / f"{case}.nii.gz"),
        }
    return dataset


def shapes_of(dataset, sizes):
    return dict(zip(dataset, sizes, strict=True))


def test_memory_does_not_grow_with_the_number_of_cases(tmp_path):
    sizes = [(64, 64, 64)] * 16
    dataset = raw_dataset(tmp_path, sizes)
    shapes, peaks = shapes_of(dataset, sizes), []
    for count in (2, 16):
        some = dict(list(dataset.items())[:count])
        tracemalloc.start()
        read_facts(tmp_path, DECLARATION, some, shapes)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 64**3  # not one label map more


def test_one_slice_among_volumes_is_refused(tmp_path):
    sizes = [(8, 8, 8), (1, 8, 8)]
    dataset = raw_dataset(tmp_path, sizes)
    with pytest.raises(NnmtlError, match="expected all cases to be 2D or all to be 3D"):
        read_facts(tmp_path, DECLARATION, dataset, shapes_of(dataset, sizes))


def test_a_fingerprint_tells_per_center_what_nnunet_crops(tmp_path, monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        monkeypatch.setattr(
            f"nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor.{variable}",
            str(tmp_path / variable),
        )
    raw = tmp_path / "nnUNet_raw" / "Dataset001_A"
    raw_dataset(raw, [(10, 12, 14), (16, 12, 14), (20, 12, 14)])
    rows = "case_000,p0,A\ncase_001,p1,B\ncase_002,p2,A\n"
    (raw / "targets.csv").write_text(f"case_id,patient_id,center\n{rows}")
    monkeypatch.setattr(
        "nnunetv2.utilities.dataset_name_id_conversion.nnUNet_raw", str(tmp_path / "nnUNet_raw")
    )
    extract_fingerprint("Dataset001_A", num_processes=1)
    path = tmp_path / "nnUNet_preprocessed" / "Dataset001_A" / "nnmtl_fingerprint.json"
    centers = json.loads(path.read_text())["centers"]
    assert centers["A"]["shape"]["p50"] == [15, 12, 14]
    assert centers["A"]["shape_after_crop"]["p50"] == [11, 8, 10]
    assert centers["A"]["field_of_view_after_crop_mm"]["p50"] == [22, 8, 10]
    assert centers["B"]["shape_after_crop"]["p50"] == [12, 8, 10]
    assert centers["A"]["num_lesions"]["p95"] == 1
