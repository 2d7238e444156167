import numpy as np
import pytest
from scipy.integrate import quad

from nnmtl.phantom.centers import CENTERS
from nnmtl.phantom.nuisance import sample_nuisance
from nnmtl.phantom.physics import (
    HEMATOCRIT,
    parker_blood_concentration,
    spoiled_gradient_echo,
    tofts_concentration,
)
from nnmtl.phantom.presets import PRESETS
from nnmtl.phantom.tissue import tissue_signals


@pytest.mark.parametrize(("ktrans", "ve"), [(0.05, 0.15), (0.25, 0.4), (1.0, 0.4)])
@pytest.mark.parametrize("time_s", [60.0, 100.0, 300.0])
def test_tofts_equals_adaptive_integration(ktrans, ve, time_s):
    end = time_s / 60

    def integrand(t):
        plasma = float(parker_blood_concentration(np.array([t]))[0]) / (1 - HEMATOCRIT)
        return plasma * np.exp(-ktrans / ve * (end - t))

    expected = ktrans * quad(integrand, 0, end, points=[0.17, 0.365, 0.483], limit=200)[0]
    found = tofts_concentration(np.array([ktrans]), ve=ve, time_s=time_s, dose_scale=1.0)
    assert found[0] == pytest.approx(expected, rel=1e-4)


def test_arterial_input_has_parkers_peak_and_is_zero_before_arrival():
    time_min = np.linspace(-0.5, 5, 5501)
    concentration = parker_blood_concentration(time_min)
    assert np.all(concentration[time_min < 0] == 0)
    assert time_min[concentration.argmax()] == pytest.approx(0.17, abs=0.01)
    assert concentration.max() == pytest.approx(5.9, abs=0.2)


def test_concentration_is_linear_in_the_dose_and_rises_with_ktrans():
    # Beyond 0.6 / min the tissue has begun to wash out after 100 s.
    ktrans = np.geomspace(0.01, 0.6, 20)
    single = tofts_concentration(ktrans, ve=0.4, time_s=100, dose_scale=1.0)
    assert np.all(np.diff(single) > 0)
    double = tofts_concentration(ktrans, ve=0.4, time_s=100, dose_scale=2.0)
    assert double == pytest.approx(2 * single)


def test_spoiled_gradient_echo_has_its_limits():
    rates = np.array([1e-6, 0.5, 5.0, 1e5])
    signal = spoiled_gradient_echo(rates, tr_ms=5, te_ms=0, flip_deg=10, t2_star_ms=30)
    assert signal[0] == pytest.approx(0, abs=1e-6)
    assert np.all(np.diff(signal) > 0)
    assert signal[-1] == pytest.approx(np.sin(np.deg2rad(10)))


def test_physics_equals_dcmri():
    dcmri = pytest.importorskip("dcmri")
    time_s = np.arange(0, 301, 0.05)
    blood = 1000 * dcmri.aif_parker(time_s)
    ours = parker_blood_concentration(time_s / 60)
    assert ours[1:] == pytest.approx(blood[1:], rel=1e-3, abs=1e-3)
    signal = dcmri.signal_ss(1.0, np.array([0.8, 3.0]), 0.005, 10.0)
    found = spoiled_gradient_echo(
        np.array([0.8, 3.0]), tr_ms=5, te_ms=0, flip_deg=10, t2_star_ms=30
    )
    assert found == pytest.approx(signal, rel=1e-6)


def test_fat_is_dark_where_suppressed_and_bright_where_not():
    rng = np.random.default_rng(0)
    for center in CENTERS.values():
        nuisance = sample_nuisance(rng, preset=PRESETS["null"], center=center, traits=np.zeros(8))
        signals = tissue_signals(center, nuisance)
        tumor = float(signals.tumor(np.array([0.25], np.float32))[0])
        ratio = signals.fat / tumor
        assert 0.6 < ratio < 2 if center.fat_fraction == 1 else ratio < 0.25
