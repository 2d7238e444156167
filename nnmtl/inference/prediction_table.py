"""`biomarkers.csv`, both directions: a row per case, to be looked at in a spreadsheet.

It leaves out what needs nesting: status, reason and the folds' own answers.
"""

import math
from pathlib import Path

from nnmtl.cohort.biomarker import Biomarker
from nnmtl.cohort.cell import format_number
from nnmtl.cohort.csv_file import CsvRow, read_lines, rows_of_lines, write_csv
from nnmtl.inference.case_prediction import (
    BETWEEN_FLAGS,
    BiomarkerPrediction,
    CasePrediction,
    PredictionSet,
    answer_columns,
    check_answer,
    check_at_least,
    cutoff_columns,
)

_CASE_COLUMNS = ("case_id", "center", "flags", "tumor_volume_ml")


def write_prediction_table(predictions: PredictionSet, path: Path) -> None:
    """Writes the table; numbers read back exactly."""
    write_csv(path, _columns(predictions))


def read_prediction_table(
    path: Path, biomarkers: tuple[Biomarker, ...]
) -> tuple[CasePrediction, ...]:
    """Reads biomarkers.csv; status, reason and folds keep their defaults, as it has none.

    Raises:
        NnmtlError: naming file, row and column of a bad cell.
    """
    lines = read_lines(path)
    columns = [*_CASE_COLUMNS]
    for biomarker in biomarkers:
        columns += [*answer_columns(biomarker), f"{biomarker.name}_fold_sd"]
        cutoffs = cutoff_columns(biomarker)
        columns += cutoffs if any(name in cell for cell in lines[:1] for name in cutoffs) else []
    rows = rows_of_lines(path, lines, columns, with_others=False)
    return tuple(_parse_row(row, biomarkers) for row in rows)


def _columns(predictions: PredictionSet) -> dict[str, list[str]]:
    cases = predictions.cases
    columns = {
        "case_id": [case.case_id for case in cases],
        "center": [case.center or "" for case in cases],
        "flags": [BETWEEN_FLAGS.join(case.flags) for case in cases],
        "tumor_volume_ml": [format_number(case.tumor_volume_ml) for case in cases],
    }
    for biomarker in predictions.biomarkers:
        answers = [case.biomarkers[biomarker.name] for case in cases]
        for position, column in enumerate(answer_columns(biomarker)):
            columns[column] = [format_number(answer.answer[position]) for answer in answers]
        columns[f"{biomarker.name}_fold_sd"] = [
            format_number(math.nan if answer.fold_sd is None else answer.fold_sd)
            for answer in answers
        ]
        if any(answer.at_least for answer in answers):
            for position, column in enumerate(cutoff_columns(biomarker)):
                columns[column] = [
                    format_number(answer.at_least[position] if answer.at_least else math.nan)
                    for answer in answers
                ]
    return columns


def _parse_row(row: CsvRow, biomarkers: tuple[Biomarker, ...]) -> CasePrediction:
    return CasePrediction(
        case_id=row["case_id"],
        center=row["center"] or None,
        flags=tuple(row["flags"].split(BETWEEN_FLAGS)) if row["flags"] else (),
        tumor_volume_ml=_parse_cell(row, "tumor_volume_ml"),
        biomarkers={
            biomarker.name: _parse_row_prediction(row, biomarker) for biomarker in biomarkers
        },
    )


def _parse_row_prediction(row: CsvRow, biomarker: Biomarker) -> BiomarkerPrediction:
    columns = answer_columns(biomarker)
    answer = tuple(_parse_cell(row, column) for column in columns)
    check_answer(answer, biomarker, where=f"{row.path}: row {row.number}, {columns[0]!r}")
    fold_sd = _parse_cell(row, f"{biomarker.name}_fold_sd")
    cutoffs = [column for column in cutoff_columns(biomarker) if column in row.cells]
    at_least = tuple(_parse_cell(row, column) for column in cutoffs)
    check_at_least(at_least, biomarker, where=f"{row.path}: row {row.number}")
    return BiomarkerPrediction(
        answer=answer, fold_sd=None if math.isnan(fold_sd) else fold_sd, at_least=at_least
    )


def _parse_cell(row: CsvRow, column: str) -> float:
    try:
        number = float(row[column])
    except ValueError as error:
        raise row.error(column, "a number or nan") from error
    if math.isinf(number):
        raise row.error(column, "a number or nan")
    return number
