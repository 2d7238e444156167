"""What is asked of a prediction is checked before a model is loaded."""

import json

import pytest
import SimpleITK
import torch

from nnmtl.cli.arguments import check_device
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.prediction_input import (
    CHECKPOINT,
    check_center,
    find_folds,
    find_images,
    read_model_dataset,
)

DATASET_JSON = {"file_ending": ".nii.gz", "channel_names": {"0": "pre", "1": "post"}}


def write(path, size=(4, 4, 4)):
    SimpleITK.WriteImage(SimpleITK.Image(*size, SimpleITK.sitkUInt8), str(path))


@pytest.fixture
def model(tmp_path):
    """A model folder whose folds 0, 2 and `all` have finished."""
    for fold in ("0", "2", "all"):
        (tmp_path / f"fold_{fold}").mkdir()
        (tmp_path / f"fold_{fold}" / CHECKPOINT).touch()
    (tmp_path / "fold_1").mkdir()
    return tmp_path


@pytest.fixture
def images(tmp_path):
    """Two cases of two channels."""
    folder = tmp_path / "images"
    folder.mkdir()
    for case in ("case_1", "case_2"):
        for channel in (0, 1):
            write(folder / f"{case}_{channel:04d}.nii.gz")
    return folder


def test_all_numbered_folds_that_have_finished_are_found(model):
    assert find_folds(model) == [0, 2]


def test_the_fold_of_all_cases_is_found_where_it_is_alone(tmp_path):
    (tmp_path / "fold_all").mkdir()
    (tmp_path / "fold_all" / CHECKPOINT).touch()
    assert find_folds(tmp_path) == ["all"]


def test_wanted_folds_are_taken_once_in_their_order(model):
    assert find_folds(model, [2, 0, 2]) == [2, 0]
    assert find_folds(model, ["all"]) == ["all"]


def test_a_fold_that_has_not_finished_is_refused_and_the_others_are_named(model):
    with pytest.raises(NnmtlError, match=r"-f 1 3: .* which are 0, 2, all"):
        find_folds(model, [0, 1, 3])


@pytest.mark.parametrize("name", ["", "absent"])
def test_a_folder_without_a_model_is_refused(tmp_path, name):
    with pytest.raises(NnmtlError, match=r"-m .*expected a model folder.*found none"):
        find_folds(tmp_path / name)


def test_every_case_is_found_with_its_channels_in_order(images):
    found = find_images(images, DATASET_JSON)
    assert list(found) == ["case_1", "case_2"]
    assert [path.rpartition("_")[2] for path in found["case_1"]] == ["0000.nii.gz", "0001.nii.gz"]


def test_an_image_that_cannot_be_read_is_named_before_anything_starts(images):
    (images / "case_2_0001.nii.gz").write_bytes(b"not an image")
    with pytest.raises(NnmtlError, match=r"case_2_0001.nii.gz: expected a readable"):
        find_images(images, DATASET_JSON)


def test_channels_on_different_grids_are_refused(images):
    write(images / "case_1_0001.nii.gz", size=(4, 4, 5))
    with pytest.raises(NnmtlError, match=r"case_1_0000.nii.gz and case_1_0001.nii.gz: .* size is"):
        find_images(images, DATASET_JSON)


def test_an_image_with_several_numbers_per_voxel_is_refused(images):
    colors = SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorUInt8, 3)
    SimpleITK.WriteImage(colors, str(images / "case_1_0000.nii.gz"))
    with pytest.raises(
        NnmtlError, match=r"case_1_0000\.nii\.gz: expected one number in every voxel"
    ):
        find_images(images, DATASET_JSON)


def test_an_images_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(NnmtlError, match=r"-i .*absent: .* does not exist"):
        find_images(tmp_path / "absent", DATASET_JSON)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NnmtlError, match=r"images named <case>_0000\.nii\.gz.*found none"):
        find_images(tmp_path, DATASET_JSON)


@pytest.mark.parametrize("name", ["case_3.nii.gz", "case_3_1.nii.gz", "a.nii.gz"])
def test_an_image_without_channel_number_is_named_and_not_left_out(images, name):
    (images / name).touch()
    with pytest.raises(NnmtlError, match=f"found {name}"):
        find_images(images, DATASET_JSON)


@pytest.mark.parametrize(("channel", "found"), [("0001", "0"), ("0000", "1")])
def test_a_case_that_lacks_a_channel_is_named(images, channel, found):
    (images / f"case_2_{channel}.nii.gz").unlink()
    with pytest.raises(NnmtlError, match=rf"'case_2' \(pre, post\), found {found}\."):
        find_images(images, DATASET_JSON)


def test_a_case_with_a_channel_too_many_is_named(images):
    (images / "case_1_0002.nii.gz").touch()
    with pytest.raises(NnmtlError, match=r"'case_1' .*found 0, 1, 2\."):
        find_images(images, DATASET_JSON)


def test_a_gap_between_channels_is_refused_though_their_number_is_right(images):
    (images / "case_1_0001.nii.gz").rename(images / "case_1_0002.nii.gz")
    with pytest.raises(NnmtlError, match=r"found 0, 2\."):
        find_images(images, DATASET_JSON)


def test_a_center_that_the_model_has_not_seen_is_refused(tmp_path):
    (tmp_path / "nnmtl_centers.json").write_text(json.dumps(["A", "B"]))
    check_center("A", tmp_path)
    check_center(None, tmp_path)
    with pytest.raises(NnmtlError, match=r"--center C: .*planned for, A, B\. Leave it out"):
        check_center("C", tmp_path)


@pytest.mark.parametrize("content", ["3", '{"A": 1}', "[1]", '"A"'])
def test_a_damaged_list_of_centers_is_named(tmp_path, content):
    (tmp_path / "nnmtl_centers.json").write_text(content)
    with pytest.raises(NnmtlError, match=r"nnmtl_centers\.json: expected"):
        check_center("A", tmp_path)


@pytest.mark.parametrize("key", ["file_ending", "channel_names", "labels"])
def test_a_models_dataset_json_that_lacks_a_key_is_named(tmp_path, key):
    content = {**DATASET_JSON, "labels": {}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert read_model_dataset(tmp_path) == content
    del content[key]
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(NnmtlError, match=rf"dataset\.json: the key '{key}' is missing"):
        read_model_dataset(tmp_path)


def test_any_center_passes_where_the_model_does_not_tell_its_own(tmp_path):
    check_center("C", tmp_path)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_with_the_way_out(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(NnmtlError, match=f"-device {device}: .*Use -device cpu"):
        check_device(device)


def test_a_device_that_is_there_passes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_device("cuda")
    check_device("cpu")
