"""How many voxels the default precision labels otherwise than nnU-Net's own.

    python benchmarks/exact_agreement.py DEFAULT EXACT

Both are folders of `nnMTL_predict`, the second with --exact.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from nnmtl.cohort.image_file import read_array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("default", type=Path)
    parser.add_argument("exact", type=Path)
    arguments = parser.parse_args()
    voxels = different = tumor = 0
    names = sorted(path.name for path in arguments.exact.glob("*.nii.gz"))
    for name in names:
        default, exact = read_array(arguments.default / name), read_array(arguments.exact / name)
        voxels += exact.size
        tumor += int(np.count_nonzero(exact))
        different += int(np.count_nonzero(default != exact))
    print(
        json.dumps(
            {
                "cases": len(names),
                "voxels": voxels,
                "tumor_voxels": tumor,
                "different": different,
                "different_per_10000": round(1e4 * different / voxels, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
