"""AUC that compares cases of one fold only: that of brute force."""

import numpy as np
import pytest

from nnmtl.evaluation.discrimination import auc
from nnmtl.evaluation.intervals import resample_patients
from nnmtl.evaluation.within_folds import auc_within_folds

NUM_CASES = 60


def test_an_auc_within_folds_counts_pairs_of_one_fold_only():
    generator = np.random.default_rng(3)
    scores, folds = np.round(generator.random(40), 1), generator.integers(0, 4, 40)
    positive, counts = generator.random(40) < 0.5, generator.integers(0, 3, 40)
    wins = pairs = 0.0
    for high in np.flatnonzero(positive):
        for low in np.flatnonzero(~positive & (folds == folds[high])):
            count = counts[high] * counts[low]
            pairs += count
            wins += count * ((scores[high] > scores[low]) + 0.5 * (scores[high] == scores[low]))
    found = auc_within_folds(scores, positive, folds, counts.astype(float))
    assert found == pytest.approx(wins / pairs)


def test_an_auc_within_one_fold_is_the_auc_and_without_a_pair_undefined():
    generator = np.random.default_rng(1)
    scores, positive = generator.random(NUM_CASES), generator.random(NUM_CASES) < 0.4
    fold = np.zeros(NUM_CASES, dtype=np.intp)
    weights = resample_patients([str(case) for case in range(NUM_CASES)]).weights[:50]
    np.testing.assert_allclose(
        auc_within_folds(scores, positive, fold, weights), auc(scores, positive, weights)
    )
    assert np.isnan(auc_within_folds(scores, positive, positive.astype(np.intp)))
