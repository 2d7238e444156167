"""Comparing models: values and differences are those of brute force, on the same patients."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nnmtl.cohort.biomarker import BinaryBiomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.errors import NnmtlError
from nnmtl.evaluation.compared import Entry, MaskScores, Part, Run, merge_tasks
from nnmtl.evaluation.comparison import Cell, Comparison, compare
from nnmtl.evaluation.intervals import Interval, resample_patients
from nnmtl.evaluation.join import Joined, JoinedClass, JoinedNumber
from nnmtl.evaluation.task_metrics import binary_metrics, continuous_metrics

NUM_CASES = 60
HER2_3 = CategoricalBiomarker(name="HER2_3", categories=("zero", "low", "positive"), ordered=True)
KI67 = ContinuousBiomarker(name="Ki67", unit="%", range=(0.0, 100.0))
GENERATOR = np.random.default_rng(11)
POSITIVE = GENERATOR.random(NUM_CASES) < 0.4
NUMBERS = GENERATOR.uniform(1, 60, NUM_CASES)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def draw_scores(seed, *, strength=1.0, positive=POSITIVE):
    noise = np.random.default_rng(seed).normal(size=len(positive))
    return sigmoid(strength * positive + noise)


def binary(scores, *, name="ER", positive=POSITIVE, bayes=None):
    return JoinedClass(
        biomarker=BinaryBiomarker(name=name),
        scores=np.stack([1 - scores, scores], axis=1),
        classes=positive.astype(np.intp),
        threshold=0.5,
        bayes=np.full(len(scores), np.nan) if bayes is None else bayes,
    )


def number(values, *, truth=NUMBERS, median=20.0):
    return JoinedNumber(
        biomarker=KI67,
        scores=values[:, None],
        lower=truth,
        upper=truth,
        training_median=median,
        bayes=np.full(len(values), np.nan),
    )


def part(*biomarkers, dice=None, patients=None, first=0, centers="A"):
    """The cases `first` and following."""
    count = len(biomarkers[0].scores)
    case_ids = tuple(f"case_{first + position:03d}" for position in range(count))
    joined = Joined(
        case_ids=case_ids,
        patient_ids=case_ids if patients is None else tuple(patients),
        centers=tuple(centers[position % len(centers)] for position in range(count)),
        flags=((),) * count,
        without_row=(),
        biomarkers=biomarkers,
    )
    masks = None
    if dice is not None:
        scores = [MaskScores(dice=each, hd95_mm=10 * (1 - each)) for each in dice]
        masks = dict(zip(case_ids, scores, strict=True))
    return Part(source="somewhere", joined=joined, masks=masks, is_phantom=False)


def entry(name, *parts):
    """Each part a run of its own."""
    runs = [Run(label=f"seed {seed}", parts=(each,)) for seed, each in enumerate(parts)]
    return Entry(name=name, runs=tuple(runs))


def compared(*entries, fold_of=None) -> Comparison:
    return compare(entries, dataset="Dataset001_X", split="Ts", fold_of=fold_of or {})


def cell(comparison, task, metric, name) -> Cell:
    (row,) = [row for row in comparison.rows if (row.task, row.metric) == (task, metric)]
    (found,) = [found for found in row.cells if found.entry == name]
    return found


def as_tuple(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.lower, interval.upper


def test_value_and_interval_are_those_of_an_evaluation():
    er, ki67 = binary(draw_scores(1)), number(NUMBERS + draw_scores(2) * 9)
    comparison = compared(entry("one", part(er, ki67)))
    patients = [f"case_{position:03d}" for position in range(NUM_CASES)]
    expected = {metric.name: metric for metric in binary_metrics(er, patients)}
    expected |= {metric.name: metric for metric in continuous_metrics(ki67, patients)}
    for task, metric in (("ER", "auc"), ("Ki67", "mae"), ("Ki67", "skill")):
        value = cell(comparison, task, metric, "one").value
        assert as_tuple(value) == as_tuple(expected[metric])


def test_value_of_an_auc_is_sklearns():
    scores = np.round(draw_scores(1), 1)
    value = cell(compared(entry("one", part(binary(scores)))), "ER", "auc", "one").value
    assert value.value == pytest.approx(roc_auc_score(POSITIVE, scores))


def test_mean_auc_over_classes_is_sklearns():
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 3, NUM_CASES)
    probabilities = generator.dirichlet([1, 1, 1], NUM_CASES)
    her2 = JoinedClass(
        biomarker=HER2_3,
        scores=probabilities,
        classes=classes,
        threshold=np.nan,
        bayes=np.full(NUM_CASES, np.nan),
    )
    value = cell(compared(entry("one", part(her2))), "HER2_3", "auc_macro", "one").value.value
    expected = roc_auc_score(classes, probabilities, multi_class="ovr", average="macro")
    assert value == pytest.approx(expected)


def test_difference_of_means_over_seeds_is_that_of_brute_force():
    """Each resample written out: cases repeated as often as drawn, AUCs by counting pairs."""
    first = [draw_scores(seed, strength=1.2) for seed in (1, 2)]
    second = [draw_scores(seed, strength=0.8) for seed in (3, 4, 5)]
    comparison = compared(
        entry("one", *[part(binary(scores)) for scores in first]),
        entry("two", *[part(binary(scores)) for scores in second]),
    )
    names = [f"case_{position:03d}" for position in range(NUM_CASES)]
    weights = resample_patients(names, strata=POSITIVE.astype(int).tolist()).weights

    def mean_auc(runs, rows):
        return np.mean([brute_auc(scores[rows], POSITIVE[rows]) for scores in runs])

    differences = []
    for counts in weights.astype(int):
        rows = np.repeat(np.arange(NUM_CASES), counts)
        differences.append(mean_auc(second, rows) - mean_auc(first, rows))
    found = cell(comparison, "ER", "auc", "two")
    everyone = np.arange(NUM_CASES)
    assert found.runs == pytest.approx([brute_auc(scores, POSITIVE) for scores in second])
    assert found.value.value == pytest.approx(mean_auc(second, everyone))
    expected = mean_auc(second, everyone) - mean_auc(first, everyone)
    assert found.difference.value == pytest.approx(expected)
    limits = np.quantile(differences, [0.025, 0.975])
    assert [found.difference.lower, found.difference.upper] == pytest.approx(limits)


def brute_auc(scores, positive):
    return (scores[positive][:, None] > scores[~positive]).mean()


def test_a_paired_difference_resolves_what_separate_intervals_do_not():
    base = 0.7 * POSITIVE + np.random.default_rng(0).normal(size=NUM_CASES)
    worse = base - 0.35 * POSITIVE
    comparison = compared(
        entry("one", part(binary(sigmoid(base)))), entry("two", part(binary(sigmoid(worse))))
    )
    one, two = (cell(comparison, "ER", "auc", name) for name in ("one", "two"))
    assert one.value.lower < two.value.upper
    assert two.verdict == "lower"


def test_the_same_answers_differ_by_nothing_and_that_is_not_resolved():
    comparison = compared(
        entry("one", part(binary(draw_scores(1)))), entry("two", part(binary(draw_scores(1))))
    )
    two = cell(comparison, "ER", "auc", "two")
    assert as_tuple(two.difference) == (0, 0, 0)
    assert two.verdict == "not resolved"
    assert cell(comparison, "ER", "auc", "one").difference is None


def test_equal_models_are_told_apart_in_about_one_of_twenty_samples():
    told_apart = 0
    for sample in range(60):
        positive = np.arange(80) % 2 == 0
        scores = [draw_scores(2 * sample + side, positive=positive) for side in (0, 1)]
        one, two = (part(binary(each, positive=positive)) for each in scores)
        comparison = compared(entry("one", one), entry("two", two))
        told_apart += cell(comparison, "ER", "auc", "two").verdict != "not resolved"
    assert 1 <= told_apart <= 8  # 3 expected


def test_folds_on_different_scales_do_not_disturb_each_other():
    half = NUM_CASES // 2
    scores = sigmoid(1.5 * POSITIVE + np.random.default_rng(2).normal(size=NUM_CASES))
    shifted = np.concatenate([scores[:half] / 10, 0.9 + scores[half:] / 10])
    fold_of = {f"case_{position:03d}": position // half for position in range(NUM_CASES)}

    def value_of(scores, fold_of):
        parts = tuple(
            part(binary(scores[rows], positive=POSITIVE[rows]), first=rows.start)
            for rows in (slice(0, half), slice(half, NUM_CASES))
        )
        one = Entry(name="one", runs=(Run(label="", parts=parts),))
        comparison = compared(one, fold_of=fold_of)
        return cell(comparison, "ER", "auc", "one").value, comparison.notes

    (kept, notes), (same, _), (pooled, _) = (
        value_of(*given) for given in ((shifted, fold_of), (scores, fold_of), (shifted, {}))
    )
    assert as_tuple(kept) == as_tuple(same)
    assert abs(pooled.value - kept.value) > 0.05
    assert any("one fold only" in note for note in notes)


def test_errors_of_folds_are_pooled_and_each_fold_has_its_own_training_median():
    half, values = NUM_CASES // 2, NUMBERS + 10 * draw_scores(4)
    parts = tuple(
        part(number(values[rows], truth=NUMBERS[rows], median=median), first=rows.start)
        for rows, median in ((slice(0, half), 10.0), (slice(half, NUM_CASES), 40.0))
    )
    fold_of = {f"case_{position:03d}": position // half for position in range(NUM_CASES)}
    one = Entry(name="one", runs=(Run(label="", parts=parts),))
    comparison = compared(one, fold_of=fold_of)
    medians = np.repeat([10.0, 40.0], half)
    error = np.abs(values - NUMBERS).mean()
    assert cell(comparison, "Ki67", "mae", "one").value.value == pytest.approx(error)
    expected = 1 - error / np.abs(medians - NUMBERS).mean()
    assert cell(comparison, "Ki67", "skill", "one").value.value == pytest.approx(expected)


def test_only_common_cases_count_whatever_the_order_and_the_rest_is_told():
    scores = [draw_scores(1), draw_scores(2)]
    one = part(binary(scores[0]))
    two = part(binary(scores[1][10:], positive=POSITIVE[10:]), first=10)
    comparison = compared(entry("one", one), entry("two", two))
    assert comparison.num_cases == NUM_CASES - 10
    assert comparison.notes[0].endswith("not every run has them: 10.")
    for name, values in zip(("one", "two"), scores, strict=True):
        expected = roc_auc_score(POSITIVE[10:], values[10:])
        assert cell(comparison, "ER", "auc", name).value.value == pytest.approx(expected)


def test_entries_without_a_common_case_are_refused():
    scores = draw_scores(1)
    with pytest.raises(NnmtlError, match=r"two: expected .* 'case_000', got none .* 'case_100'"):
        compared(entry("one", part(binary(scores))), entry("two", part(binary(scores), first=100)))


def test_a_missing_answer_counts_as_knowing_nothing():
    scores, values = draw_scores(1), NUMBERS + 5.0
    scores[:3], values[:3] = np.nan, np.nan
    comparison = compared(
        entry("one", part(binary(draw_scores(2)), number(NUMBERS))),
        entry("two", part(binary(scores), number(values))),
    )
    filled = np.where(np.isnan(scores), 0.5, scores)
    value = cell(comparison, "ER", "auc", "two").value.value
    assert value == pytest.approx(roc_auc_score(POSITIVE, filled))
    error = np.abs(np.where(np.isnan(values), 20.0, values) - NUMBERS).mean()
    assert cell(comparison, "Ki67", "mae", "two").value.value == pytest.approx(error)
    assert any(note.startswith(f"two: 3 of {NUM_CASES} cases") for note in comparison.notes)


def test_what_an_entry_does_not_predict_is_undefined_with_a_reason_and_others_go_on():
    er, pr = binary(draw_scores(1)), binary(draw_scores(2), name="PR")
    dice = np.linspace(0.5, 0.9, NUM_CASES)
    comparison = compared(entry("one", part(er, pr, dice=dice)), entry("two", part(er)))
    for task, metric in (("PR", "auc"), ("segmentation", "dice"), ("all binary", "mean_auc")):
        two = cell(comparison, task, metric, "two")
        assert np.isnan(two.value.value)
        assert two.verdict == "undefined"
        assert "this entry" in two.reason
        assert not np.isnan(cell(comparison, task, metric, "one").value.lower)
    assert cell(comparison, "ER", "auc", "two").verdict == "not resolved"


def test_dice_is_the_mean_over_the_cases_with_a_true_label_map():
    dice = np.random.default_rng(0).random(NUM_CASES)
    known = dice.copy()
    known[:5] = np.nan
    comparison = compared(entry("one", part(binary(draw_scores(1)), dice=known)))
    (row, *_) = comparison.rows
    assert (row.task, row.n) == ("segmentation", NUM_CASES - 5)
    assert row.cells[0].value.value == pytest.approx(dice[5:].mean())


def test_mean_auc_and_efficiency_of_all_binary_biomarkers():
    generator = np.random.default_rng(5)
    other = generator.random(NUM_CASES) < 0.5
    bayes = [draw_scores(7, strength=3), draw_scores(8, strength=2, positive=other)]
    scores = [draw_scores(9), draw_scores(10, positive=other)]

    def both(answers):
        first = binary(answers[0], bayes=bayes[0])
        return part(first, binary(answers[1], name="PR", positive=other, bayes=bayes[1]))

    constant = [np.full(NUM_CASES, 0.3)] * 2
    comparison = compared(
        entry("model", both(scores)), entry("exact", both(bayes)), entry("chance", both(constant))
    )
    aucs = [roc_auc_score(POSITIVE, scores[0]), roc_auc_score(other, scores[1])]
    best = [roc_auc_score(POSITIVE, bayes[0]), roc_auc_score(other, bayes[1])]
    mean = cell(comparison, "all binary", "mean_auc", "model").value.value
    assert mean == pytest.approx(np.mean(aucs))
    share = cell(comparison, "all binary", "efficiency", "model").value
    assert share.value == pytest.approx((sum(aucs) - 1) / (sum(best) - 1))
    assert share.lower < share.value < share.upper
    exact = cell(comparison, "all binary", "efficiency", "exact").value
    assert as_tuple(exact) == pytest.approx((1, 1, 1))
    chance = cell(comparison, "all binary", "efficiency", "chance").value
    assert as_tuple(chance) == pytest.approx((0, 0, 0))


def test_without_the_exact_posterior_of_every_case_there_is_no_efficiency():
    bayes = draw_scores(7)
    bayes[0] = np.nan
    comparison = compared(entry("one", part(binary(draw_scores(1), bayes=bayes))))
    assert [(row.task, row.metric) for row in comparison.rows] == [("ER", "auc")]


def test_cases_of_one_patient_are_drawn_together():
    scores, twice = draw_scores(1), partial(np.tile, reps=2)
    both = binary(twice(scores), positive=twice(POSITIVE))
    names = [f"p{position}" for position in range(NUM_CASES)]
    single = compared(entry("one", part(binary(scores), patients=names)))
    double = compared(entry("one", part(both, patients=names * 2)))
    of_single, of_double = (cell(each, "ER", "auc", "one").value for each in (single, double))
    assert as_tuple(of_double) == pytest.approx(as_tuple(of_single))
    assert (double.num_cases, double.num_patients) == (2 * NUM_CASES, NUM_CASES)


def test_unobserved_targets_leave_the_case_to_the_other_tasks():
    er = binary(draw_scores(1))
    pr = binary(draw_scores(2), name="PR")
    pr.classes[:20] = -1
    rows = {row.task: row for row in compared(entry("one", part(er, pr))).rows}
    assert (rows["ER"].n, rows["PR"].n, rows["all binary"].n) == (NUM_CASES, 40, NUM_CASES)
    expected = roc_auc_score(POSITIVE[20:], draw_scores(2)[20:])
    assert rows["PR"].cells[0].value.value == pytest.approx(expected)


def test_without_a_known_target_the_metric_says_so():
    er = binary(draw_scores(1))
    er.classes[:] = -1
    found = cell(compared(entry("one", part(er))), "ER", "auc", "one")
    assert found.reason == "no case has a target"


def test_the_table_of_a_center_is_that_of_its_cases_alone():
    scores, others, dice = draw_scores(1), draw_scores(2), np.linspace(0.5, 0.9, NUM_CASES)
    entries = [
        entry(name, part(binary(each), dice=dice, centers="AB"))
        for name, each in (("one", scores), ("two", others))
    ]
    whole = compare(entries, dataset="X", split="Ts", fold_of={}, by_center=True)
    assert compared(*entries).center_rows == {}
    assert list(whole.center_rows) == ["A", "B"]
    for start, rows in enumerate(whole.center_rows.values()):
        at = slice(start, None, 2)
        assert {row.metric for row in rows} == {"dice", "hd95_mm", "auc"}
        of = {row.metric: row for row in rows}
        assert of["dice"].cells[0].value.value == pytest.approx(dice[at].mean())
        assert of["hd95_mm"].cells[1].value.value == pytest.approx(10 * (1 - dice[at]).mean())
        one, two = of["auc"].cells
        expected = [roc_auc_score(POSITIVE[at], each[at]) for each in (scores, others)]
        assert [one.value.value, two.value.value] == pytest.approx(expected)
        assert two.difference.value == pytest.approx(expected[1] - expected[0])
        assert (of["auc"].n, of["auc"].n_events) == (30, POSITIVE[at].sum())


def test_a_single_center_has_no_table_of_its_own():
    one = entry("one", part(binary(draw_scores(1))))
    assert compare([one], dataset="X", split="Ts", fold_of={}, by_center=True).center_rows == {}


def test_two_entries_of_one_name_are_refused():
    one = entry("one", part(binary(draw_scores(1))))
    with pytest.raises(NnmtlError, match="one: expected one entry of this name"):
        compared(one, one)


def test_models_of_one_task_each_count_as_one_model():
    er, pr = binary(draw_scores(1)), binary(draw_scores(2), name="PR")
    dice = np.linspace(0.5, 0.9, NUM_CASES)
    both = part(er, pr, dice=dice)
    merged = merge_tasks([part(er, dice=dice - 0.1), part(pr, dice=dice + 0.1)])
    comparison = compared(entry("both", both), entry("single_task", merged))
    assert {row.task for row in comparison.rows} == {"segmentation", "ER", "PR", "all binary"}
    for row in comparison.rows:
        one, other = row.cells
        assert as_tuple(other.value) == pytest.approx(as_tuple(one.value))
    assert not any("lack an answer" in note for note in comparison.notes)


def test_models_of_one_task_on_other_cases_or_of_the_same_task_are_refused():
    one = part(binary(draw_scores(1)))
    with pytest.raises(NnmtlError, match="got 60 cases, not all of them the same"):
        merge_tasks([one, part(binary(draw_scores(2), name="PR"), first=1)])
    with pytest.raises(NnmtlError, match="two that answer one of ER, ER"):
        merge_tasks([one, one])
