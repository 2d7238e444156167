"""`biomarkers.json`, both directions: complete, and strict on what it reads."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import get_args

from nnmtl.cohort.biomarker import (
    Biomarker,
    CategoricalBiomarker,
    ContinuousBiomarker,
    biomarker_to_json,
    parse_biomarker,
)
from nnmtl.cohort.cell import format_number
from nnmtl.cohort.strict_json import (
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    as_texts,
)
from nnmtl.errors import NnmtlError
from nnmtl.inference.case_prediction import (
    BETWEEN_FLAGS,
    BiomarkerPrediction,
    CasePrediction,
    PredictionSet,
    TrainedOn,
    answer_columns,
    check_answer,
    check_at_least,
)

SCHEMA = 1
_ANSWER_KEY = {"binary": "probability", "categorical": "probabilities", "continuous": "value"}


def predictions_to_json(predictions: PredictionSet) -> dict[str, object]:
    """The content of biomarkers.json, which `parse_predictions` reads back.

    Raises:
        NnmtlError: if two cases have one id, or a case lacks a biomarker.
    """
    for case_id, count in Counter(case.case_id for case in predictions.cases).items():
        if count > 1:
            raise NnmtlError(
                f"predictions: expected case {case_id!r} once, got it {count} times; "
                "predict it once."
            )
    return {
        "schema": SCHEMA,
        "trained_on": predictions.trained_on,
        "model": predictions.model,
        "folds": list(predictions.folds),
        "biomarkers": [biomarker_to_json(entry) for entry in predictions.biomarkers],
        "thresholds": dict(predictions.thresholds),
        "training_median": dict(predictions.training_median),
        "cases": {
            case.case_id: _case_to_json(case, predictions.biomarkers)
            for case in sorted(predictions.cases, key=lambda case: case.case_id)
        },
    }


def parse_predictions(content: object, *, where: str) -> PredictionSet:
    """The predictions in a parsed biomarkers.json.

    Raises:
        NnmtlError: for an unknown or missing key, biomarker or value; `where` names the file.
    """
    keys = ["schema", "trained_on", "model", "folds", "biomarkers"]
    keys += ["thresholds", "training_median", "cases"]
    entry = as_object(content, where=where, required=keys, optional=[])
    if entry["schema"] != SCHEMA:
        raise NnmtlError(f"{where}: expected the schema {SCHEMA}, got {entry['schema']!r}.")
    declared = as_list(entry["biomarkers"], where=f"{where}: biomarkers")
    biomarkers = tuple(parse_biomarker(item) for item in declared)
    cases = as_object(entry["cases"], where=f"{where}: cases")
    folds = as_list(entry["folds"], where=f"{where}: folds")
    return PredictionSet(
        trained_on=_parse_trained_on(entry["trained_on"], where=f"{where}: trained_on"),
        model=as_text(entry["model"], where=f"{where}: model"),
        folds=tuple(as_integer(fold, where=f"{where}: folds") for fold in folds),
        biomarkers=biomarkers,
        thresholds=_parse_numbers(entry, "thresholds", biomarkers, kind="binary", where=where),
        training_median=_parse_numbers(
            entry, "training_median", biomarkers, kind="continuous", where=where
        ),
        cases=tuple(
            _parse_case(case_id, cases[case_id], biomarkers, where=f"{where}: case {case_id!r}")
            for case_id in sorted(cases)
        ),
    )


def _case_to_json(case: CasePrediction, biomarkers: tuple[Biomarker, ...]) -> dict[str, object]:
    declared = {biomarker.name: biomarker for biomarker in biomarkers}
    if set(case.biomarkers) != set(declared):
        raise NnmtlError(
            f"predictions: case {case.case_id!r}: expected the biomarkers "
            f"{', '.join(declared)}, got {', '.join(case.biomarkers)}."
        )
    return {
        "center": case.center,
        "status": case.status,
        "reason": case.reason,
        "flags": list(case.flags),
        "tumor_volume_ml": _number_or_null(case.tumor_volume_ml),
        "biomarkers": {
            name: _prediction_to_json(case.biomarkers[name], biomarker)
            for name, biomarker in declared.items()
        },
    }


def _prediction_to_json(prediction: BiomarkerPrediction, biomarker: Biomarker) -> dict[str, object]:
    entry: dict[str, object] = {
        _ANSWER_KEY[biomarker.kind]: _answer_to_json(prediction.answer, biomarker),
        "fold_sd": prediction.fold_sd,
        "folds": [_answer_to_json(answer, biomarker) for answer in prediction.folds],
    }
    cutoffs = _cutoff_names(biomarker)
    if len(prediction.at_least) not in (0, len(cutoffs)):
        raise NnmtlError(
            f"predictions: {biomarker.name!r}: expected probabilities of {len(cutoffs)} cutoffs or "
            f"of none, got {len(prediction.at_least)}."
        )
    if prediction.at_least:
        numbers = [_number_or_null(number) for number in prediction.at_least]
        entry["at_least"] = dict(zip(cutoffs, numbers, strict=True))
    return entry


def _cutoff_names(biomarker: Biomarker) -> list[str]:
    cutoffs = biomarker.cutoffs if isinstance(biomarker, ContinuousBiomarker) else ()
    return [format_number(cutoff) for cutoff in cutoffs]


def _answer_to_json(answer: tuple[float, ...], biomarker: Biomarker) -> object:
    names = answer_columns(biomarker)
    if len(answer) != len(names):
        raise NnmtlError(
            f"predictions: {biomarker.name!r}: expected {len(names)} numbers, got {len(answer)}."
        )
    if isinstance(biomarker, CategoricalBiomarker):
        numbers = [_number_or_null(number) for number in answer]
        return dict(zip(biomarker.categories, numbers, strict=True))
    return _number_or_null(answer[0])


def _number_or_null(number: float) -> float | None:
    # JSON has no nan; a strict reader elsewhere would refuse the whole file.
    return None if math.isnan(number) else float(number)


def _parse_trained_on(value: object, *, where: str) -> TrainedOn:
    for known in get_args(TrainedOn):
        if value == known:
            return known
    raise NnmtlError(f"{where}: expected patients or phantom, got {value!r}.")


def _parse_numbers(
    entry: Mapping[str, object],
    key: str,
    biomarkers: tuple[Biomarker, ...],
    *,
    kind: str,
    where: str,
) -> dict[str, float]:
    names = [biomarker.name for biomarker in biomarkers if biomarker.kind == kind]
    numbers = as_object(entry[key], where=f"{where}: {key}", optional=names)
    return {
        name: as_number(number, where=f"{where}: {key}: {name!r}")
        for name, number in numbers.items()
    }


def _parse_case(
    case_id: str, content: object, biomarkers: tuple[Biomarker, ...], *, where: str
) -> CasePrediction:
    keys = ["center", "status", "reason", "flags", "tumor_volume_ml", "biomarkers"]
    entry = as_object(content, where=where, required=keys, optional=[])
    names = [biomarker.name for biomarker in biomarkers]
    answers = as_object(entry["biomarkers"], where=where, required=names, optional=[])
    flags = as_texts(entry["flags"], where=f"{where}: flags")
    for flag in flags:
        if BETWEEN_FLAGS in flag:
            raise NnmtlError(
                f"{where}: expected a flag without {BETWEEN_FLAGS!r}, got {flag!r}; rename it."
            )
    return CasePrediction(
        case_id=as_text(case_id, where=where),
        center=_text_or_none(entry["center"], where=f"{where}: center"),
        status=as_text(entry["status"], where=f"{where}: status"),
        reason=_text_or_none(entry["reason"], where=f"{where}: reason"),
        flags=flags,
        tumor_volume_ml=_number_or_nan(entry["tumor_volume_ml"], where=f"{where}: volume"),
        biomarkers={
            biomarker.name: _parse_prediction(
                answers[biomarker.name], biomarker, where=f"{where}: {biomarker.name!r}"
            )
            for biomarker in biomarkers
        },
    )


def _parse_prediction(content: object, biomarker: Biomarker, *, where: str) -> BiomarkerPrediction:
    key = _ANSWER_KEY[biomarker.kind]
    optional = ["at_least"] if _cutoff_names(biomarker) else []
    entry = as_object(content, where=where, required=[key, "fold_sd", "folds"], optional=optional)
    fold_sd = entry["fold_sd"]
    folds = as_list(entry["folds"], where=f"{where}: folds")
    return BiomarkerPrediction(
        answer=_parse_answer(entry[key], biomarker, where=where),
        fold_sd=None if fold_sd is None else as_number(fold_sd, where=f"{where}: fold_sd"),
        folds=tuple(_parse_answer(item, biomarker, where=f"{where}: folds") for item in folds),
        at_least=_parse_at_least(entry["at_least"], biomarker, where=f"{where}: at_least")
        if "at_least" in entry
        else (),
    )


def _parse_at_least(content: object, biomarker: Biomarker, *, where: str) -> tuple[float, ...]:
    cutoffs = _cutoff_names(biomarker)
    entry = as_object(content, where=where, required=cutoffs, optional=[])
    at_least = tuple(_number_or_nan(entry[cutoff], where=where) for cutoff in cutoffs)
    check_at_least(at_least, biomarker, where=where)
    return at_least


def _parse_answer(content: object, biomarker: Biomarker, *, where: str) -> tuple[float, ...]:
    if not isinstance(biomarker, CategoricalBiomarker):
        answer: tuple[float, ...] = (_number_or_nan(content, where=where),)
    else:
        entry = as_object(content, where=where, required=biomarker.categories, optional=[])
        answer = tuple(_number_or_nan(entry[name], where=where) for name in biomarker.categories)
    check_answer(answer, biomarker, where=where)
    return answer


def _number_or_nan(value: object, *, where: str) -> float:
    return math.nan if value is None else as_number(value, where=where)


def _text_or_none(value: object, *, where: str) -> str | None:
    return None if value is None else as_text(value, where=where)
