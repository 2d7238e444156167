"""What a prediction refuses before a model is opened, and what it makes of the folds' answers."""

import json

import numpy as np
import pytest
import SimpleITK
import torch

from nnmtl.cohort.biomarker import BinaryBiomarker, CategoricalBiomarker, ContinuousBiomarker
from nnmtl.errors import NnmtlError
from nnmtl.losses.targets import to_head_scale
from nnmtl.nnunet.predict_folder import _biomarker, predict_folder
from nnmtl.nnunet.prediction_input import CHECKPOINT
from nnmtl.planning.architecture import HeadPlan

DATASET_JSON = {
    "channel_names": {"0": "pre", "1": "post"},
    "labels": {"background": 0, "tumor": 1},
    "numTraining": 4,
    "file_ending": ".nii.gz",
    "nnmtl": {
        "schema": 1,
        "tumor_labels": [1],
        "biomarkers": [{"name": "ER", "kind": "binary"}],
    },
}


@pytest.fixture
def model(tmp_path):
    """A model folder that is right in all but its checkpoint, which holds nothing."""
    folder = tmp_path / "model"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "fold_0" / CHECKPOINT).touch()
    (folder / "dataset.json").write_text(json.dumps(DATASET_JSON))
    (folder / "plans.json").write_text("{}")
    (folder / "nnmtl_centers.json").write_text('["A", "B"]')
    return folder


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for channel in (0, 1):
        image = SimpleITK.Image(4, 4, 4, SimpleITK.sitkUInt8)
        SimpleITK.WriteImage(image, str(folder / f"case_{channel:04d}.nii.gz"))
    return folder


def refused(images, model, **options):
    output = model.parent / "out"
    options = {"folds": None, "device": torch.device("cpu"), **options}
    with pytest.raises(NnmtlError, match=r"\A[^\n]+\Z") as caught:
        predict_folder(images, output, model, **options)
    assert not output.exists(), "nothing is written before all is checked"

    return str(caught.value)


def test_a_fold_that_is_not_there(images, model):
    assert "-f 3: expected folds that have finished" in refused(images, model, folds=[3])


def test_a_model_folder_that_is_not_there(images, model):
    assert "expected a model folder" in refused(images, model.parent / "absent")


def test_a_model_folder_without_its_dataset(images, model):
    (model / "dataset.json").unlink()
    assert "dataset.json, but it does not exist" in refused(images, model)


def test_a_model_that_was_not_made_for_biomarkers(images, model):
    without = {key: value for key, value in DATASET_JSON.items() if key != "nnmtl"}
    (model / "dataset.json").write_text(json.dumps(without))
    assert "nnmtl" in refused(images, model)


def test_a_model_folder_without_plans(images, model):
    (model / "plans.json").unlink()
    assert "expected a model's plans" in refused(images, model)


def test_a_checkpoint_that_cannot_be_read(images, model):
    assert "cannot be read" in refused(images, model)


def test_masks_are_not_written_among_the_images(images, model):
    with pytest.raises(NnmtlError, match=r"-o .*expected another folder than that of the images"):
        predict_folder(
            images, images / ".." / "images", model, folds=None, device=torch.device("cpu")
        )


def test_a_model_whose_dataset_json_has_lost_a_key(images, model):
    without = {key: value for key, value in DATASET_JSON.items() if key != "file_ending"}
    (model / "dataset.json").write_text(json.dumps(without))
    assert "dataset.json: the key 'file_ending' is missing" in refused(images, model)


def test_images_that_are_not_there(images, model):
    assert "does not exist" in refused(images.parent / "absent", model)


def test_images_of_too_few_channels(images, model):
    (images / "case_0001.nii.gz").unlink()
    assert "channels 0 to 1 of case 'case' (pre, post), found 0" in refused(images, model)


def test_a_center_that_the_model_has_not_seen(images, model):
    assert "--center C: expected one of" in refused(images, model, center="C")


def test_covariates_for_a_model_that_has_none(images, model):
    table = model.parent / "table.csv"
    table.write_text("case_id,age\ncase,50\n")
    assert "leave out --covariates" in refused(images, model, covariates=table)


def test_covariates_of_a_case_that_has_no_image(images, model):
    section = {**DATASET_JSON["nnmtl"], "covariates": ["age"]}
    (model / "dataset.json").write_text(json.dumps({**DATASET_JSON, "nnmtl": section}))
    table = model.parent / "table.csv"
    table.write_text("case_id,age\nanother,50\n")
    assert "row 2, column 'case_id'" in refused(images, model, covariates=table)


BINARY = (BinaryBiomarker(name="ER"), HeadPlan(name="ER", kind="binary", num_outputs=1))
KI67 = (
    ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100)),
    HeadPlan(name="Ki67", kind="continuous", num_outputs=1, range=(0, 100)),
)
BETA = (
    ContinuousBiomarker(name="Ki67", unit="%", range=(0, 100), cutoffs=(14, 20)),
    HeadPlan(name="Ki67", kind="beta", num_outputs=2, range=(0, 100)),
)
HER2 = (
    CategoricalBiomarker(name="HER2_3", categories=("zero", "low", "positive")),
    HeadPlan(name="HER2_3", kind="categorical", num_outputs=3),
)


def test_probabilities_are_averaged_over_folds():
    found = _biomarker([{"ER": [0.6]}, {"ER": [0.9]}], *BINARY)
    assert found.answer == pytest.approx((0.75,))
    assert found.fold_sd == pytest.approx(np.std([0.6, 0.9], ddof=1))
    assert found.folds == ((0.6,), (0.9,))


def test_values_are_averaged_in_their_unit_not_on_the_heads_scale():
    folds = [{"Ki67": [float(to_head_scale(np.array(value), KI67[1]))]} for value in (10.0, 80.0)]
    assert _biomarker(folds, *KI67).answer == pytest.approx((45.0,))


def test_the_spread_of_a_categorical_answer_is_its_largest():
    found = _biomarker([{"HER2_3": [0.2, 0.3, 0.5]}, {"HER2_3": [0.4, 0.3, 0.3]}], *HER2)
    assert found.answer == pytest.approx((0.3, 0.3, 0.4))
    assert found.fold_sd == pytest.approx(np.std([0.2, 0.4], ddof=1))


def test_one_fold_has_no_spread():
    assert _biomarker([{"ER": [0.6]}], *BINARY).fold_sd is None


def test_the_folds_distributions_are_mixed():
    """The value is the mean of the medians; a cutoff is reached as often as on average."""
    first, second = [-1.5, 2.0], [0.5, 3.0]
    found = _biomarker([{"Ki67": first}, {"Ki67": second}], *BETA)
    alone = [_biomarker([{"Ki67": each}], *BETA) for each in (first, second)]
    values = [each.answer[0] for each in alone]
    assert found.folds == tuple((value,) for value in values)
    assert found.answer == pytest.approx((np.mean(values),))
    assert found.at_least == pytest.approx(np.mean([each.at_least for each in alone], axis=0))
    assert 1 > found.at_least[0] > found.at_least[1] > 0


def test_a_head_without_a_distribution_says_nothing_of_cutoffs():
    head = KI67[1]
    assert _biomarker([{"Ki67": [0.1]}], BETA[0], head).at_least == ()


def test_without_a_tumor_no_cutoff_has_a_probability():
    assert np.isnan(_biomarker([], *BETA).at_least).tolist() == [True, True]


@pytest.mark.parametrize(("biomarker", "head"), [BINARY, KI67, HER2])
def test_without_a_tumor_there_is_no_answer(biomarker, head):
    found = _biomarker([], biomarker, head)
    assert len(found.answer) == head.num_outputs
    assert found.is_missing
