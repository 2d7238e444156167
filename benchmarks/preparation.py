"""Fingerprint, plan and preprocessing beside stock nnU-Net's: wall time, memory and equal arrays.

    python benchmarks/preparation.py ID [--runs N]

ID is a dataset in nnUNet_raw. Runs `nnUNetv2_plan_and_preprocess -c 3d_fullres` with nnU-Net's own
numbers of workers and `nnMTL_plan_and_preprocess`, in turn, each on the same folder and into an
empty one in nnUNet_preprocessed. Memory is the peak of a process tree, in proportional set sizes
(a page that k processes share counts 1/k in each), less that of a process which only imports what
the command imports. Prints one line per pair of runs and the median ratios.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from nnmtl.nnunet.folders import dataset_name, preprocessed_folder

CONFIGURATION = "3d_fullres"
STOCK = "from nnunetv2.experiment_planning import plan_and_preprocess_entrypoints as command\n"
OURS = (
    "from nnmtl.cli import plan_and_preprocess as command\n"
    "from nnmtl.cohort import raw_dataset\n"
    "from nnmtl.nnunet import fingerprint, planner, preprocess\n"
)
RUN_STOCK = STOCK + "command.plan_and_preprocess_entry()"
RUN_OURS = OURS + "command.entry()"
SECONDS_BETWEEN_LOOKS = 0.05


class Cost(NamedTuple):
    """Of one process tree."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def cost_of(code: str, *arguments: str, log: Path) -> Cost:
    """Runs Python code to its end, looking at its processes all the while."""
    start, peak_kb = time.perf_counter(), 0
    cpu_seconds: dict[int, float] = {}
    with log.open("w") as stream:
        command = [sys.executable, "-c", code, *arguments]
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        while process.poll() is None:
            pids = tree(process.pid)
            peak_kb = max(peak_kb, sum(map(proportional_kb, pids)))
            cpu_seconds |= {pid: seconds for pid in pids if (seconds := cpu_seconds_of(pid))}
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        sys.exit(f"{' '.join(command[3:])} failed: {log.read_text()[-2000:]}")
    return Cost(time.perf_counter() - start, sum(cpu_seconds.values()), peak_kb / 1024)


def tree(pid: int) -> list[int]:
    """A process and its descendants, as far as they still live."""
    found = [pid]
    for parent in found:
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
            children = [(task / "children").read_text().split() for task in tasks]
        except OSError:
            continue
        found += [int(child) for of_task in children for child in of_task]
    return found


def proportional_kb(pid: int) -> int:
    """Proportional set size; 0 of a process that has ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_seconds_of(pid: int) -> float:
    """User and system time of a process without its children; 0 of one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def arrays_of(plans: str, folder: Path) -> Path:
    """Where the arrays of a plans file are."""
    configurations = json.loads((folder / f"{plans}.json").read_text())["configurations"]
    return folder / configurations[CONFIGURATION]["data_identifier"]


def first_difference(stock: Path, ours: Path) -> str | None:
    """The first case whose arrays, label maps or properties differ in any bit; None without."""
    cases = sorted(path.stem for path in stock.glob("*.pkl"))
    if cases != sorted(path.stem for path in ours.glob("*.pkl")):
        return "the list of cases"
    for case in cases:
        if not same(content(stock, case), content(ours, case)):
            return case
    return None


def content(folder: Path, case: str) -> list[Any]:
    """What a training reads of a case, and in which pieces."""
    data, label_map, _, properties = nnUNetDatasetBlosc2(str(folder), [case]).load_case(case)
    told = [(array.shape, str(array.dtype), array.chunks) for array in (data, label_map)]
    return [told, data[:].tobytes(), label_map[:].tobytes(), properties]


def same(one: Any, other: Any) -> bool:
    """Equal values in equally nested dicts, lists and arrays."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    name = dataset_name(arguments.dataset)
    number = str(int(name[7:10]))
    folder = preprocessed_folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        sys.exit(f"{folder} exists; name another folder in nnUNet_preprocessed")
    ratios = []
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        log = Path(scratch) / "log.txt"
        bare_stock, bare_ours = (cost_of(code, log=log).peak_mb for code in (STOCK, OURS))
        print(f"bare imports: stock {bare_stock:.0f} MB, ours {bare_ours:.0f} MB")
        for _ in range(arguments.runs):
            stock = cost_of(RUN_STOCK, "-d", number, "-c", CONFIGURATION, log=log)
            kept = Path(shutil.move(arrays_of("nnUNetPlans", folder), scratch))
            shutil.rmtree(folder)
            ours = cost_of(RUN_OURS, "-d", number, "-c", CONFIGURATION, log=log)
            difference = first_difference(kept, arrays_of("nnMTLPlans", folder))
            shutil.rmtree(folder)
            shutil.rmtree(kept)
            if difference is not None:
                sys.exit(f"arrays differ: {difference}")
            memory = (ours.peak_mb - bare_ours) / (stock.peak_mb - bare_stock)
            ratios.append(
                (ours.seconds / stock.seconds, ours.cpu_seconds / stock.cpu_seconds, memory)
            )
            for told, cost in (("stock", stock), ("ours", ours)):
                print(f"{told}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of CPU, ", end="")
                print(f"peak {cost.peak_mb:.0f} MB")
            print("arrays identical; ratios", *(f"{ratio:.2f}" for ratio in ratios[-1]), flush=True)
    medians = (f"{statistics.median(column):.2f}" for column in zip(*ratios, strict=True))
    print("median ratios of time, CPU time and memory less imports:", *medians)


if __name__ == "__main__":
    main()
