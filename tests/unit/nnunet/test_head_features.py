"""What the heads saw is kept per case: of the first fold, averaged over views."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from nnmtl.nnunet.head_features import FEATURES, read_features, recorded_features


class Tower(nn.Module):
    """Gives back what it is given as the measured features."""

    def forward(self, measured):
        return {}, measured


def predictor(folds=2):
    return SimpleNamespace(multitask=SimpleNamespace(tower=Tower()), list_of_parameters=[0] * folds)


def test_the_first_fold_counts_averaged_over_views_and_slices(tmp_path):
    model = predictor(folds=2)
    views = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0]])]
    with recorded_features(model, tmp_path) as record:
        for view in (*views, *(100 * view for view in views)):
            model.multitask.tower(view)
        record("case_1")
        model.multitask.tower(torch.tensor([[np.nan, 9.0]]))
        model.multitask.tower(torch.tensor([[0.0, 0.0]]))
        record("case_2")
    np.testing.assert_allclose(read_features(tmp_path, "case_1"), [4.0, 5.0])
    np.testing.assert_allclose(read_features(tmp_path, "case_2"), [np.nan, 9.0])


def test_a_case_without_tumor_has_no_features_and_nothing_is_left_listening(tmp_path):
    model = predictor()
    with recorded_features(model, tmp_path) as record:
        record("empty")
    assert read_features(tmp_path, "empty") is None
    assert not model.multitask.tower._forward_hooks
    assert [path.name for path in (tmp_path / FEATURES).iterdir()] == ["empty.npy"]
