"""Features against closed forms, SciPy-free definitions and the published IBSI values."""

import math

import numpy as np
import pytest

from nnmtl.baselines.features import (
    first_order,
    region_features,
    shape_features,
    volume_features,
)
from nnmtl.cohort.image_file import read_array, read_header
from nnmtl.errors import NnmtlError


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (3.0, 0.8, 0.8)])
def test_a_ball_has_the_measures_of_a_ball(ball, spacing_mm):
    measured = shape_features(ball(10.0, (24, 40, 40), spacing_mm), spacing_mm)
    assert measured["volume_ml"] == pytest.approx(4 / 3 * math.pi, rel=0.03)
    assert measured["surface_mm2"] == pytest.approx(400 * math.pi, rel=0.03)
    assert measured["sphericity"] == pytest.approx(1, abs=0.03)
    assert measured["major_axis_mm"] == pytest.approx(4 * math.sqrt(20), rel=0.03)
    assert measured["elongation"] == pytest.approx(1, abs=0.05)


def test_a_box_has_the_extents_and_axes_of_a_box():
    mask = np.zeros((10, 20, 40), dtype=bool)
    mask[2:6, 4:16, 5:35] = True
    measured = shape_features(mask, (3.0, 1.0, 1.0))
    assert [measured[f"extent_{axis}_mm"] for axis in "zyx"] == [12, 12, 30]
    assert measured["elongation"] == pytest.approx(12 / 30, rel=0.02)
    assert measured["sphericity"] < 0.9
    assert measured["surface_mm2"] == pytest.approx(1728, rel=0.15)  # a box is Crofton's worst case


def test_a_single_voxel_has_finite_features(case):
    images, mask, spacing_mm = case
    voxel = np.zeros_like(mask)
    voxel[7, 17, 17] = True
    features = region_features(images, voxel, spacing_mm)
    assert np.isfinite([features[name] for name in features if name.startswith("shape.")]).all()
    assert math.isnan(features["channel0.rim.mean"])


def test_first_order_statistics_are_those_of_their_definition():
    values = np.random.default_rng(0).gamma(2.0, size=400)
    standardized = (values - values.mean()) / values.std()
    measured = first_order(values)
    assert measured["mean"] == pytest.approx(values.mean())
    assert measured["skewness"] == pytest.approx((standardized**3).mean())
    assert measured["kurtosis"] == pytest.approx((standardized**4).mean() - 3)
    assert measured["q75"] == pytest.approx(np.quantile(values, 0.75))


def test_entropy_is_the_logarithm_of_equally_filled_bins():
    assert first_order(np.repeat(np.arange(8) + 0.05, 5))["entropy"] == pytest.approx(3)
    assert first_order(np.full(50, 0.3))["entropy"] == 0


def test_a_flat_region_has_no_skew_and_too_few_voxels_no_statistics():
    assert first_order(np.full(50, 0.3))["skewness"] == 0
    assert all(math.isnan(value) for value in first_order(np.ones(3)).values())


def test_a_brighter_tumor_moves_its_own_shells_only(case):
    images, mask, spacing_mm = case
    brighter = np.where(mask, 1.5 * images, images)
    before = region_features(images, mask, spacing_mm)
    after = region_features(brighter, mask, spacing_mm)
    assert after["channel0.core.mean"] > before["channel0.core.mean"] + 0.2
    assert after["channel0.rim.q50"] > before["channel0.rim.q50"] + 0.2
    assert after["channel0.distant.mean"] == pytest.approx(
        before["channel0.distant.mean"], abs=0.01
    )


def test_a_missing_channel_is_nan_and_leaves_the_other_as_it_is(case):
    images, mask, spacing_mm = case
    alone = region_features(images, mask, spacing_mm)
    both = region_features(np.concatenate([images, 0 * images]), mask, spacing_mm)
    assert {name: both[name] for name in alone} == alone
    assert all(math.isnan(both[name]) for name in both if name.startswith("channel1."))


def test_an_empty_mask_is_refused(case):
    images, mask, spacing_mm = case
    with pytest.raises(NnmtlError, match="not empty"):
        region_features(images, np.zeros_like(mask), spacing_mm)


def test_volume_counts_the_whole_mask():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 0, 0] = mask[3, 3, 3] = True
    assert volume_features(mask, (2.0, 1.0, 1.0))["log_volume_ml"] == pytest.approx(math.log(0.004))


@pytest.mark.real_data
def test_the_ibsi_phantom_has_the_published_values(real_data):
    """Zwanenburg et al., Radiology 2020: tolerances are the published ones."""
    folder = real_data / "ibsi_1_digital_phantom" / "nifti"
    path = folder / "mask" / "mask.nii.gz"
    mask = read_array(path) > 0
    shape = shape_features(mask, read_header(path).spacing_mm[::-1])
    values = first_order(read_array(folder / "image" / "phantom.nii.gz")[mask].astype(float))
    assert shape["volume_ml"] == pytest.approx(0.592, abs=0.004)
    assert shape["major_axis_mm"] == pytest.approx(11.4, abs=0.1)
    assert shape["elongation"] == pytest.approx(0.816, abs=0.005)
    assert shape["flatness"] == pytest.approx(0.749, abs=0.005)
    assert values["mean"] == pytest.approx(2.15, abs=0.005)
    assert values["sd"] ** 2 == pytest.approx(3.05, abs=0.005)
    assert values["skewness"] == pytest.approx(1.08, abs=0.005)
    assert values["kurtosis"] == pytest.approx(-0.355, abs=0.0005)
    assert values["entropy"] == pytest.approx(1.27, abs=0.005)
