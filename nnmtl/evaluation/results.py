"""The results of an evaluation, as frozen values."""

from dataclasses import dataclass
from typing import Literal

from nnmtl.evaluation.join import Joined

# nnU-Net's: of imagesTr or imagesTs.
Split = Literal["Tr", "Ts"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that judges, with its 95 % interval.

    Attributes:
        name: such as `auc` or `auc_low` (class low against the rest).
        value: nan where undefined.
        lower: 2.5th percentile of the bootstrap over patients; nan without an interval.
        upper: 97.5th percentile.
        n: number of cases that it is computed from.
        n_events: how many of them are positive; None where that means nothing.
        reason: why value or interval is undefined; None if both are defined.
    """

    name: str
    value: float
    lower: float
    upper: float
    n: int
    n_events: int | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One task judged on all cases or those of one center.

    Attributes:
        task: `segmentation`, or the biomarker's name.
        kind: `segmentation`, `binary`, `categorical` or `continuous`.
        center: None for all centers.
        num_cases: predicted cases.
        num_patients: their patients.
        num_without_truth: cases left out: target unobserved or known only as a set, or no true
            label map.
        num_without_answer: of the others, those that the model did not answer (segmentation: no
            tumor found although there is one).
        metrics: of the answered cases. For segmentation no tumor found is an answer, the worst.
        intention_to_diagnose: of all cases with truth, where a missing answer counts as equal
            probabilities, or as the training median; None for segmentation.
    """

    task: str
    kind: str
    center: str | None
    num_cases: int
    num_patients: int
    num_without_truth: int
    num_without_answer: int
    metrics: tuple[Metric, ...]
    intention_to_diagnose: tuple[Metric, ...] | None

    def metric(self, name: str) -> Metric:
        """The metric of this name, of the answered cases."""
        return next(metric for metric in self.metrics if metric.name == name)


@dataclass(frozen=True, kw_only=True)
class CaseSegmentation:
    """How well one tumor was outlined; see `nnmtl.evaluation.segmentation` for empty masks."""

    case_id: str
    dice: float
    hd95_mm: float
    true_volume_ml: float
    predicted_volume_ml: float

    @property
    def is_missed(self) -> bool:
        """Whether there is a tumor and none was found."""
        return self.true_volume_ml > 0 and self.predicted_volume_ml == 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Everything found about one model on one set of cases.

    Attributes:
        dataset: name of the raw dataset.
        split: `Tr` or `Ts`.
        model: which model answered.
        trained_on: `patients` or `phantom`.
        is_phantom: whether the model or the cases are synthetic.
        notes: what a reader should know, in sentences.
        joined: the cases.
        segmentations: those with a true label map.
        tasks: first all centers, then each center, task by task.
    """

    dataset: str
    split: Split
    model: str
    trained_on: str
    is_phantom: bool
    notes: tuple[str, ...]
    joined: Joined
    segmentations: tuple[CaseSegmentation, ...]
    tasks: tuple[TaskResult, ...]
