"""How far the volume of the predicted mask tells the true one, beside a head that predicts it.

    python benchmarks/mask_volume.py EVALUATION_JSON BIOMARKER

EVALUATION_JSON is what nnMTL_evaluate wrote; BIOMARKER is the continuous one whose target is the
volume in ml. Prints correlations with the volume of the true mask.
"""

import argparse
import json
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("biomarker")
    arguments = parser.parse_args()
    cases = json.loads(arguments.evaluation.read_text())["cases"].values()
    judged = [case for case in cases if case.get("segmentation")]
    true, mask = (
        np.array([case["segmentation"][key] for case in judged], dtype=float)
        for key in ("true_volume_ml", "predicted_volume_ml")
    )
    head = np.array(
        [case["biomarkers"][arguments.biomarker]["answer"] for case in judged], dtype=float
    )
    print(
        json.dumps(
            {
                "cases": len(judged),
                "true_sd_ml": round(float(true.std()), 3),
                "predicted_mask": round(float(np.corrcoef(true, mask)[0, 1]), 3),
                "head": round(float(np.corrcoef(true, head.ravel())[0, 1]), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
