"""The whole of nnMTL_check_dataset on written files: defects planted in one of two centers."""

import json
import re
from html import escape

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from nnmtl.cli.check_dataset import main
from nnmtl.cohort.image_file import read_array
from nnmtl.cohort.image_fingerprint import image_fingerprint, similarities
from nnmtl.cohort.raw_dataset import read_raw_dataset
from nnmtl.cohort.validation_duplicates import SAME_PICTURE
from nnmtl.errors import NnmtlError
from nnmtl.experiments.check_dataset import examine_dataset
from nnmtl.report.dataset_page import DATASET_PAGE_NAME, write_dataset_page

SHAPE = (12, 32, 32)
NUM_CASES = 16
HOSTILE = "<img src=x onerror=alert(1)>"
LEVELS = ("error", "warning", "note")


class Dataset:
    """16 training and 2 test cases of two channels."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("imagesTr", "labelsTr", "imagesTs"):
            (folder / name).mkdir(parents=True)
        self.rows = []
        for number in range(NUM_CASES):
            self.add_case(number, "Tr")
        for number in (90, 91):
            self.add_case(number, "Ts")
        self.declare()

    def add_case(self, number, split, *, image_of=None, case_id=None, patient=None, er=None):
        case_id = case_id or f"c{number:02d}"
        center = "North" if number % 2 else "South"
        er = str(number // 2 % 2) if er is None else er
        self.rows.append([case_id, patient or f"p{number:02d}", center, er])
        for channel in (0, 1):
            image = picture(2 * (number if image_of is None else image_of) + channel)
            self.write(f"images{split}/{case_id}_{channel:04d}.nii.gz", image)
        if split == "Tr":
            tumor = np.zeros(SHAPE, np.uint8)
            tumor[4:8, 10:18, 10:18] = 1
            self.write(f"labelsTr/{case_id}.nii.gz", tumor)

    def write(self, name, array):
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 3.0))
        SimpleITK.WriteImage(image, str(self.folder / name))

    def declare(self):
        lines = [["case_id", "patient_id", "center", "ER"], *self.rows]
        (self.folder / "targets.csv").write_text("".join(",".join(line) + "\n" for line in lines))
        declared = {
            "channel_names": {"0": "pre", "1": "post"},
            "labels": {"background": 0, "tumor": 1},
            "numTraining": len(list((self.folder / "labelsTr").iterdir())),
            "file_ending": ".nii.gz",
            "nnmtl": {
                "schema": 1, "tumor_labels": [1], "biomarkers": [{"name": "ER", "kind": "binary"}],
            },
        }  # fmt: skip
        (self.folder / "dataset.json").write_text(json.dumps(declared))


def picture(seed):
    """A body with structures of its own in air."""
    detail = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij"))
    body = (grid[1:] ** 2).sum(axis=0) < 0.8
    return (body * np.clip(500 + 150 * detail / detail.std(), 50, None)).astype(np.int16)


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path / "Dataset009_Cohort")


def with_defects(dataset):
    """Plants one defect in each of five cases, and a training image among the test cases."""
    dataset.write("imagesTr/c02_0001.nii.gz", np.zeros(SHAPE, np.int16))
    dataset.write("imagesTr/c03_0001.nii.gz", 2.5 * picture(6))
    dataset.write("labelsTr/c04.nii.gz", mask(slice(3, 6), slice(1, 3), slice(1, 3)))
    dataset.write("labelsTr/c05.nii.gz", mask(slice(0, 6), slice(9, 15), slice(9, 15)))
    path = dataset.folder / "imagesTr/c07_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    dataset.add_case(95, "Ts", image_of=10)
    for channel in (0, 1):
        image = (picture(20 + channel) * 0.2).astype(np.uint8)
        dataset.write(f"imagesTs/c95_{channel:04d}.nii.gz", image)
    dataset.add_case(40, "Tr", case_id=HOSTILE, patient="<script>&")
    dataset.declare()


def mask(*edges):
    tumor = np.zeros(SHAPE, np.uint8)
    tumor[edges] = 1
    return tumor


def look(folder, page):
    """Findings of images and masks, and the page; the table's findings are tested elsewhere."""
    raw = read_raw_dataset(folder)
    findings, cases = examine_dataset(raw, num_processes=1)
    findings = [each for each in findings if not each.message.startswith("ER: only")]
    write_dataset_page(raw, findings, cases, page)
    return findings, page.read_text()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A dataset with defects, its findings and its page; read only."""
    root = tmp_path_factory.mktemp("odd")
    dataset = Dataset(root / "Dataset009_Cohort")
    with_defects(dataset)
    return dataset, *look(dataset.folder, root / "page.html")


@pytest.mark.parametrize(
    ("case_ids", "level", "message"),
    [
        (("c02",), "error", "one value in every voxel of channel 1"),
        (("c03",), "warning", "the channels 0 and 1 of 'c03' are one image"),
        (("c04",), "warning", "100% outside the body"),
        (("c05",), "note", "touches the image's border"),
        (("c07",), "error", "c07_0000.nii.gz: the file ends before its last voxel"),
        (("c10", "c95"), "error", "testing is not on new patients"),
    ],
)
def test_a_planted_defect_is_found_once(odd, case_ids, level, message):
    (finding,) = (each for each in odd[1] if message in each.message)
    assert (finding.level, finding.case_ids) == (level, case_ids)


def test_nothing_else_is_found(odd):
    assert len(odd[1]) == 6


def test_the_page_has_every_case_and_nothing_from_elsewhere(odd):
    dataset, _, html = odd
    for case_id, patient, *_ in dataset.rows:
        assert f"<h3>{escape(case_id)}<" in html
        assert f"patient {escape(patient)}" in html
    assert html.count("data:image/jpeg;base64,") == len(dataset.rows) - 1
    assert html.count("could not be read") == 1
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert "Private: this page holds patients" in html


def test_problem_cases_come_first_in_their_center(odd):
    cards = odd[2].split('<article class="case ')[1:]
    levels = [card.partition('"')[0] for card in cards if "North, patient" in card]
    assert levels[:4] == ["error", "error", "warning", "note"]
    assert set(levels[4:]) == {""}


def test_targets_of_training_cases_are_told_and_those_of_test_cases_are_not(odd):
    cards = {re.search("<h3>(.*?)<", card)[1]: card for card in odd[2].split("<article")[1:]}
    assert "<i>ER</i> 1" in cards["c02"]
    assert "<i>ER</i>" not in cards["c90"]
    assert '<span class="tag">test</span>' in cards["c90"]


def test_hostile_names_are_text_on_the_page(odd):
    assert HOSTILE not in odd[2]
    assert "<script" not in odd[2]


def test_a_sound_dataset_has_no_findings_and_a_page_beside_its_declaration(
    dataset, monkeypatch, capsys
):
    monkeypatch.setenv("nnUNet_raw", str(dataset.folder.parent))
    assert main(["-d", "9", "-np", "1"]) == 0
    told = capsys.readouterr().out.splitlines()
    page = dataset.folder / DATASET_PAGE_NAME
    assert told[-1] == str(page)
    assert [line for line in told if line.startswith(LEVELS) and "ER: only" not in line] == []
    assert page.is_file()
    assert not list(dataset.folder.glob(".*"))


def test_a_phantom_says_so_instead(dataset, tmp_path):
    declared = json.loads((dataset.folder / "dataset.json").read_text())
    declared["nnmtl"]["synthetic"] = {"generator": "test"}
    (dataset.folder / "dataset.json").write_text(json.dumps(declared))
    raw = read_raw_dataset(dataset.folder)
    write_dataset_page(raw, [], [], tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert "Phantom, not patient data" in html
    assert "Private" not in html


@pytest.mark.parametrize("output", ["absent/page.html", "Dataset009_Cohort/imagesTr/page.html"])
def test_a_place_for_the_page_that_will_not_do_is_refused_at_once(
    dataset, tmp_path, monkeypatch, output
):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    monkeypatch.setattr("nnmtl.experiments.check_dataset.examine_dataset", None)
    with pytest.raises(NnmtlError, match="expected a place"):
        main(["-d", "9", "-o", str(tmp_path / output)])


def test_an_interruption_leaves_the_page_of_before(dataset, monkeypatch):
    page = dataset.folder / DATASET_PAGE_NAME
    page.write_text("before")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("nnUNet_raw", str(dataset.folder.parent))
    monkeypatch.setattr("nnmtl.experiments.check_dataset.draw_thumbnail", interrupt)
    with pytest.raises(KeyboardInterrupt):
        main(["-d", "9", "-np", "1"])
    assert page.read_text() == "before"


@pytest.mark.real_data
def test_pictures_of_different_patients_are_no_duplicates(real_data):
    """200 images of one protocol and one organ: as alike as different people's get."""
    fingerprints = [
        image_fingerprint(read_array(path))
        for path in sorted((real_data / "hippocampus" / "imagesTr").glob("*.nii.gz"))
    ]
    between = similarities(np.stack(fingerprints), np.stack(fingerprints))
    assert between[~np.eye(len(fingerprints), dtype=bool)].max() < SAME_PICTURE
