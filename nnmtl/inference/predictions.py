"""A folder of predictions: `biomarkers.json`, which is complete, and `biomarkers.csv`."""

import json
from pathlib import Path

from nnmtl.errors import NnmtlError
from nnmtl.inference.case_prediction import (
    BiomarkerPrediction,
    CasePrediction,
    PredictionSet,
)
from nnmtl.inference.prediction_json import parse_predictions, predictions_to_json
from nnmtl.inference.prediction_table import write_prediction_table
from nnmtl.whole_file import write_whole

__all__ = [
    "BiomarkerPrediction",
    "CasePrediction",
    "PredictionSet",
    "read_predictions",
    "write_predictions",
]

JSON_NAME = "biomarkers.json"
CSV_NAME = "biomarkers.csv"


def write_predictions(predictions: PredictionSet, folder: Path) -> None:
    """Writes biomarkers.json and biomarkers.csv, cases in the order of their ids.

    Raises:
        NnmtlError: if a case's predictions are not what the biomarkers ask for.
    """
    content = predictions_to_json(predictions)
    # What cannot be read back is not written: one set of checks serves both directions.
    checked = parse_predictions(content, where="predictions")
    write_whole(folder / JSON_NAME, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_prediction_table(checked, folder / CSV_NAME)


def read_predictions(folder: Path) -> PredictionSet:
    """Reads a prediction folder's biomarkers.json.

    Raises:
        NnmtlError: if it is missing, is not JSON, or does not follow the schema.
    """
    path = folder / JSON_NAME
    if not path.is_file():
        raise NnmtlError(
            f"{folder}: expected the file {JSON_NAME} of nnMTL_predict, but there is none; "
            "name a folder of predictions."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NnmtlError(f"{path}: expected JSON, got {error}; predict again.") from error
    return parse_predictions(content, where=str(path))
