"""Stock nnU-Net on the same plan, split, precision and number of iterations as a joint run.

    python benchmarks/stock_segmentation.py ID PLANS FOLD [--seed S]

Trains nnU-Net's own trainer on the U-Net of the named plans, predicts the fold's validation cases
and compares Dice case by case with `fold_k/validation` of the joint run with the same seed. A stock
training that has finished is not repeated.
"""

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

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
    parser.add_argument("fold", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["nnUNet_n_proc_DA"] = "0"
    name = dataset_name(arguments.dataset)
    folder = preprocessed_folder(name)
    plans = json.loads((folder / f"{arguments.plans}.json").read_text())
    schedule = plans["configurations"]["3d_fullres"]["nnmtl"]
    random.seed(arguments.seed)
    np.random.seed(arguments.seed)  # noqa: NPY002 nnU-Net draws from this stream
    torch.manual_seed(arguments.seed)
    trainer = StockInMixedPrecision(
        stock_plans(plans, "3d_fullres"),
        "3d_fullres",
        arguments.fold,
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
    seconds = sum(log["epoch_end_timestamps"]) - sum(log["epoch_start_timestamps"])
    joint = results_folder(name) / (
        f"nnMTLTrainer__{arguments.plans}_seed{arguments.seed}__3d_fullres"
    )
    cases = sorted(json.loads((folder / "splits_final.json").read_text())[arguments.fold]["val"])
    predicted = predict(trainer, cases, mirror=schedule["mirror_in_prediction"])
    report(cases, predicted, joint / f"fold_{arguments.fold}", raw_folder(name), seconds)


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


def report(
    cases: list[str], predicted: dict[str, np.ndarray], joint: Path, raw: Path, seconds: float
) -> None:
    """Prints both mean Dice values and their paired difference with its bootstrap interval."""
    ending = json.loads((raw / "dataset.json").read_text())["file_ending"]
    ours, stock = [], []
    for case in cases:
        truth = read_array(raw / "labelsTr" / f"{case}{ending}") > 0
        reoriented = predicted[case] if predicted[case].shape == truth.shape else None
        if reoriented is None:
            sys.exit(f"{case}: axes differ between image and nnU-Net's array; not compared")
        stock.append(dice(truth, predicted[case]))
        ours.append(dice(truth, read_array(joint / "validation" / f"{case}{ending}") > 0))
    difference = np.array(ours) - np.array(stock)
    resamples = resample_patients(cases)
    paired = bootstrap(lambda weights: weights @ difference / weights.sum(-1), resamples)
    history = [json.loads(line) for line in (joint / "task_history.jsonl").read_text().splitlines()]
    joint_seconds = sum(row["seconds"] for row in history)
    print(
        json.dumps(
            {
                "n": len(cases),
                "dice_joint": round(float(np.mean(ours)), 4),
                "dice_stock": round(float(np.mean(stock)), 4),
                "difference": round(float(difference.mean()), 4),
                "interval": [round(paired.lower, 4), round(paired.upper, 4)],
                "seconds_joint": round(joint_seconds),
                "seconds_stock": round(seconds),
                "time_ratio": round(joint_seconds / seconds, 2),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
