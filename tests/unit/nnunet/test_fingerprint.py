"""The cohort's fingerprint as it is read from images."""

import json
import tracemalloc
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import SimpleITK
from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.case_analysis import CaseFiles, analyze_case
from nnmtl.nnunet.fingerprint import (
    SAMPLED_VOXELS,
    extract_fingerprint,
    nnMTLFingerprintExtractor,
)

NAME = "Dataset001_A"
HEADER = {
    "channel_names": {"0": "pre"},
    "labels": {"background": 0, "tumor": 1},
    "file_ending": ".nii.gz",
    "nnmtl": {"schema": 1, "tumor_labels": [1], "biomarkers": [], "covariates": []},
}


def write_image(array, path, spacing_mm=(1.0, 1.0, 2.0)):
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing_mm)
    SimpleITK.WriteImage(image, str(path))
    return str(path)


def raw_dataset(folder, sizes):
    """Cases of these sizes, all voxels 1 within an empty margin of 2, with one tumor voxel."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(HEADER | {"numTraining": len(sizes)}))
    dataset = {}
    for index, size in enumerate(sizes):
        image, label_map = np.zeros(size, np.float32), np.zeros(size, np.uint8)
        image[tuple(slice(2, -2) if edge > 4 else slice(None) for edge in size)] = 1
        label_map[tuple(edge // 2 for edge in size)] = 1
        case = f"case_{index:03d}"
        dataset[case] = {
            "images": [write_image(image, folder / "imagesTr" / f"{case}_0000.nii.gz")],
            "label": write_image(label_map, folder / "labelsTr" / f"{case}.nii.gz"),
        }
    return dataset


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """The raw folder of a dataset that nnU-Net and we find."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    (tmp_path / "nnUNet_preprocessed" / NAME).mkdir(parents=True)
    return tmp_path / "nnUNet_raw" / NAME


def extractor_of(raw, dataset, *, num_voxels=1600):
    """An extractor that measures, and draws that many foreground voxels in all."""
    content = json.loads((raw / "dataset.json").read_text())
    (raw / "dataset.json").write_text(json.dumps(content | {"dataset": dataset}))
    extractor = nnMTLFingerprintExtractor(NAME, num_processes=1)
    extractor.num_foreground_voxels_for_intensitystats = num_voxels
    extractor.measure((1,), reader=None)
    return extractor


def test_memory_does_not_grow_with_the_number_of_cases(raw):
    dataset, peaks = raw_dataset(raw, [(48, 48, 48)] * 8), []
    for count in (2, 8):
        extractor = extractor_of(raw, dict(list(dataset.items())[:count]))
        tracemalloc.start()
        extractor.run(overwrite_existing=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 48**3  # not one label map more


def test_one_slice_among_volumes_is_refused_before_anything_is_written(raw):
    dataset = raw_dataset(raw, [(8, 8, 8), (1, 8, 8)])
    with pytest.raises(NnmtlError, match="expected all cases to be 2D or all to be 3D"):
        extractor_of(raw, dataset).run()
    assert not list((raw.parents[1] / "nnUNet_preprocessed" / NAME).iterdir())


def test_a_flat_image_that_the_reader_cannot_turn_is_named(raw):
    dataset = raw_dataset(raw, [(8, 8, 8), (8, 8, 8)])
    content = HEADER | {"overwrite_image_reader_writer": "SimpleITKIOWithReorient"}
    (raw / "dataset.json").write_text(json.dumps(content | {"numTraining": 2}))
    write_image(np.ones((8, 8), np.float32), dataset["case_001"]["images"][0], (1.0, 1.0))
    with pytest.raises(NnmtlError, match=r"case_001_0000.* of 3 dimensions, got 2"):
        extractor_of(raw, dataset).run()


def add_noise(dataset, *, empty):
    """Random intensities around the margin's zeros, with the tumor in a third of each image."""
    generator = np.random.default_rng(7)
    for index, files in enumerate(dataset.values()):
        image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(files["images"][0]))
        noise = image * generator.gamma(2.0, 100.0, image.shape).astype(np.float32)
        write_image(noise, files["images"][0])
        tumor = np.zeros(image.shape, np.uint8)
        tumor[: 0 if index == empty else image.shape[0] // 2] = 1
        write_image(tumor, files["label"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nnunets_part_is_bit_for_bit_what_its_own_extractor_finds(raw, monkeypatch):
    dataset = raw_dataset(raw, [(10, 12, 14), (16, 12, 14), (20, 12, 14)])
    add_noise(dataset, empty=1)
    ours = extractor_of(raw, dataset)
    written = ours.run()
    threads = SimpleNamespace(Pool=ThreadPool)  # for nnU-Net's workers, which start for seconds
    monkeypatch.setattr(fingerprint_extractor.multiprocessing, "get_context", lambda _: threads)
    stock = DatasetFingerprintExtractor(NAME, num_processes=1)
    stock.num_foreground_voxels_for_intensitystats = 1600
    stock.run(overwrite_existing=True)
    path = raw.parents[1] / "nnUNet_preprocessed" / NAME / "dataset_fingerprint.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(written))


@pytest.mark.parametrize(
    ("channel", "expected"), [("CT", 10e7), ("ct", 10e7), ("T1", SAMPLED_VOXELS)]
)
def test_fewer_voxels_are_drawn_only_where_no_channel_is_ct(channel, expected, raw):
    raw.mkdir(parents=True)
    content = HEADER | {"channel_names": {"0": "PET", "1": channel}, "dataset": {}}
    (raw / "dataset.json").write_text(json.dumps(content))
    extractor = nnMTLFingerprintExtractor(NAME, num_processes=1)
    assert extractor.num_foreground_voxels_for_intensitystats == expected


class CountingReader(SimpleITKIO):
    """Counts how often files are read; nnU-Net's `read_seg` calls `read_images`."""

    reads: ClassVar[list[str]] = []

    def read_images(self, image_fnames):
        self.reads.extend(image_fnames)
        return super().read_images(image_fnames)


def test_a_file_is_read_once_for_both_fingerprints(raw):
    (files,) = raw_dataset(raw, [(10, 12, 14)]).values()
    CountingReader.reads.clear()
    analysis = analyze_case(
        CaseFiles(
            images=files["images"],
            label=files["label"],
            reader_class=CountingReader,
            num_samples=10,
            channels=["pre"],
            tumor_labels=(1,),
        )
    )
    assert sorted(CountingReader.reads) == sorted([*files["images"], files["label"]])
    assert analysis.shape_after_crop == analysis.facts.geometry.shape_after_crop == (6, 8, 10)
    assert analysis.facts.geometry.tumor_volume_ml == pytest.approx(0.002)


def test_a_fingerprint_tells_per_center_what_nnunet_crops(raw):
    raw_dataset(raw, [(10, 12, 14), (16, 12, 14), (20, 12, 14)])
    rows = "case_000,p0,A\ncase_001,p1,B\ncase_002,p2,A\n"
    (raw / "targets.csv").write_text(f"case_id,patient_id,center\n{rows}")
    extract_fingerprint(NAME, num_processes=1)
    path = raw.parents[1] / "nnUNet_preprocessed" / NAME / "nnmtl_fingerprint.json"
    centers = json.loads(path.read_text())["centers"]
    assert centers["A"]["shape"]["p50"] == [15, 12, 14]
    assert centers["A"]["shape_after_crop"]["p50"] == [11, 8, 10]
    assert centers["A"]["field_of_view_after_crop_mm"]["p50"] == [22, 8, 10]
    assert centers["B"]["shape_after_crop"]["p50"] == [12, 8, 10]
    assert centers["A"]["num_lesions"]["p95"] == 1
