"""A small source folder: 16 cases of 15 patients in two centers, two channels, one table.

And empty folders to be filled with imitations of the trees of public sets.
"""

import csv
import json

import numpy as np
import pytest
import SimpleITK

from nnmtl.cli.convert import main
from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.image_file import read_array
from nnmtl.cohort.targets import read_targets

NUM_CASES = 16
MAPPING = {
    "case_id": "Study",
    "patient_id": "Patient",
    "center": "Site",
    "channel_names": {"0": "pre", "1": "post"},
    "labels": {"background": 0, "tumor": 1},
    "tumor_labels": [1],
    "biomarkers": [
        {"name": "IDH", "kind": "binary", "column": "IDH status", "values": {"WT": 0, "Mut": 1}},
        {
            "name": "Ki67",
            "kind": "continuous",
            "unit": "%",
            "range": [0, 100],
            "column": "Ki67 fraction",
            "scale": 100,
        },
    ],
    "covariates": [{"name": "age", "column": "Age"}],
    "missing_channels": {"0": {"column": "No pre", "when": ["yes"]}},
    "not_observed": ["NA"],
}


def case_name(index):
    return f"s{index:02d}"


def rows():
    return [
        {
            "Study": case_name(index),
            "Patient": f"p{max(index, 1):02d}",  # cases 0 and 1 are one patient
            "Site": "North" if index < 8 else "South",
            "IDH status": ["WT", "Mut"][index % 2],
            "Ki67 fraction": ["0.07", "0.2-0.3", "NA", ""][index % 4],
            "Age": str(40 + index),
            "No pre": "yes" if index == 3 else "no",
            "Note": "not mapped",
        }
        for index in range(NUM_CASES)
    ]


class Source:
    """The folder, and a conversion of it."""

    def __init__(self, folder, raw_folder):
        self.folder = folder
        self.raw_folder = raw_folder
        self.rows = rows()
        self.mapping = dict(MAPPING)

    def write_image(self, name, *, spacing=(1.0, 1.0, 2.0), shape=(4, 6, 8), value=5):
        array = np.zeros(shape, np.uint8)
        if value != 1:  # an image, not a mask: no two patients have the same
            array[:] = np.random.default_rng(list(name.encode())).integers(1, 9, shape)
        array[1:3, 2:4, 2:5] = value
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(spacing)
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(image, str(self.folder / name))

    def write_tables(self):
        lines = [self.rows[0], *[row.values() for row in self.rows]]
        text = "\n".join(",".join(line) for line in lines)
        (self.folder / "labels.csv").write_text(text, encoding="utf-8")
        (self.folder / "mapping.json").write_text(json.dumps(self.mapping), encoding="utf-8")

    def convert(self, *options, table="labels.csv", source=True):
        self.write_tables()
        argv = ["table", *([str(self.folder)] if source else []), "-d", "7", "--name", "Glioma"]
        argv += ["--table", str(self.folder / table)]
        assert main([*argv, "--mapping", str(self.folder / "mapping.json"), *options]) == 0
        return self.raw_folder / "Dataset007_Glioma"


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    made = Source(tmp_path / "export", tmp_path / "raw")
    for index in range(NUM_CASES):
        for channel in (0, 1):
            made.write_image(f"imagesTr/{case_name(index)}_{channel:04d}.nii.gz")
        made.write_image(f"labelsTr/{case_name(index)}.nii.gz", value=1)
    return made


class PublicTree:
    """A folder to be filled, and its conversions."""

    def __init__(self, folder):
        self.folder = folder
        self.raw_folder = folder.parent / "raw"
        folder.mkdir(parents=True)

    def write_table(self, name, columns, *rows):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if name.endswith(".tsv") else ",")
            writer.writerows([columns, *rows])

    def write_images(self, pattern, *names, array=None, spacing=(1.0, 1.0, 1.0)):
        """Writes the array at each path of a pattern with `{}`; by default a small ramp."""
        array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) if array is None else array
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(spacing)
        for name in names:
            path = self.folder / pattern.replace("{}", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            SimpleITK.WriteImage(image, str(path))

    def write_mask(self, path, *values, spacing=(1.0, 1.0, 1.0)):
        """A mask with one voxel of each value, on the grid of the images."""
        array = np.zeros((4, 5, 6), np.uint8)
        array[1, 2, : len(values)] = values
        self.write_images(path, "", array=array, spacing=spacing)

    def convert(self, converter, *options):
        main([converter, str(self.folder), "-d", "5", *map(str, options)])
        return Converted(next(self.raw_folder.glob("Dataset005_*")))


class Converted:
    """A dataset folder and what its files say."""

    def __init__(self, folder):
        self.folder = folder
        self.dataset_json = json.loads((folder / "dataset.json").read_text())
        self.declaration = parse_declaration(self.dataset_json)
        self.table = read_targets(folder / "targets.csv", self.declaration)

    def cells(self, name):
        return dict(zip(self.table.case_ids, self.table.targets[name].cells(), strict=True))

    def labels(self, case):
        """The row of a label map that `write_mask` fills."""
        array = read_array(self.folder / "labelsTr" / f"{case}.nii.gz")
        return array[1, 2].tolist()

    def unread(self):
        with (self.folder / "not_understood.csv").open() as file:
            return {(row["case_id"], row["biomarker"]) for row in csv.DictReader(file)}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return PublicTree(tmp_path / "source")


def motion(translation_mm=(0, 0, 0), angles=(0, 0, 0), center=(0, 0, 0)):
    """A rigid motion of points; angles in radians about each axis."""
    transform = SimpleITK.Euler3DTransform()
    transform.SetCenter(center)
    transform.SetRotation(*angles)
    transform.SetTranslation(translation_mm)
    return transform


class TexturedBody:
    """An ellipsoid with waves in it, sampled from its formula: moved without interpolation."""

    size, spacing_mm, origin_mm = (48, 40, 24), (2.0, 2.0, 3.0), (-47.0, -39.0, -34.5)
    motion = staticmethod(motion)

    def points(self, size=size, spacing_mm=spacing_mm, origin_mm=origin_mm):
        z, y, x = np.indices(size[::-1])
        return np.stack([x, y, z], axis=-1) * spacing_mm + origin_mm

    def values(self, points, moved=None, contrast=lambda texture: texture):
        """Intensities at points (mm), of the body after a motion."""
        back = (moved or motion()).GetInverse()
        matrix = np.array(back.GetMatrix()).reshape(3, 3)
        center, shift = np.array(back.GetCenter()), np.array(back.GetTranslation())
        points = (points - center) @ matrix.T + center + shift
        radius = np.linalg.norm(points / (38, 32, 30), axis=-1)
        waves = ((1, 0.25, -0.1, 0.05), (0.7, 0.11, 0.3, -0.12), (0.5, 0.07, 0.15, 0.33))
        texture = sum(
            height * np.sin(points @ wave + phase) for phase, (height, *wave) in enumerate(waves)
        )
        return (100 + 25 * contrast(texture)) / (1 + np.exp(25 * (radius - 1)))

    def image(self, voxels):
        image = SimpleITK.GetImageFromArray(voxels.astype(np.float32))
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        return image


@pytest.fixture(scope="session")
def textured_body():
    return TexturedBody()
