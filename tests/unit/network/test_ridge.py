"""Ridge regression through the kernel is scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict

from nnmtl.network.ridge import fit_ridge

PENALTIES = (1.0, 30.0, 1000.0)


@pytest.mark.parametrize("num_features", [5, 90])
@pytest.mark.parametrize("num_targets", [1, 3])
def test_it_is_scikit_learns(num_features, num_targets):
    rng = np.random.default_rng(num_features + num_targets)
    features = rng.normal(3, 2, (60, num_features))
    targets = features[:, :num_targets] + rng.normal(0, 3, (60, num_targets))
    folds = list(GroupKFold(5).split(features, groups=np.arange(60) // 2))
    found = fit_ridge(features, targets, folds, PENALTIES)
    expected = RidgeCV(alphas=PENALTIES, cv=folds).fit(features, targets)
    np.testing.assert_allclose(found.weight, np.atleast_2d(expected.coef_), atol=1e-8)
    np.testing.assert_allclose(found.bias, np.ravel(expected.intercept_), atol=1e-7)
    assert found.score == pytest.approx(expected.best_score_)
    left_out = cross_val_predict(Ridge(expected.alpha_), features, targets, cv=folds)
    np.testing.assert_allclose(found.left_out, left_out.reshape(60, -1), atol=1e-8)


def test_a_target_that_is_constant_in_a_fold_is_no_error():
    features = np.random.default_rng(0).normal(size=(20, 3))
    targets = np.zeros((20, 1))
    targets[0] = 1
    folds = list(GroupKFold(5).split(features, groups=np.arange(20)))
    assert np.isfinite(fit_ridge(features, targets, folds, PENALTIES).score)
