import numpy as np
import pytest

from nnmtl.dataset_conversion._bias_field import estimate_bias_field


def short_waves(texture):
    """Texture around a level that is the same all over the body."""
    return 0.4 * texture


@pytest.fixture(scope="module")
def planted(textured_body):
    """A coil that is brighter toward one side and the front, by up to a factor of two."""
    points = textured_body.points()
    return np.exp(0.008 * points[..., 0] + 0.0004 * (points[..., 1] - 10) ** 2)


@pytest.fixture(scope="module")
def voxels(textured_body):
    voxels = textured_body.values(textured_body.points(), contrast=short_waves)
    return voxels + np.random.default_rng(1).normal(0, 1, voxels.shape).clip(0)


@pytest.fixture(scope="module")
def found(textured_body, voxels, planted):
    return estimate_bias_field(textured_body.image(voxels * planted))


def test_a_planted_field_is_found(found, voxels, planted):
    body = voxels > 50
    ratio = np.log(found.field[body] / planted[body])
    assert ratio.std() < 0.4 * np.log(planted[body]).std()
    assert np.log(found.field[body]).mean() == pytest.approx(0, abs=0.05)
    assert not found.refusal


def test_the_body_becomes_as_even_as_it_was(found, voxels, planted):
    flat, curved, evened = (
        image[voxels > 50].std() / image[voxels > 50].mean()
        for image in (voxels, voxels * planted, voxels * planted / found.field)
    )
    assert evened < flat + 0.3 * (curved - flat)
    assert found.after < found.before


def test_an_even_body_is_nearly_left(textured_body, voxels):
    found = estimate_bias_field(textured_body.image(voxels))
    assert np.log(found.field[voxels > 50]).std() < 0.05


def test_equal_input_gives_equal_output(found, textured_body, voxels, planted):
    again = estimate_bias_field(textured_body.image(voxels * planted))
    np.testing.assert_array_equal(again.field, found.field)


def test_an_image_of_nothing_is_left(textured_body, voxels):
    found = estimate_bias_field(textured_body.image(0 * voxels))
    assert found.refusal
    assert (found.field == 1).all()
