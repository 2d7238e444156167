"""Our models are nnU-Net's models, and without biomarkers our training is nnU-Net's."""

import json
import random

import numpy as np
import pytest
import SimpleITK
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnmtl.inference.predictions import read_predictions
from nnmtl.nnunet.precision import cpu_has_bf16
from nnmtl.nnunet.trainer import nnMTLTrainer

pytestmark = pytest.mark.e2e

ITERATIONS = 10


@pytest.fixture(scope="module")
def images(trained, tmp_path_factory):
    """A test image of each center."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("PHANTOM_A_T0000_0000.nii.gz", "PHANTOM_B_T0000_0000.nii.gz"):
        (folder / name).symlink_to(trained.raw / "imagesTs" / name)
    return folder


@pytest.fixture(scope="module")
def stock(trained, images, tmp_path_factory):
    """Label maps that nnU-Net's own predictor wrote."""
    output = tmp_path_factory.mktemp("stock")
    with pytest.MonkeyPatch.context() as monkeypatch:
        trained.enter(monkeypatch)
        (folder,) = trained.results.iterdir()
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(folder), (0,), "checkpoint_final.pth")
        predictor.predict_from_files_sequential(str(images), str(output))
    return label_maps(output)


def label_maps(folder):
    return {
        path.name: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
        for path in sorted(folder.glob("*.nii.gz"))
    }


def test_exact_label_maps_are_those_of_nnunet(model, trained, images, stock, tmp_path):
    ours = label_maps(trained.predict(model, tmp_path, images=images, exact=True))
    assert ours.keys() == stock.keys()
    assert len(ours) == 2
    assert any(label_map.any() for label_map in stock.values()), "else this tests too little"
    for name, label_map in ours.items():
        np.testing.assert_array_equal(label_map, stock[name])


@pytest.mark.skipif(not cpu_has_bf16(), reason="needs a processor that has bfloat16")
def test_default_precision_changes_few_voxels_even_of_a_hardly_trained_model(
    model, trained, images, stock, tmp_path
):
    ours = label_maps(trained.predict(model, tmp_path, images=images))
    for name, label_map in ours.items():
        assert (label_map != stock[name]).mean() < 0.01


# without biomarkers --------------------------------------------------------------------------


@pytest.fixture
def without_biomarkers(workspace):
    """The dataset without any biomarker: targets.csv names patients and centers only."""
    dataset_json = json.loads((workspace.raw / "dataset.json").read_text())
    dataset_json["nnmtl"]["biomarkers"] = []
    (workspace.raw / "dataset.json").write_text(json.dumps(dataset_json))
    (workspace.preprocessed / "dataset.json").unlink(missing_ok=True)
    lines = (workspace.raw / "targets.csv").read_text().splitlines()
    identity = [",".join(line.split(",")[:3]) for line in lines]
    (workspace.raw / "targets.csv").write_text("\n".join(identity) + "\n")
    workspace.plan()
    return workspace


def run(trainer_class, workspace, seed):
    """Losses of some iterations, and the weights after them; all is seeded before `initialize`."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - nnU-Net draws from this stream
    torch.manual_seed(seed)
    plans = workspace.read_plans()
    if trainer_class is nnUNetTrainer:
        plans["continue_training"] = False  # as nnU-Net's own command does
    dataset_json = json.loads((workspace.preprocessed / "dataset.json").read_text())
    trainer = trainer_class(plans, "3d_fullres", 0, dataset_json, torch.device("cpu"))
    trainer.initialize()
    trainer.on_train_start()
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    losses = [
        float(trainer.train_step(next(trainer.dataloader_train))["loss"]) for _ in range(ITERATIONS)
    ]
    return losses, trainer.network.state_dict()


def test_without_biomarkers_the_network_is_nnunets_own(without_biomarkers):
    for name in ("2d", "3d_fullres"):
        architecture = without_biomarkers.read_plans()["configurations"][name]["architecture"]
        assert architecture["network_class_name"].startswith("dynamic_network_architectures.")
        assert "multitask" not in architecture["arch_kwargs"]
        assert "unet_class_name" not in architecture["arch_kwargs"]


def test_without_biomarkers_training_is_bit_equal_to_nnunets(without_biomarkers):
    losses, weights = run(nnUNetTrainer, without_biomarkers, seed=3)
    ours, our_weights = run(nnMTLTrainer, without_biomarkers, seed=3)
    assert ours == losses
    assert our_weights.keys() == weights.keys()
    for name, value in our_weights.items():
        assert torch.equal(value, weights[name]), name
    other, other_weights = run(nnMTLTrainer, without_biomarkers, seed=4)
    assert other != losses
    assert any(not torch.equal(value, weights[name]) for name, value in other_weights.items())


def test_without_biomarkers_cases_are_trained_and_predicted(without_biomarkers, tmp_path):
    fold = without_biomarkers.train(epochs=1, iterations=2)
    images = without_biomarkers.one_image()
    predictions = read_predictions(
        without_biomarkers.predict(fold.parent, tmp_path / "out", images=images)
    )
    assert predictions.biomarkers == ()
    assert [case.status for case in predictions.cases] == ["ok"]
    assert (tmp_path / "out" / "PHANTOM_A_T0000.nii.gz").is_file()


def test_without_biomarkers_a_checkpoint_is_continued(without_biomarkers):
    fold = without_biomarkers.train(epochs=1, iterations=2)
    (fold / "checkpoint_final.pth").rename(fold / "checkpoint_latest.pth")
    before = torch.load(fold / "checkpoint_latest.pth", weights_only=False)
    without_biomarkers.train(epochs=1, iterations=2, continue_training=True)  # none is left to do
    after = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    for name, value in after["network_weights"].items():
        assert torch.equal(value, before["network_weights"][name]), name
