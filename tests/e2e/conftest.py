"""A tiny synthetic dataset, planned and preprocessed once, for all tests of the whole path."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

NAME = "Dataset901_PHANTOM_tiny"
PLANS = "nnMTLPlans_tiny_cpu"
BIOMARKERS = ("ER", "PR", "HER2", "HER2_3", "Ki67")
# Small enough for seconds; never 2 slices deep at any stage (16 / 8): see nnmtl.nnunet.precision.
PATCH = {"3d_fullres": [24, 32, 32], "2d": [32, 32]}
SCHEDULE = {
    "roi_batch_size": 4,
    "epochs": 2,
    "iterations_per_epoch": 4,
    "validation_iterations": 1,
    "warmup_fraction": 0.3,
    "true_mask_until": 0.6,
}


@dataclass(frozen=True)
class Workspace:
    """nnU-Net's three folders with one dataset in them."""

    root: Path
    name: str = NAME
    plans: str = PLANS

    @property
    def raw(self) -> Path:
        return self.root / "nnUNet_raw" / self.name

    @property
    def preprocessed(self) -> Path:
        return self.root / "nnUNet_preprocessed" / self.name

    @property
    def results(self) -> Path:
        return self.root / "nnUNet_results" / self.name

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> "Workspace":
        """Points nnU-Net to the folders, for as long as `monkeypatch` lives."""
        from nnmtl.nnunet.extension import with_trainer_folder

        for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            monkeypatch.setenv(variable, str(self.root / variable))
        monkeypatch.setenv("nnUNet_n_proc_DA", "0")
        monkeypatch.setenv("nnUNet_def_n_proc", "1")
        monkeypatch.setenv("nnUNet_extTrainer", with_trainer_folder(None))
        return self

    def read_plans(self) -> dict[str, Any]:
        return json.loads((self.preprocessed / f"{self.plans}.json").read_text())

    def change_plans(self, change: Any) -> None:
        plans = self.read_plans()
        change(plans)
        (self.preprocessed / f"{self.plans}.json").write_text(json.dumps(plans))

    def plan(self) -> None:
        """Fingerprint and plans, made small."""
        from nnmtl.nnunet.fingerprint import extract_fingerprint
        from nnmtl.nnunet.planner import plan_experiment

        extract_fingerprint(self.name, num_processes=1)
        assert plan_experiment(self.name, preset_name="tiny_cpu") == self.plans
        self.shrink_plans()

    def shrink_plans(self) -> None:
        self.change_plans(make_small)

    def preprocess(self, configuration: str = "3d_fullres") -> None:
        from nnmtl.nnunet.preprocess import preprocess

        for path in self.preprocessed.iterdir():
            if path.is_symlink():  # to shared arrays, which must not be written into
                path.unlink()
        preprocess(self.name, self.plans, configuration, num_processes=1)

    def settings(self, **changes: Any) -> Any:
        from nnmtl.nnunet.training_run import RunSettings

        settings = RunSettings(
            dataset=self.name,
            plans_name=self.plans,
            configuration="3d_fullres",
            fold=0,
            seed=0,
            epochs=None,
            iterations=None,
            device="cpu",
            continue_training=False,
        )
        return replace(settings, **changes)

    def train(self, *, predict_validation: bool = False, **changes: Any) -> Path:
        """Trains a fold and returns its folder."""
        from nnmtl.nnunet.training_run import train

        return train(self.settings(**changes), predict_validation=predict_validation)

    def predict(self, model: Path, output: Path, **options: Any) -> Path:
        """Predicts imagesTs, or the folder `images`."""
        import torch

        from nnmtl.nnunet.predict_folder import predict_folder

        images = options.pop("images", self.raw / "imagesTs")
        options = {"folds": None, "device": torch.device("cpu"), **options}
        predict_folder(images, output, model, **options)
        return output

    def one_image(self) -> Path:
        """A folder with the first of imagesTs."""
        folder = self.root / "one_image"
        folder.mkdir()
        image = min((self.raw / "imagesTs").iterdir())
        (folder / image.name).symlink_to(image)
        return folder

    def copy_to(self, root: Path, *, with_model: bool = False) -> "Workspace":
        """A workspace with own tables, plans and results; images and arrays are linked."""
        other = replace(self, root=root)
        for source, target in (
            (self.raw, other.raw),
            (self.preprocessed, other.preprocessed),
        ):
            target.mkdir(parents=True)
            for path in sorted(source.iterdir()):
                if path.is_dir():
                    (target / path.name).symlink_to(path)
                else:
                    shutil.copyfile(path, target / path.name)
        if with_model:
            shutil.copytree(self.results, other.results)
        return other


def make_small(plans: dict[str, Any]) -> None:
    """Shrinks a plan of tiny_cpu to what trains within two seconds."""
    for name, size in PATCH.items():
        configuration = plans["configurations"][name]
        configuration["patch_size"] = size
        configuration["nnmtl"].update(SCHEDULE, roi_size=size)


@pytest.fixture
def small_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans that an experiment makes by itself are made small as well."""
    from nnmtl.experiments import compare_preparation
    from nnmtl.nnunet.folders import preprocessed_folder
    from nnmtl.nnunet.planner import plan_experiment

    def plan(name: str, *, preset_name: str) -> str:
        plans = plan_experiment(name, preset_name=preset_name)
        path = preprocessed_folder(name) / f"{plans}.json"
        content = json.loads(path.read_text())
        make_small(content)
        path.write_text(json.dumps(content))
        return plans

    monkeypatch.setattr(compare_preparation, "plan_experiment", plan)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The tiny dataset with plans and arrays; read only."""
    from nnmtl.phantom.cohort import write_cohort

    workspace = Workspace(tmp_path_factory.mktemp("tiny"))
    for folder in (workspace.raw.parent, workspace.preprocessed.parent, workspace.results.parent):
        folder.mkdir()
    write_cohort(
        workspace.raw,
        preset="easy",
        centers={"A": 13, "B": 14},  # 21 patients in a training fold: the linear start needs 20
        test_centers={"A": 3, "B": 3},
        seed=1,
        biomarkers=BIOMARKERS,
        missing={"PR": 0.5},
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        extract_in_threads(monkeypatch)
        workspace.enter(monkeypatch)
        workspace.plan()
        workspace.preprocess()
    return workspace


@pytest.fixture(scope="session")
def trained(prepared: Workspace) -> Workspace:
    """The tiny dataset with a model of fold 0 whose masks are not empty; read only."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        prepared.enter(monkeypatch)
        prepared.train(seed=0, predict_validation=True)
    return prepared


@pytest.fixture
def workspace(prepared: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An own copy of the tiny dataset, which nnU-Net's variables name during the test."""
    extract_in_threads(monkeypatch)
    return prepared.copy_to(tmp_path / "own").enter(monkeypatch)


@pytest.fixture
def model(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model folder; nnU-Net's variables name the tiny dataset during the test."""
    trained.enter(monkeypatch)
    (folder,) = trained.results.iterdir()
    return folder


def extract_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """nnU-Net's fingerprint in this process: spawned workers take longer to start than to work."""
    import nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor as extractor

    context = SimpleNamespace(Pool=ThreadPool)
    monkeypatch.setattr(
        extractor, "multiprocessing", SimpleNamespace(get_context=lambda _: context)
    )
