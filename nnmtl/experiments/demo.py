"""The whole path on a synthetic cohort: generate, plan, train, predict, evaluate."""

import json
import logging
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnmtl.errors import NnmtlError
from nnmtl.evaluation.discrimination import auc
from nnmtl.evaluation.files import write_evaluation
from nnmtl.evaluation.join import JoinedClass
from nnmtl.evaluation.raw_dataset import read_raw_dataset
from nnmtl.evaluation.results import Evaluation, TaskResult
from nnmtl.experiments.evaluate_folder import evaluate_folder
from nnmtl.nnunet.cohort_files import read_json
from nnmtl.nnunet.fingerprint import extract_fingerprint
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.planner import plan_experiment
from nnmtl.nnunet.predict_folder import predict_folder
from nnmtl.nnunet.preprocess import preprocess
from nnmtl.nnunet.training_run import RunSettings, train
from nnmtl.phantom.cohort import write_cohort
from nnmtl.report.page import write_page
from nnmtl.whole_file import write_whole

logger = logging.getLogger(__name__)

DATASET_ID = 901
CENTERS = ("A", "B", "D")
TRAIN_PER_CENTER = 120
TEST_PER_CENTER = 40
BINARY = ("ER", "PR", "HER2")
PERMUTATIONS = 1000


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """What a demonstration run is told.

    Attributes:
        output: its folder.
        preset: of the phantom: `easy`, `reference`, `null`.
        seed: of the training; the cohort's follows from it.
        device: cpu, cuda or mps.
    """

    output: Path
    preset: str
    seed: int
    device: str


def run_demo(settings: DemoSettings, *, after_epoch: Callable[[Path], None]) -> dict[str, object]:
    """Runs every stage in `output` and returns the summary it writes there.

    Raises:
        NnmtlError: if the folder holds something else than an earlier demonstration.
    """
    import torch

    started = time.time()
    output = _prepare(settings.output)
    name = f"Dataset{DATASET_ID}_PHANTOM_{settings.preset}"
    _say("1/5  Generating synthetic patients of three centers")
    _generate(settings, raw_folder(name))
    _say("2/5  Fingerprint, plan, preprocessing")
    extract_fingerprint(name)
    plans = plan_experiment(name, preset_name="tiny_cpu")
    preprocess(name, plans, "3d_fullres")
    _say("3/5  Training segmentation and four biomarkers (about 10 minutes on two cores)")
    fold = train(
        RunSettings(
            dataset=name,
            plans_name=plans,
            configuration="3d_fullres",
            fold=0,
            seed=settings.seed,
            epochs=None,
            iterations=None,
            device=settings.device,
            continue_training=False,
        ),
        after_epoch=after_epoch,
        predict_validation=False,
    )
    _say("4/5  Predicting held-out patients, without their masks")
    predictions = output / "predictions"
    predict_folder(
        raw_folder(name) / "imagesTs",
        predictions,
        fold.parent,
        folds=[0],
        device=torch.device(settings.device),
    )
    _say("5/5  Evaluation")
    raw = read_raw_dataset(raw_folder(name))
    evaluation = evaluate_folder(predictions, raw, split="Ts")
    write_evaluation(evaluation, output)
    write_page(evaluation, raw, predictions, output / "report.html")
    train_cases = read_json(preprocessed_folder(name) / "splits_final.json")[0]["train"]
    summary = {
        **summarize(evaluation),
        "n_train": len(train_cases),
        "n_test": len(evaluation.joined.case_ids),
        "seconds": round(time.time() - started, 1),
        "peak_memory_mb": _peak_memory_mb(),
    }
    if settings.preset == "null":
        summary["auc_chance_band"] = chance_bands(evaluation, seed=settings.seed)
    write_whole(output / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def summarize(evaluation: Evaluation) -> dict[str, object]:
    """The headline numbers, all with predicted masks, of all centers together."""
    overall = {task.task: task for task in evaluation.tasks if task.center is None}
    ki67 = overall["Ki67"]
    return {
        "dice": _value(overall["segmentation"], "dice"),
        "auc": {name: _value(overall[name], "auc") for name in BINARY},
        "auc_bayes": {name: _value(overall[name], "auc_bayes") for name in BINARY},
        "ki67_mae": _value(ki67, "mae"),
        "ki67_mae_median_predictor": round(
            _value(ki67, "mae") / max(1e-9, 1 - _value(ki67, "skill")), 4
        ),
    }


def chance_bands(evaluation: Evaluation, *, seed: int) -> dict[str, list[float]]:
    """Central 95 % of the AUC when the targets are permuted between the patients."""
    generator = np.random.default_rng(seed)
    bands = {}
    for entry in evaluation.joined.biomarkers:
        if isinstance(entry, JoinedClass) and entry.biomarker.name in BINARY:
            positive = entry.classes == 1
            drawn = [
                float(auc(entry.scores[:, 0], generator.permutation(positive)))
                for _ in range(PERMUTATIONS)
            ]
            bands[entry.biomarker.name] = [
                round(float(edge), 4) for edge in np.quantile(drawn, [0.025, 0.975])
            ]
    return bands


def _prepare(output: Path) -> Path:
    """An empty folder with nnU-Net's three inside; what an earlier demonstration left goes."""
    output = output.resolve()
    marker = output / ".nnmtl_demo"
    if output.exists() and any(output.iterdir()) and not marker.exists():
        raise NnmtlError(
            f"-o {output}: expected an empty folder or one of an earlier demonstration. "
            "Name another folder."
        )
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    marker.touch()
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (output / variable).mkdir()
    return output


def _generate(settings: DemoSettings, folder: Path) -> None:
    write_cohort(
        folder,
        preset=settings.preset,
        centers=dict.fromkeys(CENTERS, TRAIN_PER_CENTER),
        test_centers=dict.fromkeys(CENTERS, TEST_PER_CENTER),
        seed=2 * settings.seed,
        test_seed=2 * settings.seed + 1,
        workers=min(4, os.cpu_count() or 1),
        progress=_progress,
    )


def _progress(done: int, total: int) -> None:
    if done % 60 == 0 or done == total:
        _say(f"     {done} of {total} patients")


def _value(task: TaskResult, name: str) -> float:
    return round(task.metric(name).value, 4)


def _peak_memory_mb() -> int:
    """The largest process's peak, this one and its workers; ru_maxrss is in KiB on Linux."""
    unit = 1024 if sys.platform == "darwin" else 1
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(max(usage.ru_maxrss for usage in usages) / unit / 1024)


def _say(text: str) -> None:
    logger.info("%s", text)
