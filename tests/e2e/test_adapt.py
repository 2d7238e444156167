"""A model that goes on learning from the labeled cases of a new center."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import torch

from nnmtl.cli.train import main
from nnmtl.cohort.declaration import parse_declaration
from nnmtl.cohort.targets import read_targets
from nnmtl.errors import NnmtlError
from nnmtl.inference.predictions import read_predictions
from nnmtl.nnunet.adapt import prepare, read_source
from nnmtl.nnunet.trainer import nnMTLTrainer

pytestmark = pytest.mark.e2e

NEW = "Dataset902_PHANTOM_new"
EDGE = 14  # voxels on each side of the tumor: fewer tiles to predict


@pytest.fixture(scope="module")
def new_center(trained, tmp_path_factory):
    """Test cases of the tiny dataset as those of a center C, beside some that it learned from."""
    workspace = trained.copy_to(tmp_path_factory.mktemp("adapt"), with_model=True)
    (model,) = workspace.results.iterdir()
    raw = workspace.raw.with_name(NEW)
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True)
    held_out = [case.case_id for case in read_predictions(model / "fold_0" / "validation").cases]
    learned = sorted({path.name[: -len(".nii.gz")] for path in (trained.raw / "labelsTr").iterdir()}
                     - set(held_out))  # fmt: skip
    old = [*held_out[:2], *learned[:2]]
    new = sorted(path.name[: -len(".nii.gz")] for path in (trained.raw / "labelsTs").iterdir())
    for part, cases in (("Tr", old), ("Ts", new)):
        for case in cases:
            cut(trained.raw, part, case, raw)
    for name in ("targets.csv", "phantom_truth.csv"):
        with (trained.raw / name).open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if row["case_id"] in {*old, *new}]
        with (raw / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, reader.fieldnames)
            writer.writeheader()
            writer.writerows(
                row | ({"center": "C"} if "center" in row and row["case_id"] in new else {})
                for row in rows
            )
    content = json.loads((trained.raw / "dataset.json").read_text())
    content["numTraining"] = len(old) + len(new)
    (raw / "dataset.json").write_text(json.dumps(content))
    own = {
        "inherits_from": "3d_fullres",
        "batch_size": 2,
        "patch_size": [24, 24, 24],
        "median_image_size_in_voxels": [28.0, 28.0, 28.0],
        "spacing": [1.8, 0.9, 0.9],
        "nnmtl": {"center": "C", "native_spacing_mm": [1.8, 0.9, 0.9], "roi_size": [24, 24, 24]},
    }
    (model / "centers").mkdir()
    center = {"schema": 1, "center": "C", "slug": "c", "configuration": own}
    (model / "centers" / "c.json").write_text(json.dumps(center))
    return workspace, model, {"held_out": held_out[:2], "learned": learned[:2], "new": new}


def cut(source, part, case, raw):
    label = SimpleITK.ReadImage(str(source / f"labels{part}" / f"{case}.nii.gz"))
    found = np.argwhere(SimpleITK.GetArrayFromImage(label))[:, ::-1]
    middle = (found.min(0) + found.max(0)) // 2
    starts = [min(max(0, at - EDGE), size - 2 * EDGE)
              for at, size in zip(middle.tolist(), label.GetSize(), strict=True)]  # fmt: skip
    window = tuple(slice(start, start + 2 * EDGE) for start in starts)
    SimpleITK.WriteImage(label[window], str(raw / "labelsTr" / f"{case}.nii.gz"))
    image = SimpleITK.ReadImage(str(source / f"images{part}" / f"{case}_0000.nii.gz"))
    SimpleITK.WriteImage(image[window], str(raw / "imagesTr" / f"{case}_0000.nii.gz"))


def adapt(model, *words):
    return main(["902", "3d_fullres", "0", "--adapt", str(model), "--seed", "0", *words,
                 "-device", "cpu"])  # fmt: skip


@pytest.fixture(scope="module")
def heads_only(new_center):
    """The fold's folder of a model of which only the heads were adapted; read only."""
    workspace, model, _ = new_center
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_threads(monkeypatch)
        workspace.enter(monkeypatch)
        assert adapt(model, "--heads_only") == 0
    (fold,) = workspace.results.with_name(NEW).glob("*_adapted_heads_*/fold_0")
    return fold


def in_threads(monkeypatch):
    """Workers take longer to start than to work."""
    from nnmtl.nnunet import adapt as module
    from nnmtl.nnunet.fingerprint import extract_fingerprint
    from nnmtl.nnunet.preprocess import preprocess

    monkeypatch.setattr(
        module, "extract_fingerprint", lambda name: extract_fingerprint(name, num_processes=1)
    )
    monkeypatch.setattr(module, "preprocess", lambda *names: preprocess(*names, num_processes=1))


def weights(fold):
    path = fold / "checkpoint_final.pth"
    return torch.load(path, map_location="cpu", weights_only=False)["network_weights"]


def content(tensor):
    return tensor.contiguous().numpy().tobytes()


def test_heads_only_leaves_encoder_and_decoder_to_the_bit(heads_only, new_center):
    _, model, _ = new_center
    before, after = weights(model / "fold_0"), weights(heads_only)
    assert before.keys() == after.keys()
    changed = {name for name in before if content(before[name]) != content(after[name])}
    assert changed
    assert all(name.startswith("tower.") for name in changed)
    assert any(".linear." in name or "stages" in name for name in changed)


def test_thresholds_are_the_prevalence_of_the_folds_own_training_cases(heads_only, new_center):
    workspace, _, _ = new_center
    preprocessed = workspace.preprocessed.with_name(NEW)
    declaration = parse_declaration(json.loads((preprocessed / "dataset.json").read_text()))
    train = json.loads((preprocessed / "splits_final.json").read_text())[0]["train"]
    target = read_targets(preprocessed / "targets.csv", declaration).select(train).targets["ER"]
    expected = target.possible[target.observed, 1].mean()
    assert float(weights(heads_only)["tower.heads.ER.threshold"]) == pytest.approx(expected)


def test_no_case_is_judged_by_a_model_that_has_learned_from_it(heads_only, new_center):
    workspace, _, cases = new_center
    splits = json.loads((workspace.preprocessed.with_name(NEW) / "splits_final.json").read_text())
    assert set(cases["held_out"]) < set(splits[0]["val"])
    for fold in splits:
        assert set(cases["learned"]) <= set(fold["train"])
        assert not set(fold["train"]) & set(fold["val"])
    assert sorted(case for fold in splits for case in fold["val"]) == sorted(
        cases["held_out"] + cases["new"]
    )
    for folder in ("validation_before", "validation"):
        found = {case.case_id for case in read_predictions(heads_only / folder).cases}
        assert found == set(splits[0]["val"])


def test_the_old_centers_are_measured_before_and_after(heads_only, new_center):
    with (heads_only / "adaptation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    known = {row["center"]: row["known"] for row in rows}
    assert known.pop("C") == "no"
    assert set(known.values()) == {"yes"}
    for row in rows:  # the decoder stays, and so do its masks
        if row["metric"] == "dice":
            assert row["before"] == row["after"]


def test_the_new_center_keeps_the_grid_that_it_was_configured_for(heads_only):
    plans = json.loads((heads_only.parent / "plans.json").read_text())["configurations"]
    assert plans["3d_fullres_c"]["spacing"] == [1.8, 0.9, 0.9]
    assert plans["3d_fullres"]["nnmtl"]["spacing_policy"] == "strict"
    assert json.loads((heads_only.parent / "nnmtl_centers.json").read_text()) == ["A", "B", "C"]


def test_the_whole_network_goes_on_from_the_models_weights(new_center, heads_only, monkeypatch):
    workspace, model, _ = new_center
    workspace.enter(monkeypatch)
    in_threads(monkeypatch)
    started, run_training = {}, nnMTLTrainer.run_training

    def spied(trainer):
        trainer_weights = trainer.unwrapped.state_dict()
        started.update({name: value.clone() for name, value in trainer_weights.items()})
        run_training(trainer)

    monkeypatch.setattr(nnMTLTrainer, "run_training", spied)
    source = read_source(model, 0, "3d_fullres")
    plans = prepare(NEW, source, 0, heads_only=False)
    adapted = replace(workspace, name=NEW, plans=plans)
    fold = adapted.train(adapted=source)
    before, after = weights(model / "fold_0"), weights(fold)
    assert all(content(before[name]) == content(started[name]) for name in before)
    assert any(
        content(before[name]) != content(after[name])
        for name in before
        if name.startswith("encoder.")
    )
    with pytest.raises(NnmtlError, match="this training has finished"):
        adapted.train(adapted=source)


def change(key, value):
    def changed(dataset_json):
        section = dataset_json if key in dataset_json else dataset_json["nnmtl"]
        section[key] = value(section[key])

    return changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (change("biomarkers", lambda each: each[1:]), "missing or different: ER"),
        (change("channel_names", lambda _: {"0": "T2"}), "expected channel_names as the model"),
        (change("tumor_labels", lambda _: [2]), "tumor_labels"),
    ],
)
def test_a_dataset_that_does_not_fit_the_model_is_refused_before_anything_is_done(
    new_center, tmp_path, monkeypatch, changed, message
):
    workspace, model, _ = new_center
    workspace.enter(monkeypatch)
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    raw = tmp_path / "nnUNet_raw" / NEW
    raw.mkdir(parents=True)
    dataset_json = json.loads((workspace.raw.with_name(NEW) / "dataset.json").read_text())
    if "tumor_labels" in message:
        dataset_json["labels"]["edema"] = 2
    changed(dataset_json)
    (raw / "dataset.json").write_text(json.dumps(dataset_json))
    with pytest.raises(NnmtlError, match=message if message != "tumor_labels" else "labels"):
        adapt(model)
    assert not (tmp_path / "nnUNet_preprocessed").exists()


def test_what_is_no_model_of_the_fold_is_refused(new_center, tmp_path, monkeypatch):
    workspace, model, _ = new_center
    workspace.enter(monkeypatch)
    with pytest.raises(NnmtlError, match=r"expected a model folder with fold_0/checkpoint_final"):
        adapt(tmp_path)
    copied = shutil.copytree(model, tmp_path / model.name)
    with pytest.raises(NnmtlError, match="expected a model of 2d, but it was trained with 3d_full"):
        main(["902", "2d", "0", "--adapt", str(copied), "-device", "cpu"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--heads_only"], "expected --adapt MODEL with it"),
        (["--adapt", "m", "-p", "nnMTLPlans"], "expected neither -p nor"),
        (["--adapt", "m", "-pretrained_weights", "c.pth"], "expected neither -p nor"),
    ],
)
def test_options_that_contradict_are_refused_at_once(words, message):
    with pytest.raises(NnmtlError, match=message):
        main(["902", "3d_fullres", "0", *words])
