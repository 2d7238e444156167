"""Answers for a fold's held-out cases, of models that have seen its training cases only."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from nnmtl.baselines.classifiers import ModelKind, fit_biomarker
from nnmtl.baselines.feature_table import Row, feature_array, feature_names
from nnmtl.cohort.biomarker import Biomarker
from nnmtl.cohort.targets import TargetTable
from nnmtl.errors import NnmtlError

Answers = Mapping[str, tuple[float, ...]]

_logger = logging.getLogger(__name__)


def answer_held_out(
    biomarkers: Sequence[Biomarker],
    training: TargetTable,
    train_rows: Sequence[Row],
    test_rows: Sequence[Row],
    *,
    model: ModelKind,
    shuffle_seed: int | None = None,
) -> list[Answers | None]:
    """Fits a model per biomarker and asks it about each held-out case, one by one.

    Args:
        biomarkers: what to learn.
        training: targets of the training cases and of no others.
        train_rows: the features of each training case, in the table's order; a case without any
            is left out.
        test_rows: the features of each held-out case.
        model: the kind.
        shuffle_seed: permutes each biomarker's training targets: a control that is at chance on
            average over seeds, though not with each, since correlated features leave it only a few
            directions to choose from; None leaves them.

    Returns:
        Biomarker → answer of each held-out case; None where it has no features.

    Raises:
        NnmtlError: if no training case has features.
    """
    used = [number for number, row in enumerate(train_rows) if row]
    if not used:
        raise NnmtlError(
            f"baseline: expected training cases with a tumor, but all {len(train_rows)} label maps "
            "are empty; name other training masks."
        )
    if len(used) < len(train_rows):
        empty = len(train_rows) - len(used)
        _logger.warning("%d training cases have an empty mask and are left out.", empty)
    names = feature_names(train_rows)
    table = feature_array([train_rows[row] for row in used], names)
    held_out = feature_array(test_rows, names)
    patients = [training.patient_ids[row] for row in used]
    shuffle = np.random.default_rng(shuffle_seed)
    predicted = {}
    for biomarker in biomarkers:
        target = training.targets[biomarker.name].select(np.array(used))
        if shuffle_seed is not None:
            target = target.select(shuffle.permutation(len(used)))
        fitted = fit_biomarker(biomarker, target, table, patients, model=model)
        predicted[biomarker.name] = fitted.predict(held_out).tolist()
    return [
        {name: tuple(values[number]) for name, values in predicted.items()} if row else None
        for number, row in enumerate(test_rows)
    ]
