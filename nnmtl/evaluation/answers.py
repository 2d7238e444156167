"""What is evaluated: a model's or a baseline's answers for N cases, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nnmtl.cohort.biomarker import Biomarker
from nnmtl.evaluation.weighted import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """The answers for N cases.

    Attributes:
        case_ids: N unique ids.
        centers: as known to the predictor; None where unknown.
        flags: per case.
        biomarkers: what is answered.
        scores: per biomarker (N, K): class probabilities (binary: negative, positive), or (N, 1)
            values; rows of nan where there is no answer.
        thresholds: per binary biomarker, from which probability on a case is called positive.
        training_median: per continuous biomarker, of the training cases.
        at_least: per continuous biomarker whose model tells it, (N, C) probabilities of reaching
            each of its cutoffs; rows of nan where there is no answer.
    """

    case_ids: tuple[str, ...]
    centers: tuple[str | None, ...]
    flags: tuple[tuple[str, ...], ...]
    biomarkers: tuple[Biomarker, ...]
    scores: Mapping[str, FloatArray]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    training_median: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, FloatArray] = field(default_factory=dict)
