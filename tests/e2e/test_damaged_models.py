"""A model folder whose parts do not belong together is refused before anything is predicted."""

import json
import shutil

import pytest
import torch

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.predict_folder import predict_folder

pytestmark = pytest.mark.e2e

CHECKPOINT = "fold_0/checkpoint_final.pth"


@pytest.fixture
def refused(model, tmp_path):
    """Predicts with a copy of the model that was changed; tells what was said."""

    def run(change):
        copied = shutil.copytree(model, tmp_path / model.name)
        change(copied)
        images, output = tmp_path / "images", tmp_path / "out"
        images.mkdir()
        image = min((model.parents[2] / "nnUNet_raw" / model.parent.name / "imagesTs").iterdir())
        (images / image.name).symlink_to(image)
        with pytest.raises(NnmtlError, match=r"\A[^\n]+\Z") as caught:
            predict_folder(images, output, copied, folds=None, device=torch.device("cpu"))
        assert not output.exists()
        return str(caught.value)

    return run


def edit_json(folder, name, edit):
    content = json.loads((folder / name).read_text())
    edit(content)
    (folder / name).write_text(json.dumps(content))


def edit_weights(folder, edit):
    checkpoint = torch.load(folder / CHECKPOINT, weights_only=False)
    edit(checkpoint["network_weights"])
    torch.save(checkpoint, folder / CHECKPOINT)


def widen(plans):
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["multitask"]["width"] = 99


def test_plans_of_another_network(refused):
    told = refused(lambda folder: edit_json(folder, "plans.json", widen))
    assert "expected plans.json, dataset.json and checkpoints of one training" in told


def test_a_dataset_json_of_fewer_biomarkers(refused):
    def forget(dataset_json):
        del dataset_json["nnmtl"]["biomarkers"][2:]

    told = refused(lambda folder: edit_json(folder, "dataset.json", forget))
    assert "expected the biomarkers that the model answers, but HER2, HER2_3, Ki67 is" in told


def test_weights_of_which_some_are_missing(refused):
    told = refused(lambda folder: edit_weights(folder, lambda weights: weights.popitem()))
    assert "of one training" in told


def test_weights_that_are_no_numbers(refused):
    def spoil(weights):
        weights["encoder.stages.0.0.convs.0.conv.weight"][0] = torch.nan

    assert "some are nan or infinite" in refused(lambda folder: edit_weights(folder, spoil))
