"""Training and prediction place the region of interest by the same rule."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nnmtl.nnunet.predictor import _flip, _flips, nnMTLPredictor
from nnmtl.nnunet.roi_loader import RoiLoader, tumor_center

SHAPE = (20, 30, 40)
TUMOR = (slice(4, 11), slice(10, 21), slice(20, 27))  # its middle is (7, 15, 23)


class Predictor(nnMTLPredictor):
    """One that needs no model to crop."""

    def __init__(self, roi_size):
        self.roi_size = roi_size

    @property
    def plan(self):
        return SimpleNamespace(roi_size=self.roi_size)


def tumor(*boxes):
    mask = np.zeros(SHAPE, dtype=bool)
    for box in boxes:
        mask[box] = True
    return mask


def crop(roi_size, mask):
    data = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(1, *SHAPE)
    return data, *Predictor(roi_size)._regions_of_interest(data, mask)


def locations(mask, label):
    """As nnU-Net stores sampled foreground: a first column that is not a coordinate."""
    found = np.argwhere(mask)
    return {label: np.concatenate([np.zeros((len(found), 1), dtype=int), found], axis=1)}


def test_training_centers_on_the_middle_of_all_tumor_labels():
    one = tumor((slice(4, 8), slice(10, 21), slice(20, 27)))
    two = tumor((slice(8, 11), slice(10, 21), slice(20, 27)))
    other = tumor((slice(0, 2), slice(0, 2), slice(0, 2)))
    found = {**locations(one, 1), **locations(two, 2), **locations(other, 3)}
    assert tumor_center(found, (1, 2)) == (7, 15, 23)


def test_the_union_that_nnunet_stores_beside_the_labels_does_not_count():
    found = {**locations(tumor(TUMOR), 1), (1, 2): np.zeros((5, 4), dtype=int)}
    assert tumor_center(found, (1, 2)) == (7, 15, 23)


@pytest.mark.parametrize("found", [{}, {1: []}])
def test_without_tumor_there_is_no_center(found):
    assert tumor_center(found, (1,)) is None


def test_prediction_crops_image_and_mask_around_the_same_middle():
    data, images, masks, is_truncated = crop((8, 12, 10), tumor(TUMOR))
    assert images.shape == (1, 1, 8, 12, 10)
    assert torch.equal(images[0, 0], torch.from_numpy(data[0, 3:11, 9:21, 18:28]))
    assert masks.sum() == 7 * 11 * 7
    assert not is_truncated


def test_a_tumor_larger_than_the_region_of_interest_is_truncated():
    *_, is_truncated = crop((8, 10, 10), tumor(TUMOR))
    assert is_truncated


def test_a_region_of_interest_may_reach_outside_the_image():
    _, images, masks, is_truncated = crop((16, 16, 16), tumor((slice(0, 4),) * 3))
    assert images.shape == (1, 1, 16, 16, 16)
    assert masks.sum() == 4**3
    assert not is_truncated


def test_a_2d_model_sees_a_few_slices_through_the_tumor():
    data, images, masks, is_truncated = crop((12, 10), tumor(TUMOR))
    assert images.shape == (5, 1, 12, 10)
    assert masks.flatten(1).any(1).all()
    assert not is_truncated
    numbers = (images[:, 0, 0, 0] // (SHAPE[1] * SHAPE[2])).int().tolist()
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(range(4, 11))
    assert torch.equal(images[0, 0], torch.from_numpy(data[0, numbers[0], 9:21, 18:28]))


def test_a_2d_model_sees_a_thin_tumor_once():
    _, images, _, _ = crop((12, 10), tumor((slice(5, 6), slice(10, 14), slice(10, 14))))
    assert len(images) == 1


@pytest.mark.parametrize("dimension", [2, 3])
def test_views_are_the_four_mirror_images_in_the_plane(dimension):
    images = torch.randn(2, 3, *[4] * dimension)
    masks = torch.rand(2, *[4] * dimension) < 0.5
    views = [_flip(images, masks, axes) for axes in _flips(dimension)]
    assert len(views) == 4
    for one, mask in views:
        for channel in range(3):  # the mask moves with the image
            torch.testing.assert_close(
                (one[:, channel] * mask).sum(), (images[:, channel] * masks).sum()
            )
    assert len({tuple(one.flatten().tolist()) for one, _ in views}) == 4
    if dimension == 3:
        assert all(torch.allclose(one.sum((3, 4)), images.sum((3, 4))) for one, _ in views)


def test_cases_are_drawn_by_their_shares_whatever_the_order_of_the_loader():
    loader = RoiLoader.__new__(RoiLoader)
    loader.indices, loader.infinite, loader.batch_size = ["c", "a", "b"], True, 6000
    loader.sampling_probabilities = None
    loader.draw_by(["a", "b", "c"], None)
    assert loader.sampling_probabilities is None, "else other random numbers would be drawn"
    loader.draw_by(["a", "b", "c"], np.array([0.7, 0.2, 0.1]))
    drawn = Counter(loader.get_indices().tolist())
    for case, share in (("a", 0.7), ("b", 0.2), ("c", 0.1)):
        assert drawn[case] / 6000 == pytest.approx(share, abs=0.03)
