"""A copy of a dataset whose images are z-scored inside the body, to compare with nnU-Net's z-score.

    python benchmarks/normalized_in_body.py -d ID --to NEW_ID

nnU-Net subtracts the mean of the whole image, air included, and divides by its standard deviation.
In the copy both are taken inside the body, and the channels are named `noNorm`, by which nnU-Net
leaves them as they are. Train and compare it as any dataset.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import SimpleITK

from nnmtl.nnunet.folders import dataset_name, raw_folder
from nnmtl.regions.body import body_mask


def write_normalized(source: Path, target: Path) -> None:
    """One image; gain and offset of the stored numbers are lost."""
    image = SimpleITK.ReadImage(str(source))
    voxels = SimpleITK.GetArrayFromImage(image).astype(np.float32)
    inside = voxels[body_mask(voxels)]
    scaled = SimpleITK.GetImageFromArray((voxels - inside.mean()) / inside.std())
    scaled.CopyInformation(image)
    SimpleITK.WriteImage(scaled, str(target), useCompression=True, compressionLevel=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", dest="dataset", required=True)
    parser.add_argument("--to", type=int, required=True)
    arguments = parser.parse_args()
    source = raw_folder(dataset_name(arguments.dataset))
    target = source.with_name(f"Dataset{arguments.to:03d}_{source.name.partition('_')[2]}")
    target.mkdir()
    declaration = json.loads((source / "dataset.json").read_text())
    declaration["channel_names"] = dict.fromkeys(declaration["channel_names"], "noNorm")
    (target / "dataset.json").write_text(json.dumps(declaration, indent=1))
    for path in sorted(source.iterdir()):
        if path.name.startswith("images"):
            (target / path.name).mkdir()
            for image in sorted(path.iterdir()):
                write_normalized(image, target / path.name / image.name)
        elif path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.name != "dataset.json":
            shutil.copy(path, target / path.name)
    print(target)


if __name__ == "__main__":
    main()
