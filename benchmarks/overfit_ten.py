"""Ten phantom patients learned by heart, and with shuffled targets nothing on held-out ones.

    python benchmarks/overfit_ten.py FOLDER [--shuffle SEED]

Trains the heads on ten cases without smoothing, dropout and jitter, and prints AUC and mean
absolute error on these ten and on thirty held-out ones. With --shuffle the targets belong to other
patients: what is learned by heart then says nothing about held-out cases, on average over seeds.
One seed can be lucky or not: ten labels point somewhere, and features are correlated.
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

import numpy as np

BINARY = ("ER", "PR", "HER2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shuffle", type=int, metavar="SEED")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[variable] = str(folder / variable)
        (folder / variable).mkdir(parents=True, exist_ok=True)
    os.environ["nnUNet_n_proc_DA"] = "0"
    from nnmtl.evaluation.raw_dataset import read_raw_dataset
    from nnmtl.experiments.evaluate_folder import evaluate_folder
    from nnmtl.nnunet.training_run import RunSettings, train

    name, plans = prepare(folder, shuffle=arguments.shuffle)
    started = time.time()
    fold = train(
        RunSettings(
            dataset=name,
            plans_name=plans,
            configuration="3d_fullres",
            fold=0,
            seed=0,
            epochs=None,
            iterations=None,
            device="cpu",
            continue_training=False,
        )
    )
    seconds = time.time() - started
    history = [json.loads(line) for line in (fold / "task_history.jsonl").read_text().splitlines()]
    raw = read_raw_dataset(folder / "nnUNet_raw" / name)
    evaluation = evaluate_folder(fold / "validation", raw, split="Tr")
    overall = {task.task: task for task in evaluation.tasks if task.center is None}
    print(
        json.dumps(
            {
                "shuffled": arguments.shuffle,
                "seconds": round(seconds),
                "last_train_losses": history[-1]["train"],
                "train": training_scores(fold, name, plans),
                "held_out_auc": {
                    task: [
                        round(getattr(overall[task].metric("auc"), part), 3)
                        for part in ("value", "lower", "upper")
                    ]
                    for task in BINARY
                },
                "held_out_ki67_skill": round(overall["Ki67"].metric("skill").value, 3),
            },
            indent=1,
        )
    )


def prepare(folder: Path, *, shuffle: int | None) -> tuple[str, str]:
    """Eighty `easy` cases of center A: ten to train, thirty others held out."""
    from nnmtl.nnunet.cohort_files import read_json, write_json
    from nnmtl.nnunet.fingerprint import extract_fingerprint
    from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
    from nnmtl.nnunet.planner import plan_experiment
    from nnmtl.nnunet.preprocess import preprocess
    from nnmtl.phantom.cohort import write_cohort

    name = "Dataset902_PHANTOM_ten"
    write_cohort(raw_folder(name), preset="easy", centers={"A": 80}, seed=5, workers=2)
    rows = list(csv.DictReader((raw_folder(name) / "targets.csv").open()))
    chosen = ten_in_balance(rows)
    if shuffle is not None:
        shuffle_targets(raw_folder(name) / "targets.csv", rows, chosen, seed=shuffle)
    folder = preprocessed_folder(name)
    folder.mkdir(parents=True)
    others = sorted({row["case_id"] for row in rows} - set(chosen))[:30]
    write_json([{"train": chosen, "val": others}], folder / "splits_final.json")
    extract_fingerprint(name, num_processes=1)
    plans = plan_experiment(name, preset_name="tiny_cpu")
    preprocess(name, plans, "3d_fullres", num_processes=1)
    content = read_json(folder / f"{plans}.json")
    configuration = content["configurations"]["3d_fullres"]
    configuration["architecture"]["arch_kwargs"]["multitask"].update(dropout=0.0, jitter_mm=0.0)
    configuration["batch_size"] = 2
    configuration["nnmtl"].update(
        roi_batch_size=5,
        epochs=10,
        iterations_per_epoch=20,
        warmup_fraction=0.2,
        true_mask_until=1000.0,  # never: the ten are judged in their true masks as well
        lr_heads=0.01,
        weight_decay_heads=0.0,
        label_smoothing=0.0,
        encoder_gradient=1.0,
        roi_segmentation_weight=0.0,
        ema_decay=0.9,
        linear_start=True,
    )
    write_json(content, folder / f"{plans}.json")
    return name, plans


def ten_in_balance(rows: list[dict[str, str]]) -> list[str]:
    """Ten cases, half of them positive for each of ER, PR and HER2.

    With more of one class a head first learns that the usual case has the usual label. Shuffling
    keeps that, and it is better than chance on held-out cases.
    """
    wanted = {("0", "0", "1"): 3, ("0", "0", "0"): 2, ("1", "1", "1"): 2, ("1", "1", "0"): 3}
    groups = {key: [] for key in wanted}
    for row in rows:
        groups.get(tuple(row[name] for name in BINARY), []).append(row["case_id"])
    return sorted(case for key, count in wanted.items() for case in groups[key][:count])


def shuffle_targets(
    path: Path, rows: list[dict[str, str]], chosen: list[str], *, seed: int
) -> None:
    """Gives the ten cases each other's targets, so that none goes with the original ones.

    Most orders of ten cases leave some target correlated with itself: of many the best is taken.
    """
    ten = [row for row in rows if row["case_id"] in chosen]
    names = [name for name in rows[0] if name not in {"case_id", "patient_id", "center"}]
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(ten)) for _ in range(500)]
    order = min(orders, key=lambda order: largest_correlation(ten, order))
    values = [{name: ten[other][name] for name in names} for other in order]
    for row, new in zip(ten, values, strict=True):
        row.update(new)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def largest_correlation(ten: list[dict[str, str]], order: np.ndarray) -> float:
    """Of a target's values with those it gets in their place, over all targets."""
    values = np.array([[float(row[name]) for name in (*BINARY, "Ki67")] for row in ten])
    return max(abs(np.corrcoef(column, column[order])[0, 1]) for column in values.T)


def training_scores(fold: Path, name: str, plans: str) -> dict[str, object]:
    """AUC and error on the ten training cases themselves, with their true masks."""
    import torch
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    from nnmtl.cohort.targets import read_targets
    from nnmtl.evaluation.discrimination import auc
    from nnmtl.losses.targets import from_head_scale
    from nnmtl.nnunet.cohort_files import read_declaration, read_json
    from nnmtl.nnunet.extension import make_trainer_findable
    from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
    from nnmtl.nnunet.predictor import load_predictor

    make_trainer_findable()
    predictor = load_predictor(fold.parent, [0], device=torch.device("cpu"), exact=False)
    folder = preprocessed_folder(name)
    cases = read_json(folder / "splits_final.json")[0]["train"]
    dataset = nnUNetDatasetBlosc2(str(folder / f"{plans}_3d_fullres"), cases)
    answers = []
    for case in sorted(cases):
        data, seg, _, properties = dataset.load_case(case)
        result = predictor.predict_case(
            torch.from_numpy(data[:]), properties, mask=np.asarray(seg[:])[0] == 1
        )
        answers.append(result.outputs[0])
    table = read_targets(folder / "targets.csv", read_declaration(raw_folder(name))).select(cases)
    scores: dict[str, object] = {}
    for head in predictor.multitask.plan.heads:
        values = np.array([answer[head.name][0] for answer in answers])
        target = table.targets[head.name]
        if head.kind == "binary":
            scores[head.name] = round(
                float(auc(values, target.possible[:, 1] & ~target.possible[:, 0])), 3
            )
        else:
            errors = np.abs(from_head_scale(values, head) - target.lower)
            scores[f"{head.name}_mae"] = round(float(errors.mean()), 2)
    return scores


if __name__ == "__main__":
    main()
