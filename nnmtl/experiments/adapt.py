"""Adapts a model to labeled cases of another center, and measures it before and after."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nnmtl.evaluation.adapted import AdaptedRow, judge_adapted
from nnmtl.evaluation.raw_dataset import read_raw_dataset
from nnmtl.experiments.compare import part_reader
from nnmtl.nnunet.adapt import prepare, read_source
from nnmtl.nnunet.folders import raw_folder
from nnmtl.nnunet.training_run import BEFORE, RunSettings, train


def adapt(
    settings: RunSettings,
    model: Path,
    *,
    heads_only: bool,
    after_epoch: Callable[[Path], None] = lambda _: None,
) -> tuple[Path, tuple[AdaptedRow, ...]]:
    """Goes on with the training of a model on another dataset.

    Args:
        settings: of the run; its plans' name does not count, since the plans are the model's.
        model: a folder that nnMTL_train wrote.
        heads_only: whether encoder and decoder stay as they are.
        after_epoch: called with the fold's folder when an epoch has ended.

    Returns:
        The fold's folder, and the model before and after on the fold's validation cases; of fold
        `all`, which has none, no rows.

    Raises:
        NnmtlError: if the model or the dataset is not what is expected, before anything is trained.
    """
    source = read_source(model, settings.fold, settings.configuration)
    plans_name = prepare(settings.dataset, source, settings.fold, heads_only=heads_only)
    folder = train(
        replace(settings, plans_name=plans_name, adapted=source), after_epoch=after_epoch
    )
    if settings.fold == "all":
        return folder, ()
    read = part_reader(read_raw_dataset(raw_folder(settings.dataset)), "Tr")
    before, after = read(folder / BEFORE), read(folder / "validation")
    rows = judge_adapted(before, after, known=source.centers, dataset=settings.dataset)
    return folder, rows
