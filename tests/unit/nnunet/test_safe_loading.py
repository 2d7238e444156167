import copy
import json
import os
import pickle
import pydoc
from pathlib import Path

import numpy as np
import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.allowed_names import LAYERS, UNETS
from nnmtl.nnunet.safe_loading import check_model_folder, check_plans, load_checkpoint_safely

PLAIN_UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
WHERE = Path("plans.json")
PLANS = {
    "dataset_name": "Dataset001_Toy",
    "plans_name": "nnMTLPlans",
    "image_reader_writer": "SimpleITKIOWithReorient",
    "label_manager": "LabelManager",
    "experiment_planner_used": "nnMTLPlanner",
    "configurations": {
        "3d_fullres": {
            "preprocessor_name": "DefaultPreprocessor",
            "normalization_schemes": ["ZScoreNormalization", "CTNormalization"],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": {"is_seg": False, "order": 3},
            "architecture": {
                "network_class_name": "nnmtl.nnunet.network.PlannedMultiTaskUNet",
                "arch_kwargs": {
                    "unet_class_name": PLAIN_UNET,
                    "n_stages": 2,
                    "conv_op": "torch.nn.modules.conv.Conv3d",
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                    "dropout_op": None,
                    "nonlin": "torch.nn.LeakyReLU",
                    "multitask": {"heads": [{"name": "Ki.67", "kind": "continuous"}]},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
        },
        "3d_fullres_A": {"inherits_from": "3d_fullres", "spacing": [2.0, 1.0, 1.0]},
    },
}
CONFIGURATION = ("configurations", "3d_fullres")
ARGUMENTS = (*CONFIGURATION, "architecture", "arch_kwargs")


def with_value(path, value):
    plans = copy.deepcopy(PLANS)
    inner = plans
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return plans


class RunsOnLoading:
    """What an attacker puts into a pickle: unpickling it creates the file `marker`."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def stock_checkpoint(trainer_name="nnUNetTrainer"):
    """The dict that nnUNetTrainer.save_checkpoint of nnU-Net 2.8.1 writes."""
    network = torch.nn.Conv3d(1, 2, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99, nesterov=True)
    network(torch.rand(1, 1, 4, 4, 4)).sum().backward()
    optimizer.step()
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {
            "mean_fg_dice": [np.float64(0.5), np.float32(0.25)],
            "dice_per_class_or_region": [[np.float64(0.1), np.float64(np.nan)]],
            "train_losses": [np.float64(-0.5)],
            "epoch_start_timestamps": [1.5],
        },
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {
            "plans": PLANS,
            "configuration": "3d_fullres",
            "fold": 0,
            "dataset_json": {"labels": {"background": 0, "tumor": 1}},
            "device": torch.device("cpu"),
        },
        "trainer_name": trainer_name,
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


@pytest.fixture
def model_folder(tmp_path):
    (tmp_path / "plans.json").write_text(json.dumps(PLANS))
    (tmp_path / "fold_0").mkdir()
    torch.save(stock_checkpoint(), tmp_path / "fold_0" / "checkpoint_final.pth")
    return tmp_path


def test_every_layer_and_network_in_the_lists_exists():
    former = {name for name in UNETS if ".residual_unet." in name}
    assert all(pydoc.locate(name) is not None for name in LAYERS | (UNETS - former))


def test_plans_of_known_names_pass():
    check_plans(PLANS, WHERE)


@pytest.mark.parametrize(
    "path",
    [
        ("image_reader_writer",),
        ("label_manager",),
        ("experiment_planner_used",),
        (*CONFIGURATION, "preprocessor_name"),
        (*CONFIGURATION, "resampling_fn_data"),
        (*CONFIGURATION, "resampling_fn_seg"),
        (*CONFIGURATION, "resampling_fn_probabilities"),
        (*CONFIGURATION, "architecture", "network_class_name"),
        (*ARGUMENTS, "unet_class_name"),
        (*ARGUMENTS, "conv_op"),
        (*ARGUMENTS, "norm_op"),
        (*ARGUMENTS, "dropout_op"),
        (*ARGUMENTS, "nonlin"),
    ],
)
@pytest.mark.parametrize("name", ["os.system", "antigravity", ["os.system"], {"a": 1}])
def test_a_name_outside_the_list_is_refused(path, name):
    with pytest.raises(NnmtlError, match=rf"plans.json: {path[-1]} names"):
        check_plans(with_value(path, name), WHERE)


def test_each_normalization_scheme_is_checked():
    plans = with_value((*CONFIGURATION, "normalization_schemes"), ["ZScoreNormalization", "os"])
    with pytest.raises(NnmtlError, match="normalization_schemes names 'os'"):
        check_plans(plans, WHERE)


def test_any_argument_listed_for_import_is_checked():
    plans = with_value((*ARGUMENTS, "n_stages"), "os.system")
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["_kw_requires_import"] = ["conv_op", "n_stages"]
    with pytest.raises(NnmtlError, match=r"n_stages names 'os\.system'"):
        check_plans(plans, WHERE)


def test_an_inherited_configuration_is_checked_too():
    architecture = {"network_class_name": "os.system", "arch_kwargs": {}, "_kw_requires_import": []}
    with pytest.raises(NnmtlError, match=r"network_class_name names 'os\.system'"):
        check_plans(
            with_value(("configurations", "3d_fullres_A", "architecture"), architecture), WHERE
        )


def test_a_stock_checkpoint_loads_with_its_values(tmp_path):
    saved = stock_checkpoint()
    torch.save(saved, tmp_path / "checkpoint.pth")
    loaded = load_checkpoint_safely(tmp_path / "checkpoint.pth")
    assert loaded["_best_ema"] == saved["_best_ema"]
    assert loaded["init_args"] == saved["init_args"]
    assert loaded["logging"]["mean_fg_dice"] == [0.5, 0.25]
    torch.testing.assert_close(loaded["network_weights"], saved["network_weights"])
    torch.testing.assert_close(loaded["optimizer_state"], saved["optimizer_state"])


def test_random_state_of_every_generator_loads(tmp_path):
    numpy_state = np.random.default_rng(1).bit_generator.state
    legacy = np.random.RandomState(1).get_state()
    saved = {"numpy": numpy_state, "legacy": legacy, "torch": torch.get_rng_state()}
    torch.save(saved, tmp_path / "checkpoint.pth")
    loaded = load_checkpoint_safely(tmp_path / "checkpoint.pth")
    assert loaded["numpy"] == numpy_state
    np.testing.assert_array_equal(loaded["legacy"][1], legacy[1])
    torch.testing.assert_close(loaded["torch"], saved["torch"])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_a_command_is_refused_and_does_not_run(tmp_path, zipped):
    marker = tmp_path / "marker"
    checkpoint = stock_checkpoint() | {"payload": RunsOnLoading(marker)}
    path = tmp_path / "checkpoint.pth"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(NnmtlError, match=r"checkpoint\.pth: .* names \w+\.system"):
        load_checkpoint_safely(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the attack itself must work, else this test shows nothing"


def test_a_bare_pickle_is_refused_and_does_not_run(tmp_path):
    path, marker = tmp_path / "checkpoint.pth", tmp_path / "marker"
    path.write_bytes(pickle.dumps(RunsOnLoading(marker), protocol=2))
    with pytest.raises(NnmtlError, match=r"checkpoint\.pth"):
        load_checkpoint_safely(path)
    assert not marker.exists()


def test_a_class_of_another_package_is_refused_by_name(tmp_path):
    torch.save({"path": Path("x")}, tmp_path / "checkpoint.pth")
    with pytest.raises(NnmtlError, match=r"names pathlib\."):
        load_checkpoint_safely(tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    (tmp_path / "checkpoint.pth").write_bytes(content)
    with pytest.raises(NnmtlError, match=r"checkpoint\.pth: expected a checkpoint"):
        load_checkpoint_safely(tmp_path / "checkpoint.pth")


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(NnmtlError, match="found no file"):
        load_checkpoint_safely(tmp_path / "checkpoint.pth")


def test_a_known_model_folder_passes(model_folder):
    check_model_folder(model_folder, [0], "checkpoint_final.pth")


def test_an_unknown_trainer_is_refused(model_folder):
    path = model_folder / "fold_0" / "checkpoint_final.pth"
    torch.save(stock_checkpoint(trainer_name="os"), path)
    with pytest.raises(NnmtlError, match="its trainer is 'os'"):
        check_model_folder(model_folder, [0], "checkpoint_final.pth")


def test_plans_inside_a_checkpoint_are_checked_too(model_folder):
    checkpoint = stock_checkpoint()
    checkpoint["init_args"]["plans"] = with_value(("label_manager",), "os.system")
    torch.save(checkpoint, model_folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(NnmtlError, match=r"checkpoint_final\.pth: label_manager names"):
        check_model_folder(model_folder, [0], "checkpoint_final.pth")


@pytest.mark.parametrize("key", ["init_args", "network_weights"])
def test_a_checkpoint_that_has_lost_a_part_is_refused_by_its_name(model_folder, key):
    checkpoint = stock_checkpoint()
    del checkpoint[key]
    torch.save(checkpoint, model_folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(NnmtlError, match=rf"checkpoint_final\.pth: .*{key} is missing"):
        check_model_folder(model_folder, [0], "checkpoint_final.pth")


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        (("configurations",), "configurations"),
        (CONFIGURATION, "3d_fullres"),
        ((*CONFIGURATION, "architecture"), "architecture"),
    ],
)
def test_plans_that_have_lost_what_was_trained_with_are_refused(model_folder, path, lost):
    plans = copy.deepcopy(PLANS)
    inner = plans
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    (model_folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(NnmtlError, match=rf"plans\.json: .*{lost} is missing"):
        check_model_folder(model_folder, [0], "checkpoint_final.pth")


def test_a_fold_that_is_not_used_is_not_opened(model_folder):
    (model_folder / "fold_1").mkdir()
    (model_folder / "fold_1" / "checkpoint_final.pth").write_bytes(b"damaged")
    check_model_folder(model_folder, [0], "checkpoint_final.pth")
