"""Where things are, and what is said when they are not there."""

import json
import re

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.folders import dataset_name, preprocessed_folder, raw_folder, results_folder
from nnmtl.nnunet.preprocess import _copy_label_maps, preprocess
from nnmtl.nnunet.training_run import RunSettings, train

NAME = "Dataset003_Breast"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / variable / NAME).mkdir(parents=True)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


@pytest.mark.parametrize("text", ["3", "003", NAME])
def test_a_dataset_is_found_by_id_and_name(folders, text):
    assert dataset_name(text) == NAME


@pytest.mark.parametrize(
    "text", ["4", "Dataset004_Other", "*", "", "²", "/", f"../nnUNet_raw/{NAME}"]
)
def test_a_dataset_that_is_not_there_is_named(folders, text):
    with pytest.raises(
        NnmtlError, match=rf"-d {re.escape(text)}: expected one folder .* found none"
    ):
        dataset_name(text)


def test_two_datasets_of_one_id_are_both_named(folders):
    (folders / "nnUNet_raw" / "Dataset003_Again").mkdir()
    with pytest.raises(NnmtlError, match="Dataset003_Again, Dataset003_Breast"):
        dataset_name("3")


@pytest.mark.parametrize(
    ("folder", "variable"),
    [
        (raw_folder, "nnUNet_raw"),
        (preprocessed_folder, "nnUNet_preprocessed"),
        (results_folder, "nnUNet_results"),
    ],
)
def test_a_variable_that_is_not_set_is_named_with_what_to_do(folder, variable, monkeypatch):
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(NnmtlError, match=f"{variable} is expected .*export {variable}="):
        folder(NAME)


def write_plans(folders, **configurations):
    (folders / "nnUNet_raw" / NAME / "dataset.json").write_text("{}")
    plans = {"plans_name": "nnMTLPlans", "configurations": configurations}
    path = folders / "nnUNet_preprocessed" / NAME / "nnMTLPlans.json"
    path.write_text(json.dumps(plans))


def test_preprocessing_refuses_a_configuration_that_is_not_planned(folders):
    write_plans(folders, **{"2d": {}})
    with pytest.raises(NnmtlError, match=r"-c 3d_fullres: expected one of \['2d'\]"):
        preprocess(NAME, "nnMTLPlans", "3d_fullres")


def test_preprocessing_refuses_plans_that_would_import_anything(folders):
    write_plans(folders, **{"2d": {"preprocessor_name": "os.system"}})
    with pytest.raises(NnmtlError, match=r"preprocessor_name names 'os\.system'"):
        preprocess(NAME, "nnMTLPlans", "2d")


def test_label_maps_are_copied_under_their_names(tmp_path):
    (tmp_path / "labelsTr").mkdir()
    path = tmp_path / "labelsTr" / "case_1.nii.gz"
    path.write_bytes(b"labels")
    _copy_label_maps(tmp_path, {"case_1": {"label": str(path)}})
    assert (tmp_path / "gt_segmentations" / "case_1.nii.gz").read_bytes() == b"labels"


def settings(**changes):
    values = {
        "dataset": NAME,
        "plans_name": "nnMTLPlans",
        "configuration": "3d_fullres",
        "fold": 0,
        "seed": None,
        "epochs": None,
        "iterations": None,
        "device": "cpu",
        "continue_training": False,
    }
    return RunSettings(**{**values, **changes})


def test_training_without_plans_names_the_command_to_run(folders):
    with pytest.raises(NnmtlError, match=r"-p nnMTLPlans: .*Run nnMTL_plan_and_preprocess"):
        train(settings())


def test_training_refuses_plans_that_would_import_anything(folders):
    write_plans(folders, **{"2d": {"preprocessor_name": "os.system"}})
    with pytest.raises(NnmtlError, match=r"preprocessor_name names 'os\.system'"):
        train(settings(configuration="2d"))


def test_training_refuses_a_configuration_that_is_not_planned(folders):
    write_plans(folders, **{"2d": {}})
    with pytest.raises(NnmtlError, match=r"3d_fullres: expected one of \['2d'\]"):
        train(settings())


def test_training_names_what_it_trains_where_a_cascade_is_asked_for(folders):
    write_plans(folders, **{"3d_lowres": {}})
    with pytest.raises(NnmtlError, match="trains 3d_fullres and 2d, no cascades"):
        train(settings(configuration="3d_lowres"))


def test_training_without_arrays_names_the_command_to_run(folders):
    write_plans(folders, **{"2d": {"nnmtl": {"epochs": 1}, "data_identifier": "nnMTLPlans_2d"}})
    with pytest.raises(
        NnmtlError, match=r"expected the preprocessed cases, .*Run nnMTL_preprocess"
    ):
        train(settings(configuration="2d"))


@pytest.mark.parametrize(("fold", "last"), [(5, 4), (2, 1)])
def test_training_refuses_a_fold_beyond_the_last_for_which_nnunet_would_draw_cases(
    folders, fold, last
):
    write_plans(folders, **{"2d": {"nnmtl": {"epochs": 1}, "data_identifier": "arrays"}})
    preprocessed = folders / "nnUNet_preprocessed" / NAME
    (preprocessed / "arrays").mkdir()
    if last < 4:
        (preprocessed / "splits_final.json").write_text(json.dumps([{}] * (last + 1)))
    with pytest.raises(NnmtlError, match=f"fold {fold}: expected 0 to {last}, or all"):
        train(settings(configuration="2d", fold=fold))
