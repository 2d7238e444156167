"""Prediction files: what is written reads back, and what is wrong is refused in one sentence."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnmtl.cohort.biomarker import (
    BinaryBiomarker,
    CategoricalBiomarker,
    ContinuousBiomarker,
)
from nnmtl.errors import NnmtlError
from nnmtl.inference.prediction_json import parse_predictions, predictions_to_json
from nnmtl.inference.prediction_table import read_prediction_table
from nnmtl.inference.predictions import (
    BiomarkerPrediction,
    CasePrediction,
    PredictionSet,
    read_predictions,
    write_predictions,
)

ER = BinaryBiomarker(name="ER")
HER2 = CategoricalBiomarker(name="HER2_3", categories=("zero", "low", "positive"), ordered=True)
KI67 = ContinuousBiomarker(name="Ki67", unit="%", range=(0.0, 100.0), cutoffs=(14.0, 20.0))
NAN = math.nan

probabilities = st.one_of(st.floats(0, 1), st.just(NAN))
# -0 is read back as 0, which is the same value.
values = st.one_of(st.floats(-1e6, 1e6).map(lambda value: value + 0.0), st.just(NAN))
texts = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=";"), min_size=1)


@st.composite
def distributions(draw: st.DrawFn) -> tuple[float, ...]:
    if draw(st.booleans()):
        return (NAN, NAN, NAN)
    first, second = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    return (first, second - first, 1 - second)


@st.composite
def at_least(draw: st.DrawFn) -> tuple[float, ...]:
    """Of two cutoffs the higher is reached less often; none where the model says nothing of it."""
    first, second = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    return draw(st.sampled_from([(), (NAN, NAN), (second, first)]))


def predictions_of(
    answers: st.SearchStrategy[tuple[float, ...]],
    at_least: st.SearchStrategy[tuple[float, ...]],
) -> st.SearchStrategy:
    return st.builds(
        BiomarkerPrediction,
        answer=answers,
        fold_sd=st.none() | st.floats(0, 10),
        folds=st.lists(answers, max_size=3).map(tuple),
        at_least=at_least,
    )


cases = st.builds(
    CasePrediction,
    case_id=texts,
    center=st.none() | texts,
    status=texts,
    reason=st.none() | texts,
    flags=st.lists(texts, unique=True, max_size=3).map(tuple),
    tumor_volume_ml=st.one_of(st.floats(0, 1e4), st.just(NAN)),
    biomarkers=st.fixed_dictionaries(
        {
            "ER": predictions_of(st.tuples(probabilities), st.just(())),
            "HER2_3": predictions_of(distributions(), st.just(())),
            "Ki67": predictions_of(st.tuples(values), at_least()),
        }
    ),
)
prediction_sets = st.builds(
    PredictionSet,
    trained_on=st.sampled_from(["patients", "phantom"]),
    model=texts,
    folds=st.lists(st.integers(0, 9), max_size=5).map(tuple),
    biomarkers=st.just((ER, HER2, KI67)),
    thresholds=st.dictionaries(st.just("ER"), st.floats(0, 1)),
    training_median=st.dictionaries(st.just("Ki67"), st.floats(0, 100)),
    cases=st.lists(cases, max_size=4, unique_by=lambda case: case.case_id).map(tuple),
)


def example() -> PredictionSet:
    return PredictionSet(
        trained_on="patients",
        model="nnMTLTrainer__nnMTLPlans__3d_fullres",
        folds=(0,),
        biomarkers=(ER, KI67),
        thresholds={"ER": 0.77},
        training_median={"Ki67": 22.8},
        cases=(
            CasePrediction(
                case_id="b",
                center="A",
                tumor_volume_ml=1.2,
                biomarkers={
                    "ER": BiomarkerPrediction(answer=(0.8,), folds=((0.8,),)),
                    "Ki67": BiomarkerPrediction(answer=(23.1,), folds=((23.1,),)),
                },
            ),
            CasePrediction(
                case_id="a",
                status="empty_segmentation",
                reason="No tumor was found.",
                flags=("EMPTY_SEG", "OOD_ACQ"),
                biomarkers={
                    "ER": BiomarkerPrediction(answer=(NAN,)),
                    "Ki67": BiomarkerPrediction(answer=(NAN,)),
                },
            ),
        ),
    )


@given(predictions=prediction_sets)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_files_read_back_as_written(
    predictions: PredictionSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("predictions")
    write_predictions(predictions, folder)
    assert predictions_to_json(read_predictions(folder)) == predictions_to_json(predictions)
    rows = read_prediction_table(folder / "biomarkers.csv", predictions.biomarkers)
    expected = sorted(predictions.cases, key=lambda case: case.case_id)
    assert [(row.case_id, row.center, row.flags) for row in rows] == [
        (case.case_id, case.center, case.flags) for case in expected
    ]
    for row, case in zip(rows, expected, strict=True):
        for name in ("ER", "HER2_3", "Ki67"):
            # repr is equal for nan too.
            assert repr(row.biomarkers[name].answer) == repr(case.biomarkers[name].answer)
            assert row.biomarkers[name].fold_sd == case.biomarkers[name].fold_sd
        # A table has the columns or has not: a case without says nan where others have them.
        given = case.biomarkers["Ki67"].at_least
        has_columns = any(each.biomarkers["Ki67"].at_least for each in expected)
        assert repr(row.biomarkers["Ki67"].at_least) == repr(
            given or (NAN, NAN) if has_columns else ()
        )


def with_at_least(*probabilities: float) -> PredictionSet:
    """The example, whose case b says how likely Ki67 is at least 14 and 20."""
    predictions = example()
    case = predictions.cases[0]
    ki67 = replace(case.biomarkers["Ki67"], at_least=probabilities)
    case = replace(case, biomarkers={**case.biomarkers, "Ki67": ki67})
    return replace(predictions, cases=(case, *predictions.cases[1:]))


def test_the_probabilities_of_cutoffs_have_a_column_and_a_key_each(tmp_path: Path) -> None:
    write_predictions(with_at_least(0.9, 0.6), tmp_path)
    header, without, case = (tmp_path / "biomarkers.csv").read_text().splitlines()
    assert header.endswith("Ki67,Ki67_fold_sd,Ki67>=14,Ki67>=20")
    assert case.endswith(",0.9,0.6")
    assert without.endswith("nan,nan")
    content = json.loads((tmp_path / "biomarkers.json").read_text())
    assert content["cases"]["b"]["biomarkers"]["Ki67"]["at_least"] == {"14": 0.9, "20": 0.6}
    assert "at_least" not in content["cases"]["a"]["biomarkers"]["Ki67"]


@pytest.mark.parametrize("wrong", [(0.6, 0.9), (1.2, 0.5), (0.5, -0.1)])
def test_probabilities_that_rise_along_the_cutoffs_are_refused(wrong, tmp_path: Path) -> None:
    with pytest.raises(NnmtlError, match=r"Ki67>=14, Ki67>=20 from 0 to 1 that do not rise"):
        write_predictions(with_at_least(*wrong), tmp_path)
    assert not list(tmp_path.iterdir())


def test_probabilities_of_too_few_cutoffs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NnmtlError, match="of 2 cutoffs or of none, got 1"):
        write_predictions(with_at_least(0.5), tmp_path)


def test_the_table_has_one_row_per_case_in_order(tmp_path: Path) -> None:
    write_predictions(example(), tmp_path)
    assert (tmp_path / "biomarkers.csv").read_text() == (
        "case_id,center,flags,tumor_volume_ml,ER,ER_fold_sd,Ki67,Ki67_fold_sd\n"
        "a,,EMPTY_SEG;OOD_ACQ,nan,nan,nan,nan,nan\n"
        "b,A,,1.2,0.8,nan,23.1,nan\n"
    )


def test_a_missing_answer_is_null_in_json(tmp_path: Path) -> None:
    write_predictions(example(), tmp_path)
    content = json.loads((tmp_path / "biomarkers.json").read_text())
    assert content["cases"]["a"]["biomarkers"]["ER"] == {
        "probability": None,
        "fold_sd": None,
        "folds": [],
    }
    assert content["cases"]["b"]["biomarkers"]["Ki67"]["value"] == 23.1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "biomarkers.csv",
        "biomarkers.json",
    ]


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("schema",), 2, "expected the schema 1, got 2"),
        (("trained_on",), "mice", "expected patients or phantom, got 'mice'"),
        (("thresholds", "Ki67"), 0.5, "unknown key 'Ki67'"),
        (("surprise",), 1, "unknown key 'surprise'"),
        (("cases", "b", "flags"), ["a;b"], "without ';'"),
        (("cases", "b", "biomarkers", "ER", "probability"), 1.2, "from 0 to 1"),
        (("cases", "b", "biomarkers", "ER", "probability"), "0.2", "a finite number"),
        (("cases", "b", "biomarkers", "PR"), {}, "unknown key 'PR'"),
        (("cases", "b", "biomarkers", "Ki67", "folds"), 3, "a JSON list"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_place(
    path: tuple[str, ...], value: object, complaint: str
) -> None:
    content = json.loads(json.dumps(predictions_to_json(example())))
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    with pytest.raises(NnmtlError, match=complaint) as caught:
        parse_predictions(content, where="biomarkers.json")
    assert str(caught.value).startswith("biomarkers.json")


def test_probabilities_that_do_not_sum_to_one_are_refused(tmp_path: Path) -> None:
    bad = BiomarkerPrediction(answer=(0.5, 0.3, 0.3))
    predictions = PredictionSet(
        trained_on="patients",
        model="m",
        folds=(0,),
        biomarkers=(HER2,),
        cases=(CasePrediction(case_id="a", biomarkers={"HER2_3": bad}),),
    )
    with pytest.raises(NnmtlError, match="sum to 1"):
        write_predictions(predictions, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_case_twice_is_refused(tmp_path: Path) -> None:
    case = CasePrediction(case_id="a")
    predictions = PredictionSet(
        trained_on="patients", model="m", folds=(0,), biomarkers=(), cases=(case, case)
    )
    with pytest.raises(NnmtlError, match="'a' once, got it 2 times"):
        write_predictions(predictions, tmp_path)


def test_a_folder_without_predictions_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(NnmtlError, match="name a folder of predictions"):
        read_predictions(tmp_path)


def test_a_half_written_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "biomarkers.json").write_text('{"schema": 1,')
    with pytest.raises(NnmtlError, match="expected JSON"):
        read_predictions(tmp_path)


def test_a_bad_cell_names_row_and_column(tmp_path: Path) -> None:
    table = tmp_path / "biomarkers.csv"
    table.write_text("case_id,center,flags,tumor_volume_ml,ER,ER_fold_sd\na,,,1,high,nan\n")
    with pytest.raises(NnmtlError, match=r"row 2, column 'ER'.*'high'"):
        read_prediction_table(table, (ER,))
