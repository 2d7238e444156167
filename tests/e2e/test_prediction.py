"""Predicting goes on after an interruption, averages folds, and says where it has no answer."""

import math
import shutil

import numpy as np
import pytest
import SimpleITK
import torch

from nnmtl.errors import NnmtlError
from nnmtl.inference.predictions import read_predictions
from nnmtl.network.multitask_unet import MultiTaskUNet
from nnmtl.nnunet.predictor import load_predictor, nnMTLPredictor

pytestmark = pytest.mark.e2e


@pytest.fixture
def own_model(workspace, trained):
    """A copy of the model of fold 0 that a test may change."""
    (folder,) = trained.results.iterdir()
    return shutil.copytree(folder, workspace.results / folder.name)


def counting(predict_case, calls, *, stop_after=None):
    def predict(self, data, properties, **options):
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(1)
        return predict_case(self, data, properties, **options)

    return predict


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_an_interrupted_prediction_goes_on_with_the_cases_that_are_left(
    model, trained, tmp_path, monkeypatch
):
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    trained.predict(model, whole)
    predict_case, calls = nnMTLPredictor.predict_case, []
    stopping = counting(predict_case, calls, stop_after=2)
    monkeypatch.setattr(nnMTLPredictor, "predict_case", stopping)
    with pytest.raises(KeyboardInterrupt):
        trained.predict(model, interrupted)
    assert len(list(interrupted.glob("*.nii.gz"))) == 2
    assert not (interrupted / "biomarkers.json").exists()
    calls.clear()
    monkeypatch.setattr(nnMTLPredictor, "predict_case", counting(predict_case, calls))
    trained.predict(model, interrupted)
    assert len(calls) == 4
    assert files(interrupted) == files(whole)


def test_cases_finished_by_another_model_are_predicted_again(
    own_model, workspace, tmp_path, monkeypatch
):
    predict_case, calls = nnMTLPredictor.predict_case, []
    stopping = counting(predict_case, calls, stop_after=1)
    monkeypatch.setattr(nnMTLPredictor, "predict_case", stopping)
    with pytest.raises(KeyboardInterrupt):
        workspace.predict(own_model, tmp_path)
    other = shutil.copytree(own_model, own_model.with_name("nnMTLTrainer__other__3d_fullres"))
    calls.clear()
    monkeypatch.setattr(nnMTLPredictor, "predict_case", counting(predict_case, calls))
    workspace.predict(other, tmp_path)
    assert len(calls) == 6


def test_folds_are_averaged_and_their_spread_is_told(own_model, workspace, tmp_path):
    """The second fold is the first with other biases in one head, and another median."""
    second = shutil.copytree(own_model / "fold_0", own_model / "fold_1")
    checkpoint = torch.load(second / "checkpoint_final.pth", weights_only=False)
    weights = checkpoint["network_weights"]
    weights["tower.heads.ER.linear.bias"] += 1
    weights["tower.heads.Ki67.median"] += 2
    torch.save(checkpoint, second / "checkpoint_final.pth")
    images = workspace.one_image()
    alone = read_predictions(workspace.predict(own_model, tmp_path / "0", images=images, folds=[0]))
    both = read_predictions(workspace.predict(own_model, tmp_path / "01", images=images))
    assert (alone.folds, both.folds) == ((0,), (0, 1))
    assert both.training_median["Ki67"] == pytest.approx(alone.training_median["Ki67"] + 1)
    (single,), (case,) = alone.cases, both.cases
    assert single.status == case.status == "ok", "else this tests too little"
    assert single.biomarkers["ER"].fold_sd is None
    (first,), (other,) = case.biomarkers["ER"].folds
    assert first == pytest.approx(single.biomarkers["ER"].answer[0])
    assert other > first
    assert case.biomarkers["ER"].answer == (pytest.approx((first + other) / 2),)
    assert case.biomarkers["ER"].fold_sd == pytest.approx((other - first) / math.sqrt(2))
    assert case.biomarkers["Ki67"].fold_sd == pytest.approx(0)


def test_each_fold_answers_as_alone_though_the_image_is_measured_once_for_all(
    own_model, workspace, monkeypatch
):
    for number in (1, 2):
        fold = shutil.copytree(own_model / "fold_0", own_model / f"fold_{number}")
        checkpoint = torch.load(fold / "checkpoint_final.pth", weights_only=False)
        weights = checkpoint["network_weights"]
        weights["encoder.stages.0.0.convs.0.conv.weight"][number] *= -1
        torch.save(checkpoint, fold / "checkpoint_final.pth")
    paths = [str(path) for path in workspace.one_image().iterdir()]
    calls, measure = [], MultiTaskUNet.measure

    def counted(*arguments):
        calls.append(1)
        return measure(*arguments)

    monkeypatch.setattr(MultiTaskUNet, "measure", counted)

    def answers(*folds):
        calls.clear()
        predictor = load_predictor(own_model, list(folds), device=torch.device("cpu"), exact=True)
        data, properties, _ = predictor.preprocess(paths)
        mask = np.zeros(data.shape[1:], bool)
        mask[tuple(slice(size // 2 - 3, size // 2 + 3) for size in mask.shape)] = True
        return predictor.predict_case(data, properties, mask=mask).outputs

    alone = [answers(fold)[0] for fold in range(3)]
    together = answers(0, 1, 2)
    assert len(calls) == 4  # mirrored views
    for one, other in zip(alone, together, strict=True):
        assert {name: value.tolist() for name, value in one.items()} == {
            name: value.tolist() for name, value in other.items()
        }
    assert len({each["ER"].tolist()[0] for each in together}) == 3


def test_an_image_without_tumor_gets_nan_and_the_reason(own_model, workspace, tmp_path):
    """The network is made to call everything background."""
    path = own_model / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    for name, value in checkpoint["network_weights"].items():
        if "seg_layers" in name and name.endswith("bias"):
            value[:] = torch.tensor([1000.0, -1000.0])
    torch.save(checkpoint, path)
    output = workspace.predict(own_model, tmp_path / "out", images=workspace.one_image())
    (case,) = read_predictions(output).cases
    assert case.status == "empty_segmentation"
    assert case.reason == "no tumor was segmented, so there is no region to look at"
    assert "EMPTY_SEG" in case.flags
    assert case.tumor_volume_ml == 0
    assert all(biomarker.is_missing for biomarker in case.biomarkers.values())
    for name in ("", "regions/"):
        written = SimpleITK.ReadImage(str(output / f"{name}{case.case_id}.nii.gz"))
        assert not np.any(SimpleITK.GetArrayFromImage(written))
    row = (output / "biomarkers.csv").read_text().splitlines()[1].split(",")
    assert row[4:] == ["nan"] * 12


def test_an_image_that_is_cut_short_is_refused_before_anything_is_written(
    own_model, workspace, tmp_path
):
    shutil.copytree(workspace.raw / "imagesTs", tmp_path / "images")
    last = max((tmp_path / "images").iterdir())
    last.write_bytes(last.read_bytes()[:-10])
    with pytest.raises(NnmtlError, match=f"{last.name}: the file ends before its last voxel"):
        workspace.predict(own_model, tmp_path / "out", images=tmp_path / "images")
    assert not (tmp_path / "out").exists()
