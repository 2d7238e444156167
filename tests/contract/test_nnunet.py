"""What nnMTL relies on in nnU-Net 2.8: when an upgrade breaks one of these, its name says what."""

import hashlib
import inspect
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from batchgenerators.dataloading.data_loader import DataLoader
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
    ExperimentPlanner,
)
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnmtl.nnunet.planner import nnMTLPlanner
from nnmtl.nnunet.predictor import nnMTLPredictor
from nnmtl.nnunet.roi_loader import RoiLoader
from nnmtl.nnunet.trainer import nnMTLTrainer

HOOKS = (
    "initialize",
    "_do_i_compile",
    "configure_optimizers",
    "configure_rotation_dummyDA_mirroring_and_inital_patch_size",
    "get_dataloaders",
    "train_step",
    "on_train_epoch_end",
    "validation_step",
    "on_validation_epoch_end",
    "on_epoch_end",
    "run_training",
    "save_checkpoint",
    "load_checkpoint",
    "perform_actual_validation",
    "on_train_end",
)
CALLED = (  # by our training loop, as nnU-Net's own does
    "on_train_start",
    "on_epoch_start",
    "on_train_epoch_start",
    "on_validation_epoch_start",
    "get_tr_and_val_datasets",
    "set_deep_supervision_enabled",
    "print_to_log_file",
    "_build_loss",
    "_get_deep_supervision_scales",
    "get_training_transforms",
    "get_validation_transforms",
)


def parameters(function):
    return list(inspect.signature(function).parameters)


def source(function):
    return inspect.getsource(function)


def test_the_version_is_the_one_that_this_was_written_for():
    assert version("nnunetv2").startswith("2.8.")


# training ------------------------------------------------------------------------------------


def test_trainers_are_made_from_five_arguments_that_checkpoints_record():
    expected = ["self", "plans", "configuration", "fold", "dataset_json", "device"]
    assert parameters(nnUNetTrainer.__init__) == expected
    assert parameters(nnMTLTrainer.__init__) == expected
    assert 'plans.pop("continue_training")' in source(nnUNetTrainer.__init__)


@pytest.mark.parametrize("name", HOOKS)
def test_the_trainer_has_the_hook(name):
    ours, theirs = getattr(nnMTLTrainer, name), getattr(nnUNetTrainer, name)
    assert ours is not theirs, "no longer overridden: take it off the list"
    assert parameters(ours) == parameters(theirs)


@pytest.mark.parametrize("name", CALLED)
def test_the_trainer_has_the_method_that_we_call(name):
    assert callable(getattr(nnUNetTrainer, name))


def test_every_hook_that_we_override_is_on_the_list():
    overridden = {
        name
        for name in vars(nnMTLTrainer)
        if hasattr(nnUNetTrainer, name) and not (name.startswith("__") and name.endswith("__"))
    }
    assert overridden == set(HOOKS)


def test_the_training_loop_calls_the_hooks_in_the_order_that_ours_keeps():
    text = source(nnUNetTrainer.run_training)
    calls = [
        "on_train_start", "on_epoch_start", "on_train_epoch_start", "train_step",
        "on_train_epoch_end", "on_validation_epoch_start", "validation_step",
        "on_validation_epoch_end", "on_epoch_end", "on_train_end",
    ]  # fmt: skip
    positions = [text.index(f"self.{name}(") for name in calls]
    assert positions == sorted(positions)


def test_checkpoints_have_the_keys_that_ours_repeat(tmp_path):
    stub = SimpleNamespace(state_dict=dict, get_checkpoint=dict)
    trainer = SimpleNamespace(
        local_rank=0,
        disable_checkpointing=False,
        is_ddp=False,
        network=stub,
        optimizer=stub,
        grad_scaler=None,
        logger=stub,
        _best_ema=None,
        current_epoch=0,
        my_init_kwargs={},
        inference_allowed_mirroring_axes=None,
    )
    nnUNetTrainer.save_checkpoint(trainer, str(tmp_path / "checkpoint.pth"))
    assert set(torch.load(tmp_path / "checkpoint.pth")) == {
        "network_weights", "optimizer_state", "grad_scaler_state", "logging", "_best_ema",
        "current_epoch", "init_args", "trainer_name", "inference_allowed_mirroring_axes",
    }  # fmt: skip


def test_the_logger_has_the_methods_that_we_call():
    assert parameters(MetaLogger.log)[1:4] == ["key", "value", "step"]
    assert parameters(MetaLogger.get_value)[1:] == ["key", "step"]
    assert callable(MetaLogger.get_checkpoint)
    assert callable(MetaLogger.load_checkpoint)


def test_optimizers_are_made_from_the_network_that_the_trainer_holds():
    assert "self.network.parameters()" in source(nnUNetTrainer.configure_optimizers)


# loading -------------------------------------------------------------------------------------


def test_the_loader_asks_where_a_patch_is_taken():
    expected = ["self", "data_shape", "force_fg", "class_locations", "overwrite_class", "verbose"]
    assert parameters(nnUNetDataLoader.get_bbox) == expected
    assert parameters(RoiLoader.get_bbox) == expected
    text = source(nnUNetDataLoader.generate_train_batch)
    assert "self.get_bbox(shape, force_fg, properties['class_locations'])" in text


def test_the_loader_draws_its_cases_through_one_method_and_returns_their_names():
    text = source(nnUNetDataLoader.generate_train_batch)
    assert "selected_keys = self.get_indices()" in text
    assert "'keys': selected_keys" in text
    assert "self.batch_size" in text


def test_the_loader_takes_the_arguments_that_we_give():
    assert parameters(nnUNetDataLoader.__init__)[:7] == [
        "self", "data", "batch_size", "patch_size", "final_patch_size", "label_manager",
        "oversample_foreground_percent",
    ]  # fmt: skip
    assert "transforms" in parameters(nnUNetDataLoader.__init__)


def test_the_method_that_ours_rewrites_is_the_one_that_it_was_written_after():
    """`nnmtl.nnunet.grid_loaders` rewrites it: compare before changing the digest."""
    digest = hashlib.sha256(source(nnUNetTrainer.get_dataloaders).encode()).hexdigest()
    assert digest == "5f59e2b907cfa2d1eb1e77ab2a5b8893161e7af8567fc5669c62a4810334899e"


def test_a_grids_cases_are_a_dataset_of_their_own():
    assert parameters(nnUNetDatasetBlosc2.__init__)[1:3] == ["folder", "identifiers"]
    assert "p=self.sampling_probabilities" in source(DataLoader.get_indices)


def test_no_worker_processes_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    assert get_allowed_n_proc_DA() == 0


def test_folders_are_read_from_the_environment_when_they_are_used(monkeypatch):
    for folder in ("/first", "/second"):
        monkeypatch.setenv("nnUNet_preprocessed", folder)
        assert Path(nnUNet_preprocessed) == Path(folder)


# planning and preprocessing ------------------------------------------------------------------


def test_plans_are_saved_by_the_method_where_ours_joins():
    assert "self.save_plans(plans)" in source(ExperimentPlanner.plan_experiment)
    assert parameters(nnMTLPlanner.save_plans) == parameters(ExperimentPlanner.save_plans)


@pytest.mark.parametrize("name", ["UNet_base_num_features", "UNet_max_features_3d"])
def test_the_planner_reads_the_limits_that_presets_change(name):
    assert f"self.{name} =" in source(ExperimentPlanner.__init__)
    assert f"self.{name}" in source(ExperimentPlanner.get_plans_for_configuration)


def test_a_case_is_preprocessed_by_two_methods():
    assert parameters(DefaultPreprocessor.run_case_save) == [
        "self", "output_filename_truncated", "image_files", "seg_file", "plans_manager",
        "configuration_manager", "dataset_json",
    ]  # fmt: skip
    assert parameters(DefaultPreprocessor.run_case) == [
        "self", "image_files", "seg_file", "plans_manager", "configuration_manager", "dataset_json",
    ]  # fmt: skip


def test_a_case_that_has_been_read_is_preprocessed_as_one_that_is_read_first():
    expected = [
        "self", "data", "seg", "properties", "plans_manager", "configuration_manager",
        "dataset_json",
    ]  # fmt: skip
    assert parameters(DefaultPreprocessor.run_case_npy) == expected
    text = source(DefaultPreprocessor.run_case)
    assert "rw = plans_manager.image_reader_writer_class()" in text
    assert "self.run_case_npy(data, seg, data_properties, plans_manager" in text


def test_the_planner_plans_from_the_fingerprint_that_ours_replaces_and_asks_for_the_reader():
    text = source(ExperimentPlanner.plan_experiment)
    assert "self.dataset_fingerprint['spacings']" in text
    assert "self.dataset_fingerprint['shapes_after_crop']" in text
    assert "self.determine_reader_writer()" in text
    assert parameters(ExperimentPlanner.determine_reader_writer) == ["self"]


def test_a_configuration_takes_what_it_lacks_from_the_one_that_it_inherits_from():
    shared = {"architecture": {}, "spacing": [1, 1, 1], "nnmtl": {"roi_size": 1, "epochs": 2}}
    own = {"inherits_from": "3d_fullres", "spacing": [2, 2, 2], "nnmtl": {"roi_size": 3}}
    plans = PlansManager({"configurations": {"3d_fullres": shared, "3d_fullres_a": own}})
    resolved = plans.get_configuration("3d_fullres_a").configuration
    assert resolved == {**shared, **own}, "shallow, so ours adds the shared section's keys"


def test_the_fingerprint_samples_as_many_voxels_as_it_is_told():
    name = "num_foreground_voxels_for_intensitystats"
    assert f"self.{name} = " in source(DatasetFingerprintExtractor.__init__)
    assert name in source(DatasetFingerprintExtractor.run)


# prediction ----------------------------------------------------------------------------------


def test_the_predictor_has_the_methods_that_we_call_and_the_one_that_we_override():
    assert parameters(nnUNetPredictor.initialize_from_trained_model_folder)[1:4] == [
        "model_training_output_dir", "use_folds", "checkpoint_name",
    ]  # fmt: skip
    assert parameters(nnUNetPredictor.manual_initialization)[1:] == [
        "network", "plans_manager", "configuration_manager", "parameters", "dataset_json",
        "trainer_name", "inference_allowed_mirroring_axes",
    ]  # fmt: skip
    assert parameters(nnUNetPredictor.predict_logits_from_preprocessed_data) == ["self", "data"]
    assert parameters(nnMTLPredictor.predict_sliding_window_return_logits) == parameters(
        nnUNetPredictor.predict_sliding_window_return_logits
    )
    text = source(nnUNetPredictor.predict_logits_from_preprocessed_data)
    assert "self.predict_sliding_window_return_logits(" in text


def test_logits_return_to_the_images_geometry_by_one_function():
    assert parameters(convert_predicted_logits_to_segmentation_with_correct_shape)[:5] == [
        "predicted_logits", "plans_manager", "configuration_manager", "label_manager",
        "properties_dict",
    ]  # fmt: skip


def test_a_model_folder_is_opened_through_its_trainers_name_and_plans():
    """So these are what must be checked before nnU-Net sees a folder."""
    text = source(nnUNetPredictor.initialize_from_trained_model_folder)
    for name in ("trainer_name", "'plans.json'", "'dataset.json'", "weights_only=False"):
        assert name in text
