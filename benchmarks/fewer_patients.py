"""How well the heads tell the biomarkers when fewer patients are there to fit them: a curve.

    python benchmarks/fewer_patients.py -d ID -o COMPARED --preset P --patients N [N ...]
                                        [--folds F ...] [--seed S] [--split Ts|Tr]

COMPARED is a folder that `nnMTL_compare` filled on the CPU with these presets, folds and seeds. The
segmentation stays as all patients of the fold have trained it. The heads' linear part is fitted
anew on N of these patients and answers for the held-out cases in the masks that the model draws
there; the parts that gradients train are left out. Prints per N the mean of five random choices:
AUC of each binary biomarker over all folds' held-out cases, mean absolute error of each continuous
one, and the efficiency where a phantom's posterior is known.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from training_cost import scratch_results, trainer_of

CHOICES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", dest="dataset", required=True)
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--patients", type=int, nargs="+", required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("Ts", "Tr"), default="Ts")
    arguments = parser.parse_args()
    with scratch_results() as scratch:
        folds = [Fold(job, scratch) for job in jobs_of(arguments)]
    truth = Truth(arguments.dataset, [case for fold in folds for case in fold.cases])
    for number in arguments.patients:
        points = [truth.score(folds, number, choice) for choice in range(CHOICES)]
        means = {name: np.mean([point[name] for point in points]) for name in points[0]}
        told = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
        print(f"{number} patients, {len(truth.cases)} held out: {told}", flush=True)


def jobs_of(arguments: argparse.Namespace) -> list:
    from nnmtl.experiments.compare_jobs import Job
    from nnmtl.nnunet.folders import dataset_name

    return [
        Job(
            dataset=dataset_name(arguments.dataset),
            output=arguments.output,
            preset=arguments.preset,
            fold=fold,
            seed=arguments.seed,
            split=arguments.split,
            device="cpu",
        )
        for fold in arguments.folds
    ]


class Fold:
    """A trained fold: what is measured of its training cases and of the held-out ones."""

    def __init__(self, job, scratch: Path) -> None:
        from nnmtl.nnunet.prediction_input import CHECKPOINT
        from nnmtl.planning.preset import plans_name

        trainer = trainer_of(job.dataset, plans_name(job.preset), "cpu", fold=job.fold)
        trainer.load_checkpoint(str(job.fold_folder / CHECKPOINT))
        self.training = trainer.head_training
        with trainer.averaged():
            measured, self.rows = self.training.measured_cases()
            self.measured = measured.clone()
        features = held_out_features(trainer, job, scratch / job.name)
        self.cases = list(features)
        self.held_out = torch.from_numpy(np.stack(list(features.values()))).float()

    def answers(self, number: int, choice: int) -> dict[str, np.ndarray]:
        """Head → (cases,) log odds, or value in the biomarker's unit, fitted on some patients."""
        table = self.training.table
        patients = np.array([table.patient_ids[row] for row in self.rows])
        shuffled = np.random.default_rng([choice, number]).permutation(sorted(set(patients)))
        keep = np.flatnonzero(np.isin(patients, shuffled[:number]))
        self.training.start_linear(self.measured[keep], [self.rows[place] for place in keep])
        tower = self.training.tower
        with torch.no_grad():
            scalars = tower.scalars(self.held_out)
            return {
                head.name: self._told(head, tower.head(head.name).linear(scalars)[:, 0])
                for head in self.training.heads
                if head.num_outputs == 1
            }

    def _told(self, head, output: torch.Tensor) -> np.ndarray:
        from nnmtl.losses.targets import from_head_scale

        if head.kind != "continuous":
            return output.double().numpy()
        module = self.training.tower.head(head.name)
        return from_head_scale((output * module.scale + module.center).double().numpy(), head)


def held_out_features(trainer, job, folder: Path) -> dict[str, np.ndarray]:
    """Case → (F,) what the heads see in the predicted mask; cases without one are left out."""
    from nnmtl.nnunet.head_features import FEATURES, read_features
    from nnmtl.nnunet.validation import validate_fold

    if job.split == "Tr":
        validate_fold(trainer, str(folder), with_features=True)
    else:
        folder = job.predictions
    cases = sorted(path.stem for path in (folder / FEATURES).glob("*.npy"))
    found = {case: read_features(folder, case) for case in cases}
    return {case: features for case, features in found.items() if features is not None}


class Truth:
    """The targets of held-out cases, and what the exact posterior of a phantom says of them."""

    def __init__(self, dataset: str, cases: list[str]) -> None:
        from nnmtl.nnunet.folders import dataset_name, raw_folder

        raw = raw_folder(dataset_name(dataset))
        self.cases = cases
        self.targets = rows_of(raw / "targets.csv", cases)
        exact = raw / "phantom_truth.csv"
        self.exact = rows_of(exact, cases) if exact.is_file() else None

    def score(self, folds: list[Fold], number: int, choice: int) -> dict[str, float]:
        """AUC, error or efficiency by name."""
        told = [fold.answers(number, choice) for fold in folds]
        heads = {head.name: head for head in folds[0].training.heads if head.name in told[0]}
        answers = {name: np.concatenate([each[name] for each in told]) for name in heads}
        scores = {name: self._score(heads[name], answers[name]) for name in heads}
        binary = [name for name in heads if heads[name].kind == "binary"]
        if self.exact is not None:
            exact = {name: numbers(self.exact, f"p_{name}") for name in binary}
            best = sum(self._score(heads[name], exact[name]) - 0.5 for name in binary)
            scores["efficiency"] = sum(scores[name] - 0.5 for name in binary) / best
        return scores

    def _score(self, head, answers: np.ndarray) -> float:
        from nnmtl.evaluation.discrimination import auc

        target = numbers(self.targets, head.name)
        known = ~np.isnan(target)
        if head.kind == "continuous":
            return float(np.abs(answers - target)[known].mean())
        return float(auc(answers[known], target[known] == 1))


def rows_of(path: Path, cases: list[str]) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        rows = {row["case_id"]: row for row in csv.DictReader(file)}
    return [rows[case] for case in cases]


def numbers(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([float(row[column] or "nan") for row in rows])


if __name__ == "__main__":
    main()
