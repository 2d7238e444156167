"""A trained model configured for a new center: what is written, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK

from nnmtl.cli.plan_center import main
from nnmtl.cohort.center_facts import facts_to_share
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.cohort.targets import TargetTable
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.image_facts import read_case_facts

DATASET_JSON = {
    "labels": {"background": 0, "tumor": 1},
    "channel_names": {"0": "DCE"},
    "file_ending": ".nii.gz",
}
PLANS = {
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [2, 0, 1],
    "transpose_backward": [1, 2, 0],
    "configurations": {
        "3d_fullres": {
            "spacing": [1.0, 2.0, 1.0],
            "patch_size": [32, 16, 32],
            "batch_size": 2,
            "architecture": {"arch_kwargs": {"strides": [[1, 1, 1], [2, 2, 2]]}},
            "nnmtl": {"roi_size": [24, 12, 24], "roi_batch_size": 8},
        }
    },
}


def write(folder, name, spacing_mm, channels=1, seed=0):
    generator = np.random.default_rng(seed)
    array = generator.gamma(2.0, 100.0, (20, 40, 40)).astype(np.float32)
    array[:, :10] = 0
    paths = []
    for channel in range(channels):
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(spacing_mm)
        paths.append(str(folder / f"{name}_{channel:04d}.nii.gz"))
        SimpleITK.WriteImage(image, paths[-1])
    return paths


@pytest.fixture
def model(tmp_path):
    """A model folder of one center, A, with eight training images of 1 x 1 x 2 mm."""
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    raw = tmp_path / "raw"
    raw.mkdir()
    facts = {
        f"case_{at}": read_case_facts(
            write(raw, f"case_{at}", (1.0, 1.0, 2.0), seed=at), SimpleITKIO(), channels=["DCE"]
        )
        for at in range(8)
    }
    ids = tuple(sorted(facts))
    fingerprint = cohort_fingerprint(
        TargetTable(case_ids=ids, patient_ids=ids, centers=("A",) * 8),
        {case: each.geometry for case, each in facts.items()},
        Declaration(tumor_labels=(1,)),
        intensities={case: each.intensity for case, each in facts.items()},
        channels=["DCE"],
    )
    shared = facts_to_share(fingerprint)
    shared["overall"]["tumor_extent_mm"]["p95"] = [20.0, 15.0, 15.0]
    folder = tmp_path / "model__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "fold_0" / "checkpoint_final.pth").touch()
    for name, content in (
        ("plans.json", PLANS),
        ("dataset.json", DATASET_JSON),
        ("nnmtl_center_facts.json", shared),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def images(tmp_path):
    """Six images of another center, of 1.2 x 1.2 x 2 mm."""
    folder = tmp_path / "images"
    folder.mkdir()
    for at in range(6):
        write(folder, f"new_{at}", (1.2, 1.2, 2.0), seed=50 + at)
    return folder


def run(model, images, center="St Mary"):
    return main(["-m", str(model), "-i", str(images), "--center", center])


def test_a_new_center_gets_a_configuration_in_the_axes_of_the_plans(model, images, capsys):
    before = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    assert run(model, images) == 0
    content = json.loads((model / "centers" / "st-mary.json").read_text())
    assert set(content) == {
        "schema", "center", "slug", "configuration", "reasons", "images", "differences", "verdict",
    }  # fmt: skip
    configuration = content["configuration"]
    assert configuration["inherits_from"] == "3d_fullres"
    np.testing.assert_allclose(configuration["spacing"], [1.2, 2.0, 1.2], rtol=1e-6)
    assert configuration["patch_size"] == [26, 16, 26]
    assert configuration["nnmtl"]["roi_size"] == [20, 12, 20]
    assert before == {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    printed = capsys.readouterr().out
    assert content["verdict"].split()[0] in printed
    assert "1.20 times larger" in printed


def test_stock_nnunet_resolves_the_configuration_beside_the_others(model, images):
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    run(model, images)
    plans = json.loads((model / "plans.json").read_text())
    content = json.loads((model / "centers" / "st-mary.json").read_text())
    plans["configurations"]["3d_fullres_st-mary"] = content["configuration"]
    resolved = PlansManager(plans).get_configuration("3d_fullres_st-mary")
    assert resolved.patch_size == [26, 16, 26]
    assert resolved.configuration["architecture"]["arch_kwargs"]["strides"][1] == [2, 2, 2]


def test_three_images_join_the_shared_grid(model, images):
    for at in (3, 4, 5):
        (images / f"new_{at}_0000.nii.gz").unlink()
    run(model, images)
    content = json.loads((model / "centers" / "st-mary.json").read_text())
    assert content["configuration"]["spacing"] == [1.0, 2.0, 1.0]
    assert content["reasons"][0]["subject"] == "joins 3d_fullres"


def test_neither_case_nor_file_is_named_in_what_is_written(model, images):
    run(model, images)
    written = (model / "centers" / "st-mary.json").read_text()
    assert "new_" not in written
    assert "case_" not in (model / "nnmtl_center_facts.json").read_text()


@pytest.mark.parametrize("center", ["A", "a"])
def test_a_center_of_the_training_is_refused_and_the_way_told(model, images, center):
    with pytest.raises(NnmtlError, match=r"--center 'A' at once|are both 'a'"):
        run(model, images, center)


def test_a_later_center_does_not_take_the_file_of_another_but_may_be_planned_anew(model, images):
    run(model, images, "St Mary")
    before = (model / "centers" / "st-mary.json").read_bytes()
    with pytest.raises(NnmtlError, match="'St Mary' and 'st-mary' are both 'st-mary'"):
        run(model, images, "st-mary")
    (model / "centers" / "st-mary.json").write_text("{")
    run(model, images, "St Mary")
    assert (model / "centers" / "st-mary.json").read_bytes() == before


@pytest.mark.parametrize("key", ["configurations", "transpose_forward", "image_reader_writer"])
def test_plans_that_have_lost_something_are_refused(model, images, key):
    plans = {name: value for name, value in PLANS.items() if name != key}
    (model / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(NnmtlError, match=rf"plans\.json: the key '{key}' is missing"):
        run(model, images)


def test_a_configuration_that_has_lost_something_is_refused(model, images):
    plans = json.loads(json.dumps(PLANS))
    del plans["configurations"]["3d_fullres"]["patch_size"]
    (model / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(NnmtlError, match=r"plans\.json: 3d_fullres: the key 'patch_size'"):
        run(model, images)


def test_a_folder_without_images_is_refused(model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NnmtlError, match=r"-i .*empty: expected images named"):
        run(model, tmp_path / "empty")


def test_a_channel_too_many_is_refused(model, tmp_path):
    (tmp_path / "two").mkdir()
    write(tmp_path / "two", "new", (1.0, 1.0, 2.0), channels=2)
    with pytest.raises(NnmtlError, match=r"expected channel 0 of case .*, found 0, 1"):
        run(model, tmp_path / "two")


def test_an_image_that_ends_too_early_is_named_and_nothing_is_written(model, images):
    path = images / "new_3_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(NnmtlError, match=r"new_3_0000\.nii\.gz: the file ends"):
        run(model, images)
    assert not (model / "centers").exists()


def test_a_folder_that_is_no_model_is_refused(images, tmp_path):
    with pytest.raises(NnmtlError, match="expected a model folder"):
        run(tmp_path, images)


def test_a_model_that_does_not_know_its_images_is_refused(model, images):
    (model / "nnmtl_center_facts.json").unlink()
    with pytest.raises(NnmtlError, match="train the model again"):
        run(model, images)


def test_a_2d_model_is_refused(model, images):
    flat = model.rename(model.with_name("model__2d"))
    with pytest.raises(NnmtlError, match="one grid for all centers"):
        run(flat, images)
    shutil.rmtree(flat)
