"""How well what the heads see tells the center: a line per folder of predictions.

    python benchmarks/center_probe.py -d ID PREDICTIONS [PREDICTIONS ...]

PREDICTIONS are what `nnMTL_compare` made of imagesTs, or `nnMTL_predict --features`.
"""

import argparse
from pathlib import Path

from nnmtl.evaluation.left_out import probe_note
from nnmtl.evaluation.raw_dataset import read_raw_dataset
from nnmtl.experiments.leave_one_center_out import probe_predictions
from nnmtl.nnunet.folders import dataset_name, raw_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", dest="dataset", required=True)
    parser.add_argument("predictions", type=Path, nargs="+")
    arguments = parser.parse_args()
    raw = read_raw_dataset(raw_folder(dataset_name(arguments.dataset)))
    for folder in arguments.predictions:
        print(f"{folder}: {probe_note(probe_predictions([folder], raw))}", flush=True)


if __name__ == "__main__":
    main()
