"""Out-of-fold predictions: a fold's validation cases through the code that new cases take."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nnmtl.cohort.targets import read_targets
from nnmtl.nnunet.cohort_files import TARGETS
from nnmtl.nnunet.grids import Grid, Nearest
from nnmtl.nnunet.predict_folder import predict_cases
from nnmtl.nnunet.predictor import PreprocessedCase, nnMTLPredictor

if TYPE_CHECKING:
    from nnmtl.nnunet.trainer import nnMTLTrainer


def validate_fold(
    trainer: "nnMTLTrainer", folder: str = "validation", *, with_features: bool = False
) -> None:
    """Writes masks and biomarkers of the validation cases to this folder in `fold_k`.

    Args:
        trainer: with its weights.
        folder: name, or a path to elsewhere.
        with_features: whether what the heads saw is written, too.
    """
    trainer.set_deep_supervision_enabled(False)
    predictor = nnMTLPredictor(device=trainer.device)
    with trainer.averaged():
        weights = {
            name: value.detach().clone() for name, value in trainer.unwrapped.state_dict().items()
        }
    predictor.manual_initialization(
        trainer.unwrapped,
        trainer.plans_manager,
        trainer.configuration_manager,
        [weights],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    predictor.grids = trainer.grids
    _, validation = trainer.get_tr_and_val_datasets()
    table = read_targets(
        Path(trainer.preprocessed_dataset_folder_base) / TARGETS, trainer.declaration
    )
    row_of = {case_id: row for row, case_id in enumerate(table.case_ids)}

    def grid_of(case: str) -> Grid:
        return trainer.grids.of_center(table.centers[row_of[case]])

    clinical = np.array(list(table.covariates.values()))
    predict_cases(
        predictor,
        [(case, _reader(validation, case, grid_of)) for case in sorted(validation.identifiers)],
        Path(trainer.output_folder) / folder,
        model=Path(trainer.output_folder_base),
        folds=[trainer.fold],
        center_of=lambda case: table.centers[row_of[case]],
        covariates_of=lambda case: clinical[:, row_of[case]] if len(clinical) else None,
        with_features=with_features,
    )
    trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)


def _reader(
    dataset: Any, case_id: str, grid_of: Callable[[str], Grid]
) -> Callable[[], PreprocessedCase]:
    def read() -> PreprocessedCase:
        data, _, _, properties = dataset.load_case(case_id)
        nearest = Nearest(grid_of(case_id), is_near=True)
        return PreprocessedCase(torch.from_numpy(np.asarray(data[:])), properties, nearest)

    return read
