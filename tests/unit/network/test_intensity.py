import numpy as np
import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.network.intensity import (
    QUANTILES,
    IntensityStatistics,
    RunningStandardizer,
    feature_names,
    weighted_quantiles,
)

SHAPE = (12, 14, 16)
CHANNELS, REGIONS = ("dce", "t2"), ("core", "rim", "peritumoral")
NAMES = feature_names(CHANNELS, REGIONS)
STATISTICS = IntensityStatistics(len(CHANNELS), len(REGIONS))


def bright_median(tissue):
    """The anchor, where air is 0: the median above half of the .95 quantile."""
    bright = np.sort(tissue[tissue >= np.quantile(tissue, 0.95) / 2])
    return bright[(bright.size - 1) // 2]


def column(name):
    return NAMES.index(name)


def columns(*parts):
    return [index for index, name in enumerate(NAMES) if all(part in name for part in parts)]


@pytest.fixture
def case():
    """Two channels with air in a slab, three soft regions, and a reference away from both."""
    x = 200 + 40 * torch.randn(2, 2, *SHAPE)
    x[..., 4:8] *= 2
    x[:, :, :2] = 3 * torch.rand(2, 2, 2, *SHAPE[1:])
    weights = torch.zeros(2, 3, *SHAPE)
    for region in range(3):
        weights[:, region, 4:10, 2:12, 4 + 2 * region : 6 + 2 * region] = 1
        weights[:, region, 3] = 0.3 * weights[:, region, 4]
    reference = torch.zeros(2, *SHAPE)
    reference[:, 2:, :, 11:] = 1
    return x, weights, reference


def test_one_name_per_feature(case):
    assert STATISTICS(*case).shape == (2, len(NAMES))
    assert STATISTICS.num_features == len(NAMES) == len(set(NAMES))


def test_gain_and_offset_leave_every_feature_unchanged(case):
    x, weights, reference = case
    gain = torch.tensor([0.02, 37.0]).view(1, 2, 1, 1, 1)
    offset = torch.tensor([-3.0, 500.0]).view(1, 2, 1, 1, 1)
    torch.testing.assert_close(
        STATISTICS(gain * x + offset, weights, reference), STATISTICS(*case), atol=0.01, rtol=0
    )


def test_z_scoring_the_image_does_not_erase_the_ratio(case):
    x, weights, reference = case
    x[:, :, :2] = 0
    z = (x - x.mean()) / x.std()
    inside = x[0, 0][weights[0, 0] > 0]
    anchor = bright_median(x[0, 0][reference[0] > 0].numpy())
    expected = torch.log(inside.median() / anchor + 0.1)
    found = STATISTICS(z, weights, reference)[0, column("dce.core.log.q50")]
    assert float(found) == pytest.approx(float(expected), abs=0.02)


def test_known_air_gives_the_ratio_even_in_a_crop_without_air(case):
    x, weights, reference = (part[..., 2:, :, :] for part in case)
    found = STATISTICS(x, weights, reference, air=torch.zeros(2, 2))
    expected = STATISTICS(*case, air=torch.zeros(2, 2))
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_share_of_dark_fat_in_the_reference_does_not_matter(case):
    x, weights, reference = case
    x[..., 11:] = 200 + 5 * torch.randn(2, 2, *SHAPE[:2], 5)
    columns_on_log_scale = columns("core.log")
    expected = STATISTICS(x, weights, reference)[:, columns_on_log_scale]
    x[:, :, 5:, :, 11:] = 20.0
    found = STATISTICS(x, weights, reference)[:, columns_on_log_scale]
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_moving_voxels_within_a_region_changes_nothing(case):
    x, weights, reference = case
    box = (slice(None), slice(None), slice(4, 10), slice(2, 12), slice(4, 6))
    moved = x.clone()
    flat = moved[box].flatten(2)
    moved[box] = flat[..., torch.randperm(flat.shape[-1])].view_as(moved[box])
    torch.testing.assert_close(
        STATISTICS(moved, weights, reference)[:, columns(".core.")],
        STATISTICS(*case)[:, columns(".core.")],
    )


def test_regions_do_not_hear_each_other(case):
    x, weights, reference = case
    changed = x.clone()
    changed[..., 4:10, 2:12, 6:10] = 300.0
    others = columns(".core.")
    difference = STATISTICS(changed, weights, reference) - STATISTICS(*case)
    assert difference[:, others].abs().max() < 0.05  # only through the crop's range
    assert difference[:, columns("rim")].abs().max() > 0.3


def test_mean_and_sd_equal_numpy_on_both_scales(case):
    x, weights, reference = case
    air = torch.zeros(2, 2)
    found = STATISTICS(x, weights, reference, air=air)[1]
    inside, weight = x[1, 1][weights[1, 2] > 0].numpy(), weights[1, 2][weights[1, 2] > 0].numpy()
    tissue = x[1, 1][reference[1] > 0].numpy()
    anchor = bright_median(tissue)
    low, high = np.quantile(tissue, (0.25, 0.75))
    for scale, values in {
        "log": np.log(np.maximum(inside, 0) / anchor + 0.1),
        "contrast": np.arcsinh((inside - anchor) / ((high - low) / 1.349)),
    }.items():
        mean = np.average(values, weights=weight)
        sd = np.sqrt(np.average((values - mean) ** 2, weights=weight))
        assert float(found[column(f"t2.peritumoral.{scale}.mean")]) == pytest.approx(mean, abs=1e-4)
        assert float(found[column(f"t2.peritumoral.{scale}.sd")]) == pytest.approx(sd, abs=1e-4)


def test_histogram_is_a_partition_and_follows_the_intensity(case):
    x, weights, reference = case
    shares = STATISTICS(*case)[:, columns("dce.core.ratio_near")]
    torch.testing.assert_close(shares.sum(1), torch.ones(2))
    x[:, 0][weights[:, 0] > 0] = x[0, 0][reference[0] > 0].median()
    shares = STATISTICS(x, weights, reference)[0, columns("dce.core.ratio_near")]
    assert float(shares[2]) == pytest.approx(1.0, abs=0.02)


def test_weighted_quantiles_equal_numpy():
    generator = np.random.default_rng(0)
    values = np.sort(generator.normal(size=400)).astype(np.float32)
    weights = generator.integers(0, 5, size=(3, 400)).astype(np.float32) / 4
    shares = (0.051, 0.249, 0.503, 0.952)
    found = weighted_quantiles(torch.from_numpy(values), torch.from_numpy(weights), shares)
    for row, weight in zip(found, weights, strict=True):
        expected = np.quantile(values, shares, method="inverted_cdf", weights=weight)
        np.testing.assert_allclose(row, expected)


def test_zero_one_weights_give_plain_quantiles():
    values = torch.randn(5000).sort().values
    chosen = torch.rand(5000) < 0.4
    found = weighted_quantiles(values, chosen[None].float(), QUANTILES)[0]
    expected = np.quantile(values[chosen].numpy(), QUANTILES)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_an_empty_region_is_zero_and_says_so(case):
    x, weights, reference = case
    weights[0, 1] = 0
    found = STATISTICS(x, weights, reference)
    assert found[0, columns("rim")].abs().max() == 0
    assert found[1, column("rim.presence")] == 1
    assert found[0, column("core.presence")] == 1


def test_a_case_without_tumor_keeps_only_presence_and_reference(case):
    x, weights, reference = case
    found = STATISTICS(x, torch.zeros_like(weights), reference)[0]
    assert {NAMES[index].split(".")[1] for index in found.nonzero()[:, 0]} == {
        "presence",
        "reference",
    }


@pytest.mark.parametrize("value", [0.0, -1.7, 1000.0])
def test_a_missing_channel_is_zero_and_says_so(case, value):
    x, weights, reference = case
    expected = STATISTICS(*case)
    x[:, 1] = value
    found = STATISTICS(x, weights, reference)
    assert found[:, columns("t2")].abs().max() == 0
    torch.testing.assert_close(found[:, columns("dce")], expected[:, columns("dce")])


@pytest.mark.parametrize("level", [0.0, 200.0])
def test_a_reference_without_noise_or_signal_gives_finite_features(case, level):
    x, weights, reference = case
    x[:, 0][reference > 0] = level
    found = STATISTICS(x, weights, reference)
    assert torch.isfinite(found).all()
    assert found.abs().max() < 15


def test_no_reference_falls_back_to_the_whole_crop(case):
    x, weights, reference = case
    found = STATISTICS(x, weights, torch.zeros_like(reference))
    torch.testing.assert_close(found, STATISTICS(x, weights, torch.ones_like(reference)))


def test_one_bright_voxel_hardly_matters(case):
    x, weights, reference = case
    expected = STATISTICS(*case)
    x[:, :, 11, 13, 15] = 1e6
    torch.testing.assert_close(STATISTICS(x, weights, reference), expected, atol=0.05, rtol=0)


def test_cases_are_described_independently(case):
    alone = torch.cat([STATISTICS(*[part[[index]] for part in case]) for index in range(2)])
    torch.testing.assert_close(STATISTICS(*case), alone)


def test_two_dimensional_images_work(case):
    x, weights, reference = case
    assert STATISTICS(x[:, :, 6], weights[:, :, 6], reference[:, 6]).shape == (2, len(NAMES))


def test_result_has_no_gradient_and_full_precision_under_autocast(case):
    x, weights, reference = case
    expected = STATISTICS(*case)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = STATISTICS(x.requires_grad_(), weights, reference)
    assert not found.requires_grad
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_module_has_no_parameters_or_buffers():
    assert not STATISTICS.state_dict()


def test_standardizer_changes_nothing_before_the_fit():
    features = 100 * torch.randn(5, 3)
    assert torch.equal(RunningStandardizer(3)(features), features)


def test_standardizer_gives_mean_zero_and_deviation_one():
    features = torch.randn(200, 3) * torch.tensor([1.0, 50.0, 1e-3]) + 1000.0
    standardizer = RunningStandardizer(3)
    standardizer.fit(features.double())
    found = standardizer(features)
    torch.testing.assert_close(found.mean(0)[:2], torch.zeros(2), atol=0.02, rtol=0)
    torch.testing.assert_close(found.std(0)[:2], torch.ones(2), atol=0.05, rtol=0)


def test_standardizer_clips_outliers_and_silences_constants():
    standardizer = RunningStandardizer(2)
    standardizer.fit(torch.stack([torch.randn(50), torch.full((50,), 7.0)], dim=1))
    assert standardizer(torch.tensor([[1e9, 9.0], [-1e9, 7.0]])).tolist() == [[4, 0], [-4, 0]]


def test_standardizer_ignores_missing_entries_in_the_fit():
    features = torch.randn(60, 1)
    with_missing, alone = RunningStandardizer(1), RunningStandardizer(1)
    alone.fit(features)
    with_missing.fit(torch.cat([features, torch.full((9, 1), torch.nan)]))
    torch.testing.assert_close(with_missing.state_dict(), alone.state_dict())


def test_standardizer_survives_saving():
    fitted, loaded = RunningStandardizer(4), RunningStandardizer(4)
    fitted.fit(torch.randn(30, 4))
    loaded.load_state_dict(fitted.state_dict())
    features = torch.randn(3, 4)
    assert torch.equal(loaded(features), fitted(features))


@pytest.mark.parametrize("shape", [(1, 3), (5, 2), (3,)])
def test_standardizer_refuses_a_table_that_does_not_fit(shape):
    with pytest.raises(NnmtlError, match="at least 2 training cases"):
        RunningStandardizer(3).fit(torch.zeros(shape))
