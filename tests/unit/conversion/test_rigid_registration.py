import numpy as np
import pytest
import SimpleITK

from nnmtl.dataset_conversion._rigid_registration import normalized_mutual_information, register

NOISE = 3.0  # a twelfth of the texture
# Where a body's borders are, in mm.
PLACES = [(0, 0, 0), (30, 0, 0), (0, -25, 0), (0, 0, 24), (-20, 15, -12)]


def inverted(texture):
    """Another contrast: dark becomes bright, not in proportion."""
    return 1.5 - texture - 0.3 * texture**2


@pytest.fixture
def acquire(textured_body):
    """An image of the body in another contrast and with noise of its own, after a motion."""

    def image(moved=None, *, seed=1, contrast=inverted):
        voxels = textured_body.values(textured_body.points(), moved, contrast)
        noise = np.random.default_rng(seed).normal(0, NOISE, voxels.shape)
        return textured_body.image(voxels + noise)

    return image


def error_mm(found, planted):
    """The farthest that a place of the body is from where it should be."""
    return max(
        np.linalg.norm(np.subtract(found.TransformPoint(p), planted.TransformPoint(p)))
        for p in PLACES
    )


@pytest.mark.parametrize(
    ("translation_mm", "angles"),
    [((4, -3, 5), (0.05, -0.04, 0.06)), ((0, 11, -12), (0, 0, 0))],
)
def test_a_planted_motion_is_found(textured_body, acquire, translation_mm, angles):
    planted = textured_body.motion(translation_mm, angles)
    found = register(acquire(seed=1, contrast=lambda texture: texture), acquire(planted, seed=2))
    assert error_mm(found.transform, planted) < 1  # half a voxel
    assert found.translation_mm == pytest.approx(np.linalg.norm(translation_mm), abs=0.5)
    assert found.after > found.before
    assert not found.refusal


@pytest.mark.parametrize("contrast", [lambda texture: texture, inverted])
def test_what_lies_well_is_left(acquire, contrast):
    found = register(acquire(seed=1, contrast=lambda texture: texture), acquire(contrast=contrast))
    assert found.translation_mm < 0.5
    assert found.rotation_degrees < 0.5
    assert found.refusal


def test_what_is_farther_than_a_patient_moves_is_refused(textured_body, acquire):
    far = textured_body.motion((21, 0, 0))
    found = register(acquire(), acquire(far, seed=2))
    assert error_mm(found.transform, far) < 1.5
    assert found.refusal == "more than 20 mm or 10 degrees is not plausible"


def test_images_that_do_not_overlap_are_left(acquire):
    elsewhere = acquire(seed=2)
    elsewhere.SetOrigin((500.0, 0.0, 0.0))
    found = register(acquire(), elsewhere)
    assert found.transform.GetParameters() == (0,) * 6
    assert found.refusal == "the images are no more alike"


def test_equal_input_gives_equal_output_with_any_number_of_threads(textured_body, acquire):
    moved = acquire(textured_body.motion((3, 1, -2)), seed=2)
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    parameters = set()
    try:
        for threads in (1, 3):
            SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            parameters.add(register(acquire(), moved).transform.GetParameters())
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert len(parameters) == 1


def test_information_is_2_of_equal_images_and_1_of_unrelated_ones():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 200_000))
    assert normalized_mutual_information(one, -2 * one + 3) == pytest.approx(2)
    assert normalized_mutual_information(one, other) == pytest.approx(1, abs=0.001)
    assert np.isnan(normalized_mutual_information(one * 0, other * 0))
