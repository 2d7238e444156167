"""The heads' linear part starts from what scikit-learn fits to the training fold."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from nnmtl.network.answers import head_answers
from nnmtl.network.image_score import FEWEST_PATIENTS, FOLDS, PENALTIES
from nnmtl.network.linear_start import (
    COVARIATE_PRIOR,
    OTHER_PRIOR,
    OWN_PRIOR,
    start_linear_heads,
)
from nnmtl.planning.architecture import HeadPlan

NUM = 80
PATIENTS = [f"p{case // 2}" for case in range(NUM)]  # two cases each


@pytest.fixture
def tower(make_tower):
    """Statistics only: log volume and age, which need no image."""
    return make_tower(intensity=False, taps=(), attention="none")


@pytest.fixture
def statistics():
    per_patient = torch.randn(NUM // 2, 2).repeat_interleave(2, dim=0)
    return 10 + 3 * (per_patient + 0.1 * torch.randn(NUM, 2))


@pytest.fixture
def values(statistics):
    """All three targets follow the first statistic, Ki67 exactly on the head's scale."""
    first = ((statistics[:, 0] - 10) / 3).double().numpy()
    return {
        "ER": (first > 0).astype(float),
        "HER2_3": np.digitize(first, [-0.5, 0.5]).astype(float),
        "Ki67": first,
    }


def predict(tower, name, statistics):
    head = tower.head(name)
    with torch.no_grad():
        return head.linear(tower.scalars(statistics))


def fit(tower, statistics, values, plan, patients=PATIENTS, heads=None):
    centers = ["A"] * NUM
    start_linear_heads(
        tower, statistics, values, heads or plan.heads, centers=centers, patients=patients
    )


def test_a_separable_rule_is_recovered(tower, statistics, values, plan):
    fit(tower, statistics, values, plan)
    assert roc_auc_score(values["ER"], predict(tower, "ER", statistics)[:, 0]) > 0.99
    classes = predict(tower, "HER2_3", statistics).argmax(1).numpy()
    assert (classes == values["HER2_3"]).mean() > 0.8
    number = predict(tower, "Ki67", statistics)[:, 0].numpy()
    assert np.corrcoef(number, values["Ki67"])[0, 1] > 0.99


@pytest.fixture
def stacked(tower, statistics, values, plan):
    """scikit-learn's stack, its left-out scores and its scores: ER, HER2_3 (three), Ki67, age."""
    values["ER"] = (values["Ki67"] + np.random.default_rng(0).normal(size=NUM) > 0).astype(float)
    fit(tower, statistics, values, plan)
    volume, age = tower.scalars(statistics).numpy()[:, :2].T
    folds = list(GroupKFold(FOLDS).split(volume, groups=np.array(PATIENTS)))
    left_out, refitted = [], []
    for targets in (values["ER"][:, None], np.eye(3)[values["HER2_3"].astype(int)], values["Ki67"]):
        ridge = RidgeCV(alphas=PENALTIES, cv=folds).fit(volume[:, None], targets)
        predicted = cross_val_predict(Ridge(ridge.alpha_), volume[:, None], targets, cv=folds)
        left_out.append(predicted.reshape(NUM, -1))
        refitted.append(ridge.predict(volume[:, None]).reshape(NUM, -1))
    left_out, refitted = np.hstack(left_out), np.hstack(refitted)
    spread = left_out.std(0)
    return tuple(np.column_stack([scores / spread, age]) for scores in (left_out, refitted))


def trust(*own):
    prior = np.array([OTHER_PRIOR] * 5 + [COVARIATE_PRIOR])
    prior[list(own)] = OWN_PRIOR
    return np.sqrt(prior)


def test_the_fit_is_scikit_learns_stack_with_a_penalty_chosen_across_patients(
    tower, statistics, values, stacked
):
    left_out, refitted = stacked
    for name, own in (("ER", [0]), ("HER2_3", [1, 2, 3])):
        model = LogisticRegression(max_iter=1000).fit(left_out * trust(*own), values[name])
        expected = refitted * trust(*own) @ model.coef_.T + model.intercept_
        found = predict(tower, name, statistics).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=0.02)
    model = Ridge(1.0).fit(left_out * trust(4), values["Ki67"])
    expected = model.predict(refitted * trust(4))
    found = predict(tower, "Ki67", statistics)[:, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)


def cases_of(tower, number, *, seed, shift=0.0):
    """What is measured of unlike patients: noise, and `shift` on a tenth of the statistics."""
    noise = np.random.default_rng(seed).normal(size=(number, tower.standardize.mean.numel()))
    noise[:, : tower.num_of_image // 10] += np.reshape(shift, (-1, 1))
    return torch.from_numpy(noise).float()


def test_one_covariate_is_not_lost_among_hundreds_of_measurements(make_tower, plan):
    tower = make_tower(taps=(), attention="none")
    assert tower.num_of_image > 3 * NUM
    measured, new = cases_of(tower, NUM, seed=1), cases_of(tower, 400, seed=2)
    age = tower.num_statistics - 1
    noise = 0.7 * np.random.default_rng(1).normal(size=NUM)
    positive = measured[:, age].numpy() + noise > 0
    patients = [f"p{case}" for case in range(NUM)]
    fit(tower, measured, {"ER": positive.astype(float)}, plan, patients, plan.heads[:1])
    assert roc_auc_score(new[:, age].numpy() > 0, predict(tower, "ER", new)[:, 0]) > 0.9


def test_covariates_alone_are_enough(make_tower, plan):
    tower = make_tower(intensity=False, descriptors=(), taps=(), attention="none")
    age = 60 + 10 * torch.randn(NUM, 1)
    old = {"ER": (age[:, 0] > 60).double().numpy()}
    fit(tower, age, old, plan, heads=plan.heads[:1])
    assert roc_auc_score(old["ER"], predict(tower, "ER", age)[:, 0]) > 0.99


def test_a_biomarker_known_of_few_is_told_by_one_that_goes_with_it(make_tower, plan):
    er = plan.heads[0]
    pr = dataclasses.replace(er, name="PR")
    generator = np.random.default_rng(2)
    shown, of_new = generator.normal(size=NUM), generator.normal(size=400)
    values = {"ER": (shown > 0).astype(float)}
    values["PR"] = np.where(np.arange(NUM) < 24, values["ER"], np.nan)
    patients = [f"p{case}" for case in range(NUM)]
    told = {}
    for heads in ((pr,), (er, pr)):
        tower = make_tower(taps=(), attention="none", heads=heads)
        fit(tower, cases_of(tower, NUM, seed=3, shift=shown / 3), values, plan, patients, heads)
        new = cases_of(tower, 400, seed=4, shift=of_new / 3)
        told[len(heads)] = roc_auc_score(of_new > 0, predict(tower, "PR", new)[:, 0])
    assert told[2] > told[1] + 0.05


def test_scalars_are_standardized_on_the_training_cases(tower, statistics, values, plan):
    fit(tower, statistics, values, plan)
    numbers = tower.scalars(statistics)[:, :2]
    torch.testing.assert_close(numbers.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(numbers.std(0, correction=0), torch.ones(2), atol=1e-2, rtol=0)


def test_cases_without_a_target_do_not_count(tower, make_tower, statistics, values, plan):
    half = {name: np.where(np.arange(NUM) < 60, value, np.nan) for name, value in values.items()}
    fit(tower, statistics, half, plan)
    other = make_tower(intensity=False, taps=(), attention="none")
    mixed = {name: value.copy() for name, value in half.items()}
    statistics_of_others = statistics.clone()
    statistics_of_others[60:] = statistics[60:].flip(0)  # the same mean and deviation
    fit(other, statistics_of_others, mixed, plan)
    torch.testing.assert_close(tower.head("ER").linear.weight, other.head("ER").linear.weight)


@pytest.mark.parametrize("name", ["ER", "HER2_3"])
def test_a_class_with_too_few_cases_keeps_an_empty_start(tower, statistics, values, plan, name):
    values[name] = np.zeros(NUM)
    values[name][:3] = 1
    fit(tower, statistics, values, plan)
    assert (tower.head(name).linear.weight == 0).all()
    assert (tower.head("Ki67").linear.weight != 0).any()


def test_too_few_patients_keep_an_empty_start(tower, statistics, values, plan):
    few = [f"p{case % (FEWEST_PATIENTS - 1)}" for case in range(NUM)]
    fit(tower, statistics, values, plan, patients=few)
    assert all((head.linear.weight == 0).all() for head in tower.heads.values())


def test_missing_statistics_are_allowed(tower, statistics, values, plan):
    statistics[::5, 1] = torch.nan
    fit(tower, statistics, values, plan)
    assert roc_auc_score(values["ER"], predict(tower, "ER", statistics)[:, 0]) > 0.95
    assert all(value.isfinite().all() for value in tower.state_dict().values() if value.numel() > 1)


@pytest.mark.parametrize("name", ["ER", "Ki67"])
def test_a_score_that_is_below_chance_on_patients_left_out_is_dropped_not_turned_round(
    tower, statistics, values, plan, name
):
    generator = np.random.default_rng(0)
    (head,) = (each for each in plan.heads if each.name == name)
    patients = [f"p{number}" for number in range(NUM)]
    dropped = 0
    for _ in range(10):
        random = {name: generator.permutation(values[name])}
        fit(tower, statistics, random, plan, patients=patients, heads=[head])
        image = tower.num_statistics - tower.num_covariates
        weight = tower.head(name).linear.weight[0, :image].detach()
        answers = (tower.scalars(statistics)[:, :image] @ weight).numpy()
        dropped += not weight.any()
        assert not weight.any() or np.corrcoef(answers, random[name])[0, 1] > 0
    assert dropped >= 3


@pytest.mark.parametrize("is_pooled", [False, True])
def test_pooled_features_are_trusted_as_far_as_they_help(make_tower, values, plan, is_pooled):
    tower = make_tower(intensity=False, taps=(0,), attention="none")
    measured = torch.randn(NUM // 2, tower.standardize.mean.numel()).repeat_interleave(2, dim=0)
    signal = torch.from_numpy(values["Ki67"]).float()
    informative = slice(tower.num_statistics, None) if is_pooled else slice(0, 1)
    measured[:, informative] += 3 * signal[:, None]
    fit(tower, measured, values, plan)
    weight = tower.head("Ki67").linear.weight[0].abs().detach()
    pooled = weight[tower.num_statistics : measured.shape[1]].sum()
    share = float(pooled / weight.sum())
    assert share > 0.9 if is_pooled else share < 0.5


def test_an_ordinal_head_is_fitted_step_by_step(make_tower, statistics, values):
    head = HeadPlan(name="HER2_3", kind="ordinal", num_outputs=2)
    tower = make_tower(intensity=False, taps=(), attention="none", heads=(head,))
    start_linear_heads(
        tower,
        statistics,
        {"HER2_3": values["HER2_3"]},
        [head],
        centers=["A"] * NUM,
        patients=PATIENTS,
    )
    steps = predict(tower, "HER2_3", statistics)
    for step in range(2):
        assert roc_auc_score(values["HER2_3"] > step, steps[:, step]) > 0.95
    classes = head_answers(steps, "ordinal").argmax(1).numpy()
    assert (classes == values["HER2_3"]).mean() > 0.8


BETA = HeadPlan(name="Ki67", kind="beta", num_outputs=2, range=(0.0, 100.0))
PRECISION = 12.0


@pytest.fixture
def beta_start(make_tower):
    """A beta head started on 300 patients whose mean follows the first of two statistics."""
    generator = np.random.default_rng(0)
    statistics = torch.from_numpy(generator.normal(size=(300, 2))).float()
    mean = expit(statistics[:, 0].double().numpy() - 1)
    shares = generator.beta(mean * PRECISION, (1 - mean) * PRECISION).clip(0.005, 0.995)
    tower = make_tower(intensity=False, taps=(), attention="none", heads=(BETA,))
    head = tower.head("Ki67")
    head.center.copy_(torch.tensor([-1.0, 1.2]))
    head.scale.copy_(torch.tensor([1.3, 1.0]))
    values = {"Ki67": (logit(shares) + 1.0) / 1.3}

    def start(values):
        patients = [f"p{number}" for number in range(300)]
        start_linear_heads(
            tower, statistics, values, [BETA], centers=["A"] * 300, patients=patients
        )
        parameters = predict(tower, "Ki67", statistics) * head.scale + head.center
        return expit(parameters[:, 0].double().numpy()), parameters[:, 1].exp()

    return start, values, mean


def test_a_beta_head_starts_with_the_mean_and_the_precision_of_patients_left_out(beta_start):
    start, values, mean = beta_start
    found, precision = start(values)
    assert np.abs(found - mean).mean() < 0.03
    assert precision.std() < 1e-4
    assert precision[0].item() == pytest.approx(PRECISION, rel=0.25)


def test_a_beta_head_that_learned_nothing_starts_as_the_distribution_of_all_targets(beta_start):
    """In-sample residuals would claim more; those of patients left out do not."""
    start, values, _ = beta_start
    shuffled = np.random.default_rng(1).permutation(values["Ki67"])
    found, precision = start({"Ki67": shuffled})
    shares = expit(shuffled * 1.3 - 1.0)
    first, second, _, _ = stats.beta.fit(shares, floc=0, fscale=1)
    assert found.std() < 0.03
    assert found.mean() == pytest.approx(first / (first + second), abs=0.02)
    assert precision[0].item() == pytest.approx(first + second, rel=0.15)


def test_a_covariate_that_tells_the_target_is_used_and_a_missing_one_is_told_as_missing(
    tower, statistics, plan
):
    """Of known ages the old are positive, of unknown ones all: a mean age would tell neither."""
    statistics[::4, 1] = torch.nan
    unknown = statistics[:, 1].isnan().numpy()
    positive = unknown | (statistics[:, 1].numpy() > 10)
    fit(tower, statistics, {"ER": positive.astype(float)}, plan, heads=plan.heads[:1])
    new = torch.tensor([[10.0, 5.0], [10.0, 10.0], [10.0, 15.0], [10.0, torch.nan]])
    young, middle, old, missing = torch.sigmoid(predict(tower, "ER", new))[:, 0].tolist()
    assert young < 0.2 < middle < 0.8 < old
    assert missing > 0.85
