"""The adapter to PyRadiomics, and what it says where the package is absent."""

import sys

import numpy as np
import pytest

from nnmtl.baselines.radiomics import radiomic_features
from nnmtl.errors import NnmtlError


def test_without_the_package_the_error_says_how_to_install_it(case, monkeypatch):
    monkeypatch.setitem(sys.modules, "radiomics", None)
    with pytest.raises(NnmtlError, match=r"pip install 'nnmtl\[radiomics\]'"):
        radiomic_features(*case)


def test_features_of_tumor_and_surroundings_are_free_of_gain(case):
    pytest.importorskip("radiomics")
    images, mask, spacing_mm = case
    found = radiomic_features(images, mask, spacing_mm)
    assert found["shape.Sphericity"] == pytest.approx(0.9, abs=0.05)  # of a meshed ball
    for region, enhancement in (("tumor", 2.1), ("peritumoral", 1.1)):
        median = found[f"channel0.{region}.original_firstorder_Median"]
        assert median == pytest.approx(np.log(enhancement), abs=0.1)
        assert f"channel0.{region}.log-sigma-2-0-mm-3D_glcm_Contrast" in found
    again = radiomic_features(20 * images, mask, spacing_mm)
    assert list(again) == list(found)
    np.testing.assert_allclose(list(again.values()), list(found.values()), rtol=0.02, atol=1e-3)


def test_a_missing_channel_and_a_tiny_tumor_have_fewer_features(case):
    pytest.importorskip("radiomics")
    images, mask, spacing_mm = case
    voxel = np.zeros_like(mask)
    voxel[7, 17, 17] = True
    found = radiomic_features(np.concatenate([0 * images, images]), voxel, spacing_mm)
    assert not [name for name in found if name.startswith("channel0.")]
    assert [name for name in found if name.startswith("channel1.peritumoral.")]
