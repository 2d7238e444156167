"""Two variants of the laptop plans for the hippocampus: a wider network, volume off and on.

    python benchmarks/hippocampus_plans.py FOLDER

FOLDER is the dataset's folder in nnUNet_preprocessed with nnMTLPlans_tiny_cpu.json. Writes
nnMTLPlans_hippocampus.json (no descriptor: volume has to come from learned features) and
nnMTLPlans_hippocampus_volume.json (the heads are told the volume of the predicted mask).
"""

import argparse
import json
from copy import deepcopy
from pathlib import Path

TRAINING = {"epochs": 36, "mirror_in_prediction": True}
FEATURES_PER_STAGE = [16, 32, 64, 128]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    plans = json.loads((folder / "nnMTLPlans_tiny_cpu.json").read_text())
    for name, descriptors in (("hippocampus", []), ("hippocampus_volume", ["log_volume"])):
        variant = deepcopy(plans)
        variant["plans_name"] = f"nnMTLPlans_{name}"
        configuration = variant["configurations"]["3d_fullres"]
        configuration["nnmtl"].update(TRAINING)
        network = configuration["architecture"]["arch_kwargs"]
        network["features_per_stage"] = FEATURES_PER_STAGE
        network["multitask"].update(descriptors=descriptors, taps=[0, 1, 2, 3])
        (folder / f"{variant['plans_name']}.json").write_text(json.dumps(variant, indent=1))


if __name__ == "__main__":
    main()
