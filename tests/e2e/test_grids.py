"""One network over the grids of two centers: planned, trained, continued, predicted."""

import json
import shutil
from dataclasses import replace

import blosc2
import numpy as np
import pytest
import SimpleITK
import torch

from nnmtl.cli import plan_center, predict
from nnmtl.errors import NnmtlError
from nnmtl.experiments.compare_jobs import Job, is_finished
from nnmtl.inference.predictions import read_predictions
from nnmtl.network.multitask_unet import MultiTaskUNet
from nnmtl.nnunet.center_files import read_center_files
from nnmtl.nnunet.interruption import Interruption
from nnmtl.nnunet.planner import plan_experiment
from nnmtl.nnunet.trainer import nnMTLTrainer
from nnmtl.phantom.cohort import write_cohort
from nnmtl.planning.center_configuration import OWN_KEYS

pytestmark = pytest.mark.e2e

POLICY = "tiny_cpu+per_center"
OWN = [24, 24, 24]  # patch and region of interest of center A; B's are the shared [24, 32, 32]
SPACING = {"A": (2.0, 1.0, 1.0), "B": (1.5, 0.8, 0.8)}


@pytest.fixture(scope="module")
def planned(prepared, tmp_path_factory):
    """The tiny dataset, planned and preprocessed with a grid per center; read only."""
    root = tmp_path_factory.mktemp("grids")
    workspace = replace(prepared.copy_to(root / "own"), plans=f"nnMTLPlans_{POLICY}")
    with pytest.MonkeyPatch.context() as monkeypatch:
        workspace.enter(monkeypatch)
        assert plan_experiment(workspace.name, preset_name=POLICY) == workspace.plans
        (root / "as_planned.json").write_text(json.dumps(workspace.read_plans()))
        workspace.shrink_plans()
        workspace.change_plans(shrink_center)
        workspace.preprocess()
    return workspace


def shrink_center(plans):
    configuration = plans["configurations"]["3d_fullres_a"]
    configuration |= {"patch_size": OWN, "batch_size": 2}
    configuration["nnmtl"]["roi_size"] = OWN


@pytest.fixture(scope="module")
def seen():
    """(edge of the input, voxel size) of every batch that a training step saw."""
    return {"patches": set(), "regions": set()}


@pytest.fixture(scope="module")
def trained_grids(planned, seen):
    """A model of fold 0, its validation cases predicted; read only."""
    step, measure = nnMTLTrainer._segmentation_step, MultiTaskUNet.measure

    def spied_step(self, batch):
        centers = {str(case).split("_")[1] for case in batch["keys"]}
        seen["patches"].add((batch["data"].shape[-1], *sorted(centers)))
        return step(self, batch)

    def spied_measure(self, x, mask, spacing_mm):
        if self.training:
            seen["regions"].add((x.shape[-1], *np.round(spacing_mm, 6).tolist()))
        return measure(self, x, mask, spacing_mm)

    with pytest.MonkeyPatch.context() as monkeypatch:
        planned.enter(monkeypatch)
        monkeypatch.setattr(nnMTLTrainer, "_segmentation_step", spied_step)
        monkeypatch.setattr(MultiTaskUNet, "measure", spied_measure)
        planned.train(seed=0, predict_validation=True)
    return planned


@pytest.fixture
def grid_model(trained_grids, monkeypatch):
    trained_grids.enter(monkeypatch)
    (folder,) = trained_grids.results.iterdir()
    return folder


@pytest.fixture
def image_of(planned, tmp_path):
    """A folder with the middle of an image of a center that was not trained on."""

    def folder_of(center):
        folder = tmp_path / f"image_{center}"
        folder.mkdir()
        name = f"PHANTOM_{center}_T0000_0000.nii.gz"
        image = SimpleITK.ReadImage(str(planned.raw / "imagesTs" / name))
        middle = [size // 2 for size in image.GetSize()]
        cut = image[tuple(slice(at - 14, at + 14) for at in middle)]  # fewer tiles to predict
        SimpleITK.WriteImage(cut, str(folder / name))
        return folder

    return folder_of


def case_of(output):
    """The only case's prediction and its label map."""
    (case,) = read_predictions(output).cases
    return case, SimpleITK.ReadImage(str(output / f"{case.case_id}.nii.gz"))


def content(tensor):
    return tensor.contiguous().numpy().tobytes()


def test_a_center_differs_from_the_shared_plan_in_its_grid_alone(planned):
    plans = json.loads((planned.root.parent / "as_planned.json").read_text())
    configurations = plans["configurations"]
    shared, own = configurations["3d_fullres"], configurations["3d_fullres_a"]
    assert "3d_fullres_b" not in configurations, "its voxels are the shared ones"
    assert shared["spacing"] == pytest.approx(SPACING["B"])
    assert own["spacing"] == pytest.approx(SPACING["A"])
    assert set(own) == OWN_KEYS
    assert set(own["nnmtl"]["reasons"]) == {"spacing", "patch_size", "roi_size"}
    assert "joins 3d_fullres" in shared["nnmtl"]["reasons"]["center B"]


def test_planning_one_grid_again_forgets_the_centers(planned, tmp_path, monkeypatch):
    workspace = planned.copy_to(tmp_path / "own").enter(monkeypatch)
    name = plan_experiment(workspace.name, preset_name="tiny_cpu+pooled")
    path = workspace.preprocessed / f"{name}.json"
    assert path.is_file()
    shutil.copyfile(workspace.preprocessed / f"{workspace.plans}.json", path)
    plan_experiment(workspace.name, preset_name="tiny_cpu+pooled")
    configurations = json.loads(path.read_text())["configurations"]
    assert not any(each.startswith("3d_fullres_") for each in configurations)


def test_every_case_is_resampled_to_the_voxels_of_its_center(planned):
    folder = planned.preprocessed / f"{planned.plans}_3d_fullres"
    cases = sorted(path.stem for path in folder.glob("*.pkl"))
    assert {case.split("_")[1] for case in cases} == {"A", "B"}
    for case in cases:  # both centers keep their own, so the arrays are as large as the images
        image = SimpleITK.ReadImage(str(planned.raw / "imagesTr" / f"{case}_0000.nii.gz"))
        array = blosc2.open(str(folder / f"{case}.b2nd"), mode="r")
        assert array.shape[1:] == image.GetSize()[::-1]


def test_a_batch_has_cases_of_one_grid_and_is_measured_in_its_millimeters(trained_grids, seen):
    assert seen["patches"] == {(24, "A"), (32, "B")}
    assert seen["regions"] == {(24, *SPACING["A"]), (32, *SPACING["B"])}


def test_validation_cases_are_predicted_on_the_grid_of_their_center(grid_model, trained_grids):
    cases = read_predictions(grid_model / "fold_0" / "validation").cases
    assert {case.center for case in cases} == {"A", "B"}
    for case in cases:
        name = f"{case.case_id}.nii.gz"
        mask = SimpleITK.ReadImage(str(grid_model / "fold_0" / "validation" / name))
        label = SimpleITK.ReadImage(str(trained_grids.raw / "labelsTr" / name))
        assert mask.GetSize() == label.GetSize()


def test_a_run_over_several_grids_goes_on_after_an_interruption_as_if_nothing_was(
    trained_grids, tmp_path, monkeypatch
):
    workspace = trained_grids.copy_to(tmp_path / "own").enter(monkeypatch)
    asked = []

    class Signaled(Interruption):
        requested = property(lambda _: asked.append(0) or len(asked) > 12, lambda *_: None)

    monkeypatch.setattr("nnmtl.nnunet.trainer.Interruption", Signaled)
    with pytest.raises(KeyboardInterrupt):
        workspace.train(seed=0)
    monkeypatch.undo()
    workspace.enter(monkeypatch)
    fold = workspace.train(seed=0, continue_training=True)
    (reference,) = trained_grids.results.glob("*/fold_0")
    found, expected = (
        torch.load(each / "checkpoint_final.pth", weights_only=False)["network_weights"]
        for each in (fold, reference)
    )
    assert found.keys() == expected.keys()
    # Compared by bytes: the median of a binary biomarker is nan, which is not equal to itself.
    differing = [name for name in found if content(found[name]) != content(expected[name])]
    assert differing == []


def test_a_run_is_not_continued_with_another_grid_of_a_center(trained_grids, tmp_path, monkeypatch):
    workspace = trained_grids.copy_to(tmp_path / "own", with_model=True).enter(monkeypatch)

    def widen(plans):
        plans["configurations"]["3d_fullres_a"]["patch_size"] = [24, 32, 24]

    workspace.change_plans(widen)
    with pytest.raises(NnmtlError, match="holds a run with other plans"):
        workspace.train(seed=0, continue_training=True)


def test_a_centers_configuration_alone_is_not_trained(planned, monkeypatch):
    planned.enter(monkeypatch)
    with pytest.raises(NnmtlError, match="expected 3d_fullres, which trains one network on"):
        planned.train(configuration="3d_fullres_a")


@pytest.mark.parametrize("center", ["A", "B"])
def test_an_image_without_its_center_told_is_predicted_on_that_centers_grid(
    center, grid_model, trained_grids, image_of, tmp_path
):
    images = image_of(center)
    told = trained_grids.predict(grid_model, tmp_path / "told", images=images, center=center)
    found = trained_grids.predict(grid_model, tmp_path / "found", images=images)
    (one, mask), (other, same) = case_of(told), case_of(found)
    assert (one.center, other.center) == (center, None)
    np.testing.assert_equal(one.biomarkers, other.biomarkers)
    first, second = (SimpleITK.GetArrayFromImage(each) for each in (mask, same))
    np.testing.assert_array_equal(first, second)
    assert "UNUSUAL_SPACING" not in other.flags
    image = SimpleITK.ReadImage(str(next(images.iterdir())))
    assert mask.GetSize() == image.GetSize()
    for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, geometry)() == pytest.approx(getattr(image, geometry)(), abs=1e-4)


def test_the_center_that_is_told_decides_the_grid(grid_model, trained_grids, image_of, tmp_path):
    images = image_of("A")
    own = trained_grids.predict(grid_model, tmp_path / "own", images=images, center="A")
    other = trained_grids.predict(grid_model, tmp_path / "other", images=images, center="B")
    masks = [SimpleITK.GetArrayFromImage(case_of(each)[1]) for each in (own, other)]
    assert masks[0].shape == masks[1].shape
    assert (masks[0] != masks[1]).any()


def test_a_sagittal_or_rotated_image_like_no_center_is_flagged_and_its_mask_lies_on_it(
    grid_model, trained_grids, image_of, tmp_path
):
    images = image_of("A")
    path = next(images.iterdir())
    image = SimpleITK.PermuteAxes(SimpleITK.ReadImage(str(path)), (1, 2, 0))
    turn = np.cos(0.2), np.sin(0.2)
    rotation = np.array([[turn[0], -turn[1], 0], [turn[1], turn[0], 0], [0, 0, 1]])
    direction = rotation @ np.array(image.GetDirection()).reshape(3, 3)
    image.SetDirection(direction.ravel().tolist())
    image.SetSpacing([mm * 0.45 for mm in image.GetSpacing()])
    SimpleITK.WriteImage(image, str(path))
    case, mask = case_of(trained_grids.predict(grid_model, tmp_path / "out", images=images))
    assert "UNUSUAL_SPACING" in case.flags
    written = SimpleITK.ReadImage(str(path))
    assert mask.GetSize() == written.GetSize()
    for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, geometry)() == pytest.approx(getattr(written, geometry)(), abs=1e-4)


def test_stock_nnunet_predicts_with_the_shared_grid_as_exact_does(
    grid_model, trained_grids, image_of, tmp_path
):
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    images = image_of("A")
    stock = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    stock.initialize_from_trained_model_folder(str(grid_model), (0,), "checkpoint_final.pth")
    (tmp_path / "stock").mkdir()
    stock.predict_from_files_sequential(str(images), str(tmp_path / "stock"))
    exact = trained_grids.predict(grid_model, tmp_path / "exact", images=images, exact=True)
    case, mask = case_of(exact)
    theirs = SimpleITK.ReadImage(str(tmp_path / "stock" / f"{case.case_id}.nii.gz"))
    arrays = [SimpleITK.GetArrayFromImage(each) for each in (mask, theirs)]
    np.testing.assert_array_equal(*arrays)
    assert arrays[0].any(), "else this tests too little"


def test_a_center_that_came_after_the_training_is_predicted_on_its_grid(
    grid_model, trained_grids, image_of, tmp_path
):
    model = shutil.copytree(grid_model, tmp_path / grid_model.name)
    own = trained_grids.read_plans()["configurations"]["3d_fullres_a"]
    content = {"schema": 1, "center": "New", "slug": "new", "configuration": own}
    (model / "centers").mkdir()
    (model / "centers" / "new.json").write_text(json.dumps(content))
    images = image_of("A")
    new = trained_grids.predict(model, tmp_path / "new", images=images, center="New")
    known = trained_grids.predict(grid_model, tmp_path / "a", images=images, center="A")
    (case, mask), (_, other) = case_of(new), case_of(known)
    assert case.center == "New"
    np.testing.assert_array_equal(*map(SimpleITK.GetArrayFromImage, (mask, other)))


def test_a_center_planned_from_its_images_is_predicted_on_its_own_grid(
    grid_model, trained_grids, tmp_path, monkeypatch, capsys
):
    model = shutil.copytree(grid_model, tmp_path / grid_model.name)
    raw = tmp_path / "Dataset902_PHANTOM_new"
    write_cohort(raw, preset="easy", centers={"C": 1}, test_centers={"C": 5}, seed=9)
    images = raw / "imagesTs"
    assert plan_center.main(["-m", str(model), "-i", str(images), "--center", "C"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(model / "centers" / "c.json")
    center, own = read_center_files(model)["c"]
    # 3 x 1.2 x 1.2 mm are more than 1.4 times coarser than the shared 1.5 x 0.8 x 0.8 mm.
    assert (center, own["spacing"]) == ("C", pytest.approx((2.1, 1.12, 1.12)))
    first, *others = sorted(images.iterdir())
    for path in others:
        path.unlink()
    image = SimpleITK.ReadImage(str(first))[20:60, 20:60, 10:34]
    SimpleITK.WriteImage(image, str(first))
    measured, measure = [], MultiTaskUNet.measure

    def spied(self, x, mask, spacing_mm):
        measured.append(tuple(spacing_mm))
        return measure(self, x, mask, spacing_mm)

    monkeypatch.setattr(MultiTaskUNet, "measure", spied)
    words = ["-i", images, "-o", tmp_path / "out", "-m", model, "--center", "C", "-device", "cpu"]
    assert predict.main([str(word) for word in words]) == 0
    np.testing.assert_allclose(
        measured, np.broadcast_to((2.1, 1.12, 1.12), (len(measured), 3)), rtol=1e-6
    )
    case, mask = case_of(tmp_path / "out")
    assert case.center == "C"
    assert "UNUSUAL_SPACING" not in case.flags
    assert mask.GetSize() == image.GetSize()
    for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, geometry)() == pytest.approx(getattr(image, geometry)(), abs=1e-4)


def test_a_comparison_knows_the_model_as_that_of_the_plans(grid_model, trained_grids, tmp_path):
    job = Job(
        dataset=trained_grids.name,
        output=tmp_path,
        preset=POLICY,
        fold=0,
        seed=0,
        split="Tr",
        device="cpu",
    )
    assert is_finished(job)
    assert job.fold_folder == grid_model / "fold_0"
