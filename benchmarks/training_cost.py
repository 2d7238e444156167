"""Seconds that regions and heads add to the U-Net's pass over a batch of regions of interest.

    python benchmarks/training_cost.py ID PLANS [--rounds N] [--device D]

Sets up fold 0 of plans whose cases are preprocessed and lets four things take turns, N times, each
on one and the same batch: nnU-Net's iteration on patches; the U-Net alone on regions of interest
(encoder, decoder, loss, backward); the same with regions, statistics, heads and their losses; and
of that the measuring of regions and statistics. Then it fits the heads' linear part once, on the
fold's training cases. Prints the medians and ratios; nothing of it is kept.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import torch

CONFIGURATION = "3d_fullres"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("plans")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    with scratch_results():
        trainer = trainer_of(arguments.dataset, arguments.plans, arguments.device)
        steps = steps_of(trainer)
        for step in steps.values():
            step()  # the first one allocates
        taken = {name: [] for name in steps}
        for _ in range(arguments.rounds):
            for name, step in steps.items():
                taken[name].append(seconds_of(step))
        training = trainer.head_training
        start = seconds_of(lambda: training.start_linear(*training.measured_cases()))
    report({name: statistics.median(values) for name, values in taken.items()}, taken)
    print(f"linear start: {start:.1f} s for {num_cases(trainer)} training cases")


@contextmanager
def scratch_results() -> Iterator[Path]:
    """A folder that goes; trainers write there, since nnU-Net reads its paths when imported."""
    kept = os.environ.get("nnUNet_results")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["nnUNet_results"] = folder
        from nnunetv2 import paths

        assert paths.nnUNet_results == folder, "nnU-Net was imported before"
        if kept is not None:
            os.environ["nnUNet_results"] = kept
        yield Path(folder)


def trainer_of(dataset: str, plans: str, device: str, *, fold: int = 0):
    """A trainer that has begun its first epoch."""
    from nnmtl.nnunet.folders import dataset_name, preprocessed_folder
    from nnmtl.nnunet.trainer import nnMTLTrainer

    os.environ["nnUNet_n_proc_DA"] = "0"
    folder = preprocessed_folder(dataset_name(dataset))
    torch.manual_seed(0)
    trainer = nnMTLTrainer(
        json.loads((folder / f"{plans}.json").read_text()),
        CONFIGURATION,
        fold,
        json.loads((folder / "dataset.json").read_text()),
        torch.device(device),
    )
    trainer.initialize()
    trainer.on_train_start()
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    return trainer


def steps_of(trainer) -> dict[str, Callable[[], None]]:
    """What is timed, by name."""
    patches = next(trainer.dataloader_train)
    batch = next(trainer.head_training.batches)
    trainer.head_training.batches = repeat(batch)
    images = batch["data"].to(trainer.device)
    masks = trainer.head_training.tumor_masks(batch).bool()
    spacing_mm = trainer.network.plan.spacing_mm

    def iteration_on_patches() -> None:
        trainer.network.zero_grad(set_to_none=True)
        trainer._segmentation_step(patches)
        trainer._update(joint=False)

    def unet_on_regions() -> None:
        trainer.network.zero_grad(set_to_none=True)
        with trainer._training_precision():
            loss = trainer._region_segmentation(trainer.network(images), batch)
        trainer._backward(loss)

    def unet_and_heads_on_regions() -> None:
        trainer.network.zero_grad(set_to_none=True)
        trainer._head_step()

    def measuring() -> None:
        trainer.network.measure(images, masks, spacing_mm)

    steps = (iteration_on_patches, unet_on_regions, unet_and_heads_on_regions, measuring)
    return {step.__name__: step for step in steps}


def seconds_of(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def num_cases(trainer) -> int:
    return sum(len(loader.indices) for loader in trainer.head_training.loader.loaders)


def report(median: dict[str, float], taken: dict[str, list[float]]) -> None:
    for name, seconds in median.items():
        print(f"{name:28} {seconds:.3f} s")
    turns = zip(taken["unet_and_heads_on_regions"], taken["unet_on_regions"], strict=True)
    added = [whole / alone - 1 for whole, alone in turns]
    quartiles = statistics.quantiles(added, n=4)
    print(
        f"regions and heads add {statistics.median(added):.0%} "
        f"(quartiles of the turns {quartiles[0]:.0%} to {quartiles[2]:.0%})"
    )


if __name__ == "__main__":
    main()
