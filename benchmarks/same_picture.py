"""How alike different images are to the check for duplicates, and an image and its copies.

    python benchmarks/same_picture.py FOLDER CHANNEL

Prints the numbers of docs/reference/check_dataset.md for the images FOLDER/*_CHANNEL.nii.gz, such
as those of imagesTr with the channel 0000.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from nnmtl.cohort.image_file import read_array
from nnmtl.cohort.image_fingerprint import image_fingerprint, similarities

NUM_COPIED = 25


def main(folder, channel):
    images = [read_array(path) for path in sorted(Path(folder).glob(f"*_{channel}.nii.gz"))]
    known = [image for image in images if image_fingerprint(image) is not None]
    fingerprints = np.stack([image_fingerprint(image) for image in known])
    between = similarities(fingerprints, fingerprints)[~np.eye(len(known), dtype=bool)]
    print(f"{len(known)} images; most alike {between.max():.2f}, median {np.median(between):.2f}")
    for name, copy in COPIES.items():
        alike = [similarity(image, copy(image)) for image in known[:NUM_COPIED]]
        print(f"{name}: least alike {min(alike):.2f}, median {np.median(alike):.2f}")


def similarity(one, other):
    pair = [image_fingerprint(image)[None] for image in (one, other)]
    return float(similarities(*pair)[0, 0])


def eight_bits(image):
    low, high = np.percentile(image, (0.5, 99.5))
    return np.clip((image - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def resampled(factor):
    def resample(image):
        factors = [1 if size < 2 / factor else factor for size in image.shape]
        options = {"order": 1, "mode": "nearest", "grid_mode": True}
        return ndimage.zoom(image.astype(np.float32), factors, **options)

    return resample


def noisy(image):
    low, high = np.percentile(image, (1, 99))
    return image + 0.03 * (high - low) * np.random.default_rng(0).normal(size=image.shape)


COPIES = {
    "8 bits": eight_bits,
    "gamma 0.7": lambda image: (eight_bits(image) / 255) ** 0.7,
    "noise of 3 %": noisy,
    "1.3 times the voxels": resampled(1.3),
    "1.5 times fewer voxels": resampled(1 / 1.5),
}

if __name__ == "__main__":
    main(*sys.argv[1:])
