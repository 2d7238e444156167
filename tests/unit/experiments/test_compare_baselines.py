"""The names of baselines say what is measured, in which masks, and by which model."""

import sys
from pathlib import Path

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.experiments import compare_baselines
from nnmtl.experiments.compare import CompareSettings, Named, list_jobs
from nnmtl.experiments.compare_baselines import Baseline, parse_baseline, run_baselines
from nnmtl.experiments.compare_jobs import Job


def test_a_name_says_features_model_and_masks():
    assert parse_baseline("region_svm") == Baseline(
        features="region", model="svm", has_true_masks=False
    )
    assert parse_baseline("volume_logistic_true_masks") == Baseline(
        features="volume", model="logistic", has_true_masks=True
    )
    assert parse_baseline("region_logistic_shuffled") == Baseline(
        features="region", model="logistic", has_true_masks=False, is_shuffled=True
    )
    assert parse_baseline("region_logistic_true_masks_shuffled") == Baseline(
        features="region", model="logistic", has_true_masks=True, is_shuffled=True
    )


@pytest.mark.parametrize(
    "name",
    [
        "region",
        "region_forest",
        "shape_svm",
        "region_svm_masks",
        "",
        "_shuffled",
        "region_svm_shuffled_true_masks",
    ],
)
def test_another_name_is_refused_and_the_parts_are_named(name):
    with pytest.raises(
        NnmtlError, match=r"region, radiomics, clinical, volume, combined .* logistic, svm"
    ):
        parse_baseline(name)


@pytest.mark.parametrize(
    ("named", "folds"),
    [
        ((Named(name="region_svm", is_baseline=True),), (0,)),
        ((Named(name="tiny_cpu"), Named(name="region_svm", is_baseline=True)), ("all",)),
    ],
)
def test_a_baseline_needs_a_preset_in_numbered_folds(named, folds):
    settings = CompareSettings(
        dataset="Dataset007_Test",
        output=Path("out"),
        named=named,
        folds=folds,
        seeds=(0,),
        split="Ts",
        device="cpu",
    )
    with pytest.raises(NnmtlError, match=r"--baselines region_svm: expected a preset"):
        list_jobs(settings)


def test_a_package_that_a_baseline_lacks_is_missed_before_anything_is_trained(monkeypatch):
    monkeypatch.setitem(sys.modules, "radiomics", None)
    settings = CompareSettings(
        dataset="Dataset007_Test",
        output=Path("out"),
        named=(Named(name="tiny_cpu"), Named(name="radiomics_svm", is_baseline=True)),
        folds=(0,),
        seeds=(0,),
        split="Tr",
        device="cpu",
    )
    with pytest.raises(NnmtlError, match=r"pip install 'nnmtl\[radiomics\]'"):
        list_jobs(settings)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_shuffled_control_permutes_by_the_jobs_seed_and_the_plain_one_does_not(
    monkeypatch, tmp_path, seed
):
    monkeypatch.setattr(compare_baselines, "raw_folder", lambda name: tmp_path / "raw" / name)
    monkeypatch.setattr(compare_baselines, "preprocessed_folder", lambda name: tmp_path / name)
    found = []
    monkeypatch.setattr(compare_baselines, "run_baseline", found.append)
    job = Job(
        dataset="Dataset007_Test", output=tmp_path, preset="tiny_cpu", fold=0, seed=seed,
        split="Ts", device="cpu",
    )  # fmt: skip
    for name in ("region_logistic_shuffled", "region_logistic"):
        run_baselines(name, [job])
    assert [settings.shuffle_seed for settings in found] == [seed, None]
    assert found[0].name == "baseline_region_logistic_shuffled"
