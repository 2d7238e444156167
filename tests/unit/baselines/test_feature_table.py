"""Measured features are kept, reused only for the same files, and equal whoever measures them."""

import os

import numpy as np
import pytest

from nnmtl.baselines import feature_table
from nnmtl.baselines.feature_table import CaseFiles, feature_array, feature_names, measure_cases
from nnmtl.errors import NnmtlError


def files_of(dataset, numbers, folder="labelsTr"):
    return [
        CaseFiles(
            case_id=f"case_{number:02d}",
            images=(dataset / "imagesTr" / f"case_{number:02d}_0000.nii.gz",),
            label_map=dataset / folder / f"case_{number:02d}.nii.gz",
            tumor_labels=(1,),
        )
        for number in numbers
    ]


@pytest.fixture
def measured(monkeypatch):
    """The cases that were measured rather than read."""
    seen = []
    measure = feature_table.measure_case

    def noting(case, kind):
        seen.append(case.case_id)
        return measure(case, kind)

    monkeypatch.setattr(feature_table, "measure_case", noting)
    return seen


def test_kept_features_are_read_back_exactly_and_not_measured_again(dataset, tmp_path, measured):
    kept = tmp_path / "features_region.csv"
    first = measure_cases(files_of(dataset, range(3)), "region", kept=kept)
    again = measure_cases(files_of(dataset, range(4)), "region", kept=kept)
    assert measured == ["case_00", "case_01", "case_02", "case_03"]
    assert all(again[case_id] == first[case_id] for case_id in first)
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


def test_other_masks_and_changed_files_are_measured_anew(dataset, tmp_path, measured):
    kept = tmp_path / "features_volume.csv"
    ours, others = files_of(dataset, [0]), files_of(dataset, [0], "../predicted")
    measure_cases(ours, "volume", kept=kept)
    measure_cases(others, "volume", kept=kept)
    assert len(measured) == 2
    stat = ours[0].label_map.stat()
    os.utime(ours[0].label_map, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
    measure_cases([*ours], "volume", kept=kept)
    measure_cases([*others], "volume", kept=kept)
    assert len(measured) == 3


def test_what_was_measured_before_a_failure_is_kept(dataset, tmp_path, monkeypatch, measured):
    monkeypatch.setattr(feature_table, "CASES_PER_WRITE", 2)
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    *good, last = files_of(dataset, range(3))
    last = CaseFiles(case_id=last.case_id, images=last.images, label_map=broken, tumor_labels=(1,))
    kept = tmp_path / "features_volume.csv"
    with pytest.raises(NnmtlError, match="readable"):
        measure_cases([*good, last], "volume", kept=kept)
    measure_cases(good, "volume", kept=kept)
    assert measured == ["case_00", "case_01", "case_02"]


def test_an_empty_mask_has_no_features_also_when_read_back(dataset, tmp_path):
    last = CaseFiles(
        case_id="case_37",
        images=(dataset / "imagesTs" / "case_37_0000.nii.gz",),
        label_map=dataset.parent / "predicted" / "case_37.nii.gz",
        tumor_labels=(1,),
    )
    for _ in range(2):
        rows = measure_cases([last], "region", kept=tmp_path / "features.csv")
        assert rows == {"case_37": {}}


def test_workers_do_not_change_a_number(dataset, tmp_path):
    cases = files_of(dataset, range(4))
    alone = measure_cases(cases, "region", kept=tmp_path / "alone.csv")
    together = measure_cases(cases, "region", kept=tmp_path / "together.csv", workers=2)
    assert alone == together
    assert (tmp_path / "alone.csv").read_bytes() == (tmp_path / "together.csv").read_bytes()


def test_a_missing_label_map_and_another_grid_are_named(dataset, tmp_path):
    (case,) = files_of(dataset, [0], "nowhere")
    with pytest.raises(NnmtlError, match=r"case_00.nii.gz: expected a file of the case 'case_00'"):
        measure_cases([case], "volume", kept=tmp_path / "features.csv")
    feature_write(dataset, tmp_path / "case_00.nii.gz")
    (case,) = files_of(dataset, [0], tmp_path)
    with pytest.raises(NnmtlError, match="expected the grid of"):
        measure_cases([case], "volume", kept=tmp_path / "features.csv")


def feature_write(dataset, path):
    """The label map of a case on half its grid."""
    import SimpleITK

    image = SimpleITK.ReadImage(str(dataset / "labelsTr" / "case_00.nii.gz"))
    SimpleITK.WriteImage(image[:, :, :7], str(path))


def test_absent_and_infinite_features_become_nan():
    rows = [{"a": 1.0, "b": np.inf}, {"b": 2.0}]
    table = feature_array(rows, feature_names(rows))
    np.testing.assert_array_equal(table, [[1, np.nan], [np.nan, 2]])
