"""How well what the heads see tells the center: a line per folder of predictions.

    python benchmarks/center_probe.py -d ID PREDICTIONS [PREDICTIONS ...]

PREDICTIONS are what `nnMTL_compare` made of imagesTs, or `nnMTL_predict --features`.
"""

import argparse
from pathlib import Path

import numpy as np

from nnmtl.evaluation.center_probe import probe_centers
from nnmtl.evaluation.left_out import probe_note
from nnmtl.evaluation.raw_dataset import read_raw_dataset
from nnmtl.nnunet.folders import dataset_name, raw_folder
from nnmtl.nnunet.head_features import FEATURES, read_features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", dest="dataset", required=True)
    parser.add_argument("predictions", type=Path, nargs="+")
    arguments = parser.parse_args()
    table = read_raw_dataset(raw_folder(dataset_name(arguments.dataset))).targets()
    row_of = {case_id: row for row, case_id in enumerate(table.case_ids)}
    for folder in arguments.predictions:
        cases = sorted(path.stem for path in (folder / FEATURES).glob("*.npy"))
        seen = {case: found for case in cases if (found := read_features(folder, case)) is not None}
        rows = [row_of[case] for case in seen]
        probe = probe_centers(
            np.stack(list(seen.values())),
            [table.centers[row] for row in rows],
            [table.patient_ids[row] for row in rows],
        )
        print(f"{folder}: {probe_note(probe)}", flush=True)


if __name__ == "__main__":
    main()
