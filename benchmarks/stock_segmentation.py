"""Stock nnU-Net on the same plan, split, precision and number of iterations as a joint run.

    python benchmarks/stock_segmentation.py ID PLANS FOLD [FOLD ...] [--seed S]

Trains nnU-Net's own trainer on the U-Net of the named plans, predicts each fold's validation cases
and compares Dice case by case with `fold_k/validation` of the joint run with the same seed. A stock
training that has finished is not repeated.
"""

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnmtl.cohort.image_file import read_array
from nnmtl.evaluation.intervals import bootstrap, resample_patients
from nnmtl.evaluation.segmentation import dice
from nnmtl.nnunet.folders import dataset_name, preprocessed_folder, raw_folder, results_folder
from nnmtl.nnunet.precision import autocast_for

CONFIGURATION = "3d_fullres"


class Compared(NamedTuple):
    """A fold: its cases, Dice (cases, 2) of the joint and of the stock model, training times."""

    cases: list[str]
    dice: np.ndarray
    seconds_joint: float
    seconds_stock: float


class StockInMixedPrecision(nnUNetTrainer):
    """nnU-Net's trainer; only its iterations run in the joint run's precision."""

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        with autocast_for(self.device):
            return super().train_step(batch)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        with autocast_for(self.device):
            return super().validation_step(batch)


def stock_plans(plans: dict[str, Any], configuration: str) -> dict[str, Any]:
    """The same plans with nnU-Net's own network class in place of ours."""
    architecture = plans["configurations"][configuration]["architecture"]
    kwargs = architecture["arch_kwargs"]
    architecture["network_class_name"] = kwargs.pop("unet_class_name")
    del kwargs["multitask"]
    plans["plans_name"] += "_stock"
    plans["continue_training"] = False
    return plans


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("plans")
    parser.add_argument("folds", type=int, nargs="+", metavar="FOLD")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["nnUNet_n_proc_DA"] = "0"
    name = dataset_name(arguments.dataset)
    joint = results_folder(name) / (
        f"nnMTLTrainer__{arguments.plans}_seed{arguments.seed}__{CONFIGURATION}"
    )
    of_folds = [
        compare_fold(name, arguments.plans, fold, arguments.seed, joint / f"fold_{fold}")
        for fold in arguments.folds
    ]
    report(of_folds)


def compare_fold(name: str, plans_name: str, fold: int, seed: int, joint: Path) -> Compared:
    folder = preprocessed_folder(name)
    plans = json.loads((folder / f"{plans_name}.json").read_text())
    schedule = plans["configurations"][CONFIGURATION]["nnmtl"]
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 nnU-Net draws from this stream
    torch.manual_seed(seed)
    trainer = StockInMixedPrecision(
        stock_plans(plans, CONFIGURATION),
        CONFIGURATION,
        fold,
        json.loads((folder / "dataset.json").read_text()),
        torch.device("cpu"),
    )
    trainer.num_epochs = schedule["epochs"]
    trainer.num_iterations_per_epoch = schedule["iterations_per_epoch"]
    trainer.num_val_iterations_per_epoch = schedule["validation_iterations"]
    finished = Path(trainer.output_folder) / "checkpoint_final.pth"
    if finished.is_file():
        trainer.load_checkpoint(str(finished))
    else:
        trainer.run_training()
    log = trainer.logger.local_logger.my_fantastic_logging
    history = [json.loads(line) for line in (joint / "task_history.jsonl").read_text().splitlines()]
    cases = sorted(json.loads((folder / "splits_final.json").read_text())[fold]["val"])
    predicted = predict(trainer, cases, mirror=schedule["mirror_in_prediction"])
    return Compared(
        cases=cases,
        dice=dice_of_both(cases, predicted, joint, raw_folder(name)),
        seconds_joint=sum(row["seconds"] for row in history),
        seconds_stock=sum(log["epoch_end_timestamps"]) - sum(log["epoch_start_timestamps"]),
    )


def predict(trainer: nnUNetTrainer, cases: list[str], *, mirror: bool) -> dict[str, np.ndarray]:
    """Tumor masks of validation cases in their own geometry."""
    predictor = nnUNetPredictor(device=trainer.device, allow_tqdm=False, use_mirroring=mirror)
    trainer.set_deep_supervision_enabled(False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        None,
        trainer.dataset_json,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    _, dataset = trainer.get_tr_and_val_datasets()
    masks = {}
    for case in cases:
        data, _, _, properties = dataset.load_case(case)
        with autocast_for(trainer.device):
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data[:]))
        masks[case] = (
            convert_predicted_logits_to_segmentation_with_correct_shape(
                logits.float(),
                trainer.plans_manager,
                trainer.configuration_manager,
                trainer.label_manager,
                properties,
            )
            > 0
        )
    return masks


def dice_of_both(
    cases: list[str], predicted: dict[str, np.ndarray], joint: Path, raw: Path
) -> np.ndarray:
    """(cases, 2) of the joint and of the stock model."""
    ending = json.loads((raw / "dataset.json").read_text())["file_ending"]
    values = []
    for case in cases:
        truth = read_array(raw / "labelsTr" / f"{case}{ending}") > 0
        if predicted[case].shape != truth.shape:
            sys.exit(f"{case}: axes differ between image and nnU-Net's array; not compared")
        ours = read_array(joint / "validation" / f"{case}{ending}") > 0
        values.append((dice(truth, ours), dice(truth, predicted[case])))
    return np.array(values)


def report(of_folds: list[Compared]) -> None:
    """Prints both mean Dice values and their paired difference with its bootstrap interval."""
    cases = [case for fold in of_folds for case in fold.cases]
    values = np.concatenate([fold.dice for fold in of_folds])
    difference = values[:, 0] - values[:, 1]
    resamples = resample_patients(cases)
    paired = bootstrap(lambda weights: weights @ difference / weights.sum(-1), resamples)
    seconds_joint = sum(fold.seconds_joint for fold in of_folds)
    seconds_stock = sum(fold.seconds_stock for fold in of_folds)
    print(
        json.dumps(
            {
                "n": len(cases),
                "dice_joint": round(float(values[:, 0].mean()), 4),
                "dice_stock": round(float(values[:, 1].mean()), 4),
                "difference": round(float(difference.mean()), 4),
                "interval": [round(paired.lower, 4), round(paired.upper, 4)],
                "seconds_joint": round(seconds_joint),
                "seconds_stock": round(seconds_stock),
                "time_ratio": round(seconds_joint / seconds_stock, 2),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
