"""The volume of each hippocampus, from its mask: a continuous target of real images.

    python benchmarks/hippocampus_table.py SOURCE OUT

SOURCE is the folder of the MSD Task04 images in nnU-Net's layout; OUT gets `volumes.csv` and
`mapping.json` for `nnMTL_convert table`.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from nnmtl.cohort.image_file import read_array, read_header

MAPPING = {
    "case_id": "case",
    "patient_id": "case",
    "center": "center",
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "anterior": 1, "posterior": 2},
    "tumor_labels": [1, 2],
    "biomarkers": [
        {"name": "Volume", "kind": "continuous", "unit": "ml", "range": [0, 20], "column": "volume"}
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "mapping.json").write_text(json.dumps(MAPPING, indent=1))
    with (arguments.output / "volumes.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["case", "center", "volume"])
        for path in sorted((arguments.source / "labelsTr").glob("*.nii.gz")):
            voxel_ml = float(np.prod(read_header(path).spacing_mm)) / 1000
            volume_ml = np.count_nonzero(read_array(path)) * voxel_ml
            writer.writerow([path.name.removesuffix(".nii.gz"), "MSD", f"{volume_ml:.4f}"])


if __name__ == "__main__":
    main()
