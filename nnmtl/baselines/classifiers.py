"""Classical models of one biomarker from a table of features, tuned inside the training cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, SVR

from nnmtl.cohort.biomarker import Biomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.cohort.targets import ClassTarget, Target

ModelKind = Literal["logistic", "svm"]
Array = NDArray[np.float64]
Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

FOLDS = 5
LIMIT = 4.0  # standard deviations; what a bad mask measures must not decide alone
MAX_ITERATIONS = 5000
LOGISTIC_C = tuple(np.logspace(-4, 1, 6).tolist())
RIDGE_ALPHA = tuple(np.logspace(0, 4, 9).tolist())
SVM_C = (0.1, 1.0, 10.0, 100.0)
SVM_WIDTH = (0.03, 0.1, 0.3, 1.0)  # gamma as multiples of 1 / number of features
LEAST_SHARE = 0.005  # of a continuous range: keeps the logit of its ends finite


@dataclass(frozen=True, kw_only=True)
class FittedBiomarker:
    """A model of one biomarker.

    Attributes:
        biomarker: what it answers.
        estimator: of scikit-learn, from (N, F) features with nan where missing; None where no
            training case tells the biomarker exactly.
    """

    biomarker: Biomarker
    estimator: Any

    def predict(self, features: Array) -> Array:
        """(N, F) → (N, K): probability of positive, of each category, or the value in its unit.

        nan where there is no estimator; a category that no training case has gets 0.
        """
        categories = _num_classes(self.biomarker)
        if self.estimator is None:
            return np.full((len(features), categories if categories > 2 else 1), np.nan)
        if isinstance(self.biomarker, ContinuousBiomarker):
            values = np.asarray(self.estimator.predict(features), dtype=np.float64)
            return np.clip(values, *self.biomarker.range)[:, None]
        probabilities = np.zeros((len(features), categories))
        probabilities[:, self.estimator.classes_] = self.estimator.predict_proba(features)
        is_binary = self.biomarker.kind == "binary"
        return probabilities[:, 1:] if is_binary else probabilities


def fit_biomarker(
    biomarker: Biomarker,
    target: Target,
    features: Array,
    patients: Sequence[str],
    *,
    model: ModelKind,
) -> FittedBiomarker:
    """Fits a model on the training cases that tell the biomarker exactly.

    Cases without observation, with a set of classes or an interval are left out. The model is a
    pipeline: median imputation with missing indicators, standardization, then an L2-penalized
    logistic or ridge regression, or an RBF support vector machine, its decision function calibrated
    by a sigmoid on left-out patients. Penalty and kernel width are those that do best on left-out
    patients of the training cases. An ordered biomarker is fitted as categories. Where the rarest
    class has a single patient, or there is one class only, the answer is the share of each class;
    with less than two patients of a continuous biomarker, its median.

    Args:
        biomarker: what to learn.
        target: of the N training cases.
        features: (N, F), nan where missing.
        patients: (N,) the patient of each case.
        model: the kind; of a continuous biomarker `logistic` is ridge regression, `svm` is SVR.
    """
    known, values = exactly_known(target)
    groups = np.array(patients)[known]
    table = features[known]
    if not len(values):
        estimator = None
    elif isinstance(biomarker, ContinuousBiomarker):
        estimator = _fit_value(biomarker, table, values, groups, model)
    else:
        estimator = _fit_class(table, values.astype(np.intp), groups, model)
    return FittedBiomarker(biomarker=biomarker, estimator=estimator)


def exactly_known(target: Target) -> tuple[NDArray[np.bool_], Array]:
    """(N,) which cases tell one class or one number, and that class or number of each of these."""
    if isinstance(target, ClassTarget):
        known = target.observed & (target.possible.sum(1) == 1)
        return known, target.possible[known].argmax(1).astype(np.float64)
    known = target.observed & (target.lower == target.upper)
    return known, target.lower[known]


def _num_classes(biomarker: Biomarker) -> int:
    return len(biomarker.categories) if isinstance(biomarker, CategoricalBiomarker) else 2


def _pipeline(last: Any) -> Pipeline:
    limits = {"a_min": -LIMIT, "a_max": LIMIT}
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        FunctionTransformer(np.clip, kw_args=limits),
        last,
    )


def _fit_class(table: Array, classes: NDArray[np.intp], groups: Any, model: ModelKind) -> Any:
    folds = _class_folds(table, classes, groups)
    if not folds:
        return DummyClassifier(strategy="prior").fit(table, classes)
    if model == "logistic":
        pipeline = _pipeline(LogisticRegression(max_iter=MAX_ITERATIONS))
        scorer = make_scorer(
            log_loss,
            greater_is_better=False,
            response_method="predict_proba",
            labels=np.unique(classes),
        )
        grid = {"logisticregression__C": LOGISTIC_C}
        return _best(pipeline, grid, scorer, folds, table, classes)
    machine = _pipeline(SVC(kernel="rbf"))
    best = _best(machine, _svm_grid("svc", table), _ranking, folds, table, classes)
    calibrated = CalibratedClassifierCV(best, method="sigmoid", cv=folds, ensemble=False)
    return calibrated.fit(table, classes)


def _fit_value(
    biomarker: ContinuousBiomarker, table: Array, values: Array, groups: Any, model: ModelKind
) -> Any:
    """Regression of the logit within the range, so that no answer leaves it."""
    if len(np.unique(groups)) < 2:
        return DummyRegressor(strategy="median").fit(table, values)
    regression = Ridge() if model == "logistic" else SVR(kernel="rbf")
    bounds = {"low": biomarker.range[0], "high": biomarker.range[1]}
    pipeline = TransformedTargetRegressor(
        _pipeline(regression),
        transformer=FunctionTransformer(
            _to_logit, _from_logit, kw_args=bounds, inv_kw_args=bounds, check_inverse=False
        ),
        check_inverse=False,  # values at the ends of the range move inward
    )
    splitter = GroupKFold(min(FOLDS, len(np.unique(groups))))
    folds = list(splitter.split(table, groups=groups))
    grid = {"regressor__ridge__alpha": RIDGE_ALPHA}
    if model == "svm":
        grid = _svm_grid("regressor__svr", table)
    return _best(pipeline, grid, "neg_mean_absolute_error", folds, table, values)


def _class_folds(table: Array, classes: NDArray[np.intp], groups: Any) -> Folds:
    """Patient-grouped folds whose two sides have every class; none where that cannot be."""
    patients = [len(set(groups[classes == each])) for each in np.unique(classes)]
    num_folds = min(FOLDS, *patients) if len(patients) > 1 else 1
    if num_folds < 2:
        return []
    every = set(classes.tolist())
    return [
        (train, left_out)
        for train, left_out in StratifiedGroupKFold(num_folds).split(table, classes, groups)
        if set(classes[train].tolist()) == every == set(classes[left_out].tolist())
    ]


def _svm_grid(step: str, table: Array) -> dict[str, tuple[float, ...]]:
    widths = tuple(factor / table.shape[1] for factor in SVM_WIDTH)
    return {f"{step}__C": SVM_C, f"{step}__gamma": widths}


def _best(
    pipeline: Any, grid: dict[str, Any], scoring: Any, folds: Folds, table: Array, values: Any
) -> Any:
    """The pipeline with the parameters that do best on left-out patients, fitted to all cases."""
    search = GridSearchCV(pipeline, grid, scoring=scoring, cv=folds, error_score="raise")
    return search.fit(table, values).best_estimator_


def _ranking(estimator: Any, table: Array, classes: NDArray[np.intp]) -> float:
    """AUC of the decision function, the mean over one class against the others."""
    scores = estimator.decision_function(table)
    if scores.ndim == 1:
        return float(roc_auc_score(classes, scores))
    each = [
        roc_auc_score(classes == known, scores[:, column])
        for column, known in enumerate(estimator.classes_)
    ]
    return float(np.mean(each))


def _to_logit(values: Array, *, low: float, high: float) -> Array:
    share = np.clip((values - low) / (high - low), LEAST_SHARE, 1 - LEAST_SHARE)
    return np.log(share / (1 - share))


def _from_logit(values: Array, *, low: float, high: float) -> Array:
    return low + (high - low) / (1 + np.exp(-values))
