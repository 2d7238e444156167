import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._dicom_rtstruct import read_roi_label_map
from nnmtl.errors import NnmtlError

SQUARE = [(1.5, 1.5), (5.5, 1.5), (5.5, 4.5), (1.5, 4.5)]  # 4 voxels along a row, 3 down


@pytest.fixture
def exam(dicom):
    directions = Rotation.random(random_state=5).as_matrix()
    return dicom.default_exam(phases=2, shape=(6, 7, 9), directions=directions)


def squares(dicom, exam, slices, **given):
    return [dicom.contour(exam.affine, SQUARE, z, **given) for z in slices]


def label_map(dicom, dataset, exam):
    return dicom.values_at(dataset.label_map(), exam)


@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 10**6))
def test_an_ellipsoid_in_any_orientation_has_its_volume_and_place(dicom, tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    spacing, size = rng.uniform((0.6, 0.6, 0.8), (1.2, 1.2, 1.6)), np.array([40, 36, 24])
    exam = dicom.Exam(
        np.zeros((1, *size[::-1])),
        directions=Rotation.random(random_state=seed).as_matrix(),
        spacing=tuple(spacing),
        origin=tuple(rng.uniform(-200, 200, 3)),
    )
    middle, radii = (size - 1) / 2 + rng.uniform(-1, 1, 3), np.array([12, 10, 8])  # in voxels
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rings = {
        z: middle[:2] + circle * radii[:2] * np.sqrt(1 - ((z - middle[2]) / radii[2]) ** 2)
        for z in range(size[2])
        if abs(z - middle[2]) < radii[2]
    }
    contours = [dicom.contour(exam.affine, ring, z) for z, ring in rings.items()]
    path = tmp_path_factory.mktemp("rtstruct") / "file"
    dicom.structure_set(exam, {"GTV": contours}).save_as(path, enforce_file_format=True)
    grid = ImageHeader(
        size=tuple(size.tolist()),
        spacing_mm=tuple(spacing),
        origin_mm=exam.origin,
        direction=tuple(exam.directions.T.ravel()),
    )
    found = read_roi_label_map(path, grid, {7: 1})
    z, y, x = np.indices(found.shape)
    inside = (((np.stack([x, y, z], -1) - middle) / radii) ** 2).sum(-1) <= 1
    assert (found != inside).sum() <= 0.005 * inside.sum()  # a circle has more than 96 corners
    assert found.sum() == pytest.approx(4 / 3 * np.pi * radii.prod(), rel=0.02)


def test_contours_go_to_their_slices(convert, dicom, exam):
    file = dicom.structure_set(exam, {"GTV": squares(dicom, exam, (4, 2, 3))})
    expected = np.zeros(exam.voxels.shape[1:])
    expected[2:5, 2:5, 2:6] = 1
    np.testing.assert_array_equal(label_map(dicom, convert([*exam.files(), file]), exam), expected)


def test_a_contour_within_another_is_a_hole(convert, dicom, exam):
    hole = dicom.contour(exam.affine, [(2.5, 2.5), (3.5, 2.5), (3.5, 3.5), (2.5, 3.5)], 2)
    file = dicom.structure_set(exam, {"GTV": [*squares(dicom, exam, (2,)), hole]})
    found = label_map(dicom, convert([*exam.files(), file]), exam)
    assert found.sum() == 11
    assert found[2, 3, 3] == 0


def test_lesions_are_united_and_only_gross_tumor_counts_unless_named(
    convert, dicom, exam, tmp_path
):
    rois = {
        "lesion 1": squares(dicom, exam, (0,)),
        "lesion 2": squares(dicom, exam, (4, 5)),
        "Breast": squares(dicom, exam, (2,)),
        "never drawn": [],
    }
    file = dicom.structure_set(exam, rois, types=["GTV", "GTV", "ORGAN", "GTV"])
    found = label_map(dicom, convert([*exam.files(), file]), exam)
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [0, 4, 5]
    again = dicom.convert(tmp_path / "source", tmp_path / "again", "--tumor", "breast")
    assert np.flatnonzero(label_map(dicom, again, exam).any(axis=(1, 2))).tolist() == [2]


def test_regions_of_another_frame_of_reference_are_left(convert, dicom, exam):
    rois = {"GTV": squares(dicom, exam, (2,))}
    file = dicom.structure_set(exam, rois, frame_of_reference="1.2.3")
    dataset = convert([*exam.files(), file])
    assert np.unique(label_map(dicom, dataset, exam)).tolist() == [2]  # nnU-Net's ignore


def test_a_region_that_was_never_drawn_is_no_empty_tumor(convert, dicom, exam):
    file = dicom.structure_set(exam, {"GTV": []})
    assert np.unique(label_map(dicom, convert([*exam.files(), file]), exam)).tolist() == [2]


@pytest.mark.parametrize(
    ("corners", "z", "kind", "message"),
    [
        (SQUARE, 2.4, "CLOSED_PLANAR", "got one between two"),
        ([(1, 1, 1), (5, 1, 1), (5, 4, 3)], None, "CLOSED_PLANAR", "got one at an angle"),
        ([(1, 1), (9.5, 1), (3, 4)], 2, "CLOSED_PLANAR", "got one that reaches out"),
        (SQUARE, 9, "CLOSED_PLANAR", "got one that reaches out"),
        (SQUARE, 2, "OPEN_PLANAR", "closed contours of a tumor, got OPEN_PLANAR"),
    ],
)
def test_what_is_not_on_the_slices_is_refused(convert, dicom, exam, corners, z, kind, message):
    drawn = [dicom.contour(exam.affine, corners, z, kind)]
    with pytest.raises(NnmtlError, match=message):
        convert([*exam.files(), dicom.structure_set(exam, {"GTV": drawn})])


def test_contours_on_every_other_slice_are_refused(convert, dicom, exam):
    file = dicom.structure_set(exam, {"GTV": squares(dicom, exam, (1, 3, 5))})
    with pytest.raises(NnmtlError, match="got 3 at least 2 slices apart"):
        convert([*exam.files(), file])
