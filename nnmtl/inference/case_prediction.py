"""What was predicted for a case, and by what."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nnmtl.cohort.biomarker import Biomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.cell import format_number
from nnmtl.errors import NnmtlError

STATUS_OK = "ok"
TrainedOn = Literal["patients", "phantom"]
BETWEEN_FLAGS = ";"
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class BiomarkerPrediction:
    """The answer for one biomarker of one case.

    Attributes:
        answer: one number (probability of positive, or value in the biomarker's unit), or one
            probability per category in declared order; nan where there is no answer.
        fold_sd: standard deviation between folds (the largest over categories), None for one fold.
        folds: each fold's own answer.
        at_least: of a continuous biomarker, the probability of reaching each declared cutoff, nan
            where there is no answer; empty where the model gives no distribution.
    """

    answer: tuple[float, ...]
    fold_sd: float | None = None
    folds: tuple[tuple[float, ...], ...] = ()
    at_least: tuple[float, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Whether there is no answer."""
        return any(math.isnan(number) for number in self.answer)


@dataclass(frozen=True, kw_only=True)
class CasePrediction:
    """Everything said about one case.

    Attributes:
        case_id: as in the image's file name.
        center: given or recognized; None if unknown.
        status: `ok`, or why biomarkers are missing, such as `empty_segmentation`.
        reason: the status in a sentence.
        flags: what a reader should know, such as `TINY_LESION`.
        tumor_volume_ml: of the predicted mask; nan if unknown.
        biomarkers: one prediction per biomarker of the set.
    """

    case_id: str
    center: str | None = None
    status: str = STATUS_OK
    reason: str | None = None
    flags: tuple[str, ...] = ()
    tumor_volume_ml: float = math.nan
    biomarkers: Mapping[str, BiomarkerPrediction] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PredictionSet:
    """The predictions of one model for some cases.

    Attributes:
        trained_on: `phantom` marks everything derived from it.
        model: which model answered.
        folds: its folds.
        biomarkers: what it predicts, as declared where it was trained.
        thresholds: per binary biomarker, from which probability on a case is called positive.
        training_median: per continuous biomarker, of the model's training cases.
        cases: the predictions.
    """

    trained_on: TrainedOn
    model: str
    folds: tuple[int, ...]
    biomarkers: tuple[Biomarker, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    training_median: Mapping[str, float] = field(default_factory=dict)
    cases: tuple[CasePrediction, ...]


def answer_columns(biomarker: Biomarker) -> list[str]:
    """The columns of biomarkers.csv that hold the answer, one per number of it."""
    if isinstance(biomarker, CategoricalBiomarker):
        return [f"{biomarker.name}_{category}" for category in biomarker.categories]
    return [biomarker.name]


def cutoff_columns(biomarker: Biomarker) -> list[str]:
    """The columns of biomarkers.csv with the probability of reaching each cutoff: `Ki67>=20`."""
    if not isinstance(biomarker, ContinuousBiomarker):
        return []
    return [f"{biomarker.name}>={format_number(cutoff)}" for cutoff in biomarker.cutoffs]


def check_at_least(at_least: tuple[float, ...], biomarker: Biomarker, *, where: str) -> None:
    """Refuses what is no probability, and a higher cutoff that is likelier to be reached.

    Raises:
        NnmtlError: that begins with `where`.
    """
    known = [number for number in at_least if not math.isnan(number)]
    if not all(0 <= number <= 1 for number in known) or known != sorted(known, reverse=True):
        raise NnmtlError(
            f"{where}: expected probabilities of {', '.join(cutoff_columns(biomarker))} from 0 to "
            f"1 that do not rise, got {list(at_least)!r}; derive them from one distribution."
        )


def check_answer(answer: tuple[float, ...], biomarker: Biomarker, *, where: str) -> None:
    """Refuses probabilities that are none; a partly missing distribution is none either.

    Raises:
        NnmtlError: that begins with `where`.
    """
    if biomarker.kind == "continuous" or all(math.isnan(number) for number in answer):
        return
    if not all(0 <= number <= 1 for number in answer):
        raise NnmtlError(f"{where}: expected probabilities from 0 to 1, got {list(answer)!r}.")
    if isinstance(biomarker, CategoricalBiomarker) and abs(sum(answer) - 1) > _SUM_TOLERANCE:
        raise NnmtlError(
            f"{where}: expected probabilities that sum to 1, got {list(answer)!r}, "
            f"which sum to {sum(answer):g}."
        )
