"""Starts the heads' linear part from a fit to the training fold.

First every biomarker is scored from the image alone, then each head weighs its own score, those of
the other biomarkers and the patient's covariates. Biomarkers go together, and a score that sums up
hundreds of measurements tells more of another biomarker than a handful of patients could. Stacking:
Breiman, Machine Learning 1996;24:49; of several targets, Breiman and Friedman, J R Stat Soc B
1997;59:3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from nnmtl.network.heads import BiomarkerHead
from nnmtl.network.image_score import Floats, ImageScore, fit_image_score
from nnmtl.network.tower import BiomarkerTower
from nnmtl.planning.architecture import HeadPlan

# Variance of the weights' prior, of inputs with a spread of 1. Its own score is what a head is for;
# what others add has to show; a covariate was chosen by somebody who expects something of it.
OWN_PRIOR, COVARIATE_PRIOR, OTHER_PRIOR = 10.0, 1.0, 0.1
SMALLEST_SPREAD = 1e-6  # of a score; less is none
BETA_BOUNDS = ((0, 2), (-3, 3), (-3, 6))  # slope, intercept, log precision over that of all targets

Fit = tuple[Floats, Floats]


def start_linear_heads(
    tower: BiomarkerTower,
    measured: Tensor,
    values: Mapping[str, Floats],
    heads: Sequence[HeadPlan],
    *,
    centers: Sequence[str],
    patients: Sequence[str],
) -> tuple[str, ...]:
    """Fits the standardization, the centers' alignment and every head's linear part.

    Returns the names of the heads that there was enough to fit for.

    Args:
        tower: changed in place.
        measured: (N, F) `MultiTaskOutput.measured` of training cases, nan where missing.
        values: head name → (N,) class number, or value on the head's standardized scale (of a beta
            head its mean's); nan where not known.
        heads: the heads of the tower.
        centers: (N,) the center of each row.
        patients: (N,) the patient of each row: the penalty is chosen across patients.
    """
    if not measured.shape[1]:
        return ()
    tower.fit_scale(measured, centers, patients)
    scalars = tower.scalars(measured).detach().cpu().numpy()
    columns = _Columns.of(tower, scalars, num_measured=measured.shape[1])
    scores = {}
    for head in heads:
        score = fit_image_score(
            scalars[:, columns.image],
            values[head.name],
            patients,
            head,
            pooled=columns.pooled,
        )
        if score is not None:
            scores[head.name] = score
    for head in heads:
        if head.name in scores:
            module = tower.head(head.name)
            weight, bias = _join(scalars, columns, values[head.name], scores, head, module)
            parts = (torch.from_numpy(part).float() for part in (weight, bias))
            module.start_linear(*(part.to(measured.device) for part in parts))
    return tuple(scores)


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Which of the S scalars are what.

    Attributes:
        image: numbers of those that come from the image.
        covariates: numbers of those that come from the table.
        pooled: (len(image),) whether one of the image is a pooled feature of the encoder.
    """

    image: NDArray[np.intp]
    covariates: NDArray[np.intp]
    pooled: NDArray[np.bool_]

    @classmethod
    def of(
        cls, tower: BiomarkerTower, scalars: NDArray[np.float32], *, num_measured: int
    ) -> "_Columns":
        """Of the scalars (N, S); most missing indicators do not vary, and would only cost time."""
        number = np.arange(scalars.shape[1])
        within = np.where(number < num_measured, number, number - num_measured)
        first = tower.num_statistics - tower.num_covariates
        is_covariate = (within >= first) & (within < tower.num_statistics)
        varies = scalars.std(0) > 0
        image = np.flatnonzero(varies & ~is_covariate)
        return cls(
            image=image,
            covariates=np.flatnonzero(varies & is_covariate),
            pooled=(image >= tower.num_statistics) & (image < num_measured),
        )


def _join(
    scalars: NDArray[np.float32],
    columns: _Columns,
    values: Floats,
    scores: Mapping[str, ImageScore],
    head: HeadPlan,
    module: BiomarkerHead,
) -> Fit:
    """Weights (num_outputs, S) and biases (num_outputs,) of one head."""
    of_cases = np.hstack([score.of_cases for score in scores.values()])
    spread = of_cases.std(0)
    spread[spread < SMALLEST_SPREAD] = 1.0
    inputs = np.hstack([of_cases / spread, scalars[:, columns.covariates]])
    prior = np.concatenate(
        [
            *(
                np.full(len(score.bias), OWN_PRIOR if name == head.name else OTHER_PRIOR)
                for name, score in scores.items()
            ),
            np.full(len(columns.covariates), COVARIATE_PRIOR),
        ]
    )
    own = np.repeat(
        [*(name == head.name for name in scores), False],
        [*(len(score.bias) for score in scores.values()), len(columns.covariates)],
    )
    known = ~np.isnan(values)
    joined, bias = _fit(inputs[known], values[known], np.sqrt(prior), head, module)
    # A score that knows nothing is below chance on patients left out, since the mean of the others
    # lacks their targets: turned round it would be noise, so Breiman wants no negative weight.
    if own.sum() == 1 and joined[0, own] < 0:
        trust = np.where(own, 0.0, np.sqrt(prior))
        joined, bias = _fit(inputs[known], values[known], trust, head, module)
    of_scores, of_covariates = np.split(joined, [len(spread)], axis=1)
    of_scores = of_scores / spread
    weight = np.zeros((len(joined), scalars.shape[1]))
    weight[:, columns.image] = of_scores @ np.vstack([score.weight for score in scores.values()])
    weight[:, columns.covariates] = of_covariates
    return weight, bias + of_scores @ np.concatenate([score.bias for score in scores.values()])


def _fit(
    inputs: Floats, values: Floats, trust: Floats, head: HeadPlan, module: BiomarkerHead
) -> Fit:
    """Weights (num_outputs, J) of the inputs (N, J), each with a prior of spread `trust`."""
    if head.kind == "continuous":
        return _fit_number(inputs, values, trust)
    if head.kind == "beta":
        return _fit_beta(inputs, values, trust, module)
    classes = values.astype(int)
    if head.kind != "ordinal":
        return _fit_classes(inputs, classes, trust)
    steps = [_fit_classes(inputs, classes > step, trust) for step in range(head.num_outputs)]
    return np.vstack([weight for weight, _ in steps]), np.concatenate([bias for _, bias in steps])


def _fit_classes(inputs: Floats, classes: NDArray[np.generic], trust: Floats) -> Fit:
    model = LogisticRegression(C=1.0, max_iter=1000).fit(inputs * trust, classes)
    return model.coef_ * trust, model.intercept_


def _fit_number(inputs: Floats, values: Floats, trust: Floats) -> Fit:
    model = Ridge(alpha=1.0).fit(inputs * trust, values)
    return model.coef_[None] * trust, np.atleast_1d(model.intercept_)


def _fit_beta(inputs: Floats, values: Floats, trust: Floats, module: BiomarkerHead) -> Fit:
    """Ridge regression of the logit, then a beta regression on it.

    The latter (Ferrari and Cribari-Neto, J Appl Stat 2004;31:799) has one slope, one intercept and
    one precision, which so is what the residuals of patients left out allow.
    """
    weight, bias = _fit_number(inputs, values, trust)
    expected = inputs @ weight[0] + bias[0]
    center, scale = (buffer.double().cpu().numpy() for buffer in (module.center, module.scale))
    shares = expit(values * scale[0] + center[0])

    def mean_loss(parameters: Floats) -> float:
        slope, intercept, log_precision = parameters
        mean = expit((expected * slope + intercept) * scale[0] + center[0])
        precision = np.exp(log_precision * scale[1] + center[1])
        density = stats.beta.logpdf(shares, mean * precision, (1 - mean) * precision)
        return -float(density.mean())

    slope, intercept, log_precision = minimize(mean_loss, (1, 0, 0), bounds=BETA_BOUNDS).x
    both = np.vstack([slope * weight, np.zeros_like(weight)])
    return both, np.array([slope * bias[0] + intercept, log_precision])
