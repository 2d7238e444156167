"""The clinical covariates of cases that are predicted to be judged: their dataset knows them."""

import math
from pathlib import Path

from nnmtl.cohort.csv_file import write_csv
from nnmtl.evaluation.raw_dataset import read_raw_dataset


def write_known_covariates(dataset: Path, images: Path, path: Path) -> Path | None:
    """Writes what targets.csv tells of the covariates, as `nnMTL_predict --covariates` takes it.

    Without it a model that was trained with covariates would be judged as if they were missing.

    Args:
        dataset: folder of the raw dataset.
        images: folder of the images that are to be predicted.
        path: of the new table, with a row per case that has an image.

    Returns:
        The path, or None if the dataset declares no covariates.
    """
    raw = read_raw_dataset(dataset)
    if not raw.declaration.covariates:
        return None
    table = raw.targets()
    here = {image.name.removesuffix(f"_0000{raw.file_ending}") for image in images.iterdir()}
    rows = [row for row, case_id in enumerate(table.case_ids) if case_id in here]
    columns = {"case_id": [table.case_ids[row] for row in rows]}
    for name, values in table.covariates.items():
        columns[name] = [
            "" if math.isnan(values[row]) else repr(float(values[row])) for row in rows
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, columns)
    return path
