"""What the heads see of a case: exported beside predictions, for a look at what they know."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nnmtl.nnunet.predictor import nnMTLPredictor
from nnmtl.whole_file import write_whole

FEATURES = "features"  # folder beside the predictions, one file per case


def features_path(output: Path, case_id: str) -> Path:
    """Where a case's features are."""
    return output / FEATURES / f"{case_id}.npy"


def read_features(output: Path, case_id: str) -> NDArray[np.float64] | None:
    """(F,) of one case; None if no tumor was found in it.

    Statistics of the image, covariates (nan where missing), then mean and spread of the tapped
    encoder stages per region, of the first of the model's folds, averaged over mirrored views.
    """
    features: NDArray[np.float64] = np.load(features_path(output, case_id), allow_pickle=False)
    return features if features.size else None


@contextmanager
def recorded_features(predictor: nnMTLPredictor, output: Path) -> Iterator[Callable[[str], None]]:
    """Within it, calling the result with a case id writes what the heads saw since the last call.

    Args:
        predictor: that predicts one case between two calls.
        output: folder of the predictions.
    """
    seen: list[NDArray[np.float64]] = []

    def keep(_module: object, _arguments: object, result: tuple[object, Tensor]) -> None:
        seen.append(result[1].detach().float().mean(0).double().cpu().numpy())

    def write(case_id: str) -> None:
        of_first_fold = seen[: len(seen) // len(predictor.list_of_parameters)]
        buffer = io.BytesIO()
        np.save(buffer, np.mean(of_first_fold, axis=0) if of_first_fold else np.empty(0))
        write_whole(features_path(output, case_id), buffer.getvalue())
        seen.clear()

    (output / FEATURES).mkdir(parents=True, exist_ok=True)
    hook = None
    if predictor.multitask is not None:
        hook = predictor.multitask.tower.register_forward_hook(keep)
    try:
        yield write
    finally:
        if hook is not None:
            hook.remove()
