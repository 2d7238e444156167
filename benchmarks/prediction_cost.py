"""Seconds and memory that trained models take per case, by the center that it comes from.

    python benchmarks/prediction_cost.py -i IMAGES -m MODEL [MODEL ...] [--cases N] [--rounds R]

IMAGES are those of a phantom, whose case ids begin with the center. Of each center the first N are
predicted by `nnMTL_predict -device cpu` on all cores, and once the first alone; the difference is
N - 1 cases without start and loading. The models take turns, center by center, R times. Prints the
median of the rounds, its ratio to the first model's, and the peak proportional set size in MB.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from preparation import cost_of

PREDICT = "from nnmtl.cli.predict import entry; entry()"


def cases_by_center(images: Path) -> dict[str, list[str]]:
    """Center → its cases, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(images.glob("*_0000.*")):
        case = path.name.split("_0000.")[0]
        found[case.rpartition("_")[0]].append(case)
    return found


def cost_of_cases(images: Path, cases: list[str], model: Path, scratch: Path):
    """Of one call on some of the images."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        chosen, log = Path(folder, "images"), Path(folder, "log.txt")
        chosen.mkdir()
        for case in cases:
            for path in images.glob(f"{case}_[0-9][0-9][0-9][0-9].*"):
                (chosen / path.name).symlink_to(path.resolve())
        words = ["-i", str(chosen), "-o", f"{folder}/output", "-m", str(model), "-device", "cpu"]
        return cost_of(PREDICT, *words, log=log)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", dest="images", type=Path, required=True)
    parser.add_argument("-m", dest="models", type=Path, nargs="+", required=True)
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    seconds, peak = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(arguments.rounds):
            for center, cases in cases_by_center(arguments.images).items():
                for model in arguments.models:
                    several = cases[: arguments.cases]
                    one = cost_of_cases(arguments.images, several[:1], model, Path(scratch))
                    together = cost_of_cases(arguments.images, several, model, Path(scratch))
                    each = (together.seconds - one.seconds) / (len(several) - 1)
                    seconds[center, model].append(each)
                    peak[center, model].append(together.peak_mb)
    for (center, model), found in seconds.items():
        median = statistics.median(found)
        ratio = median / statistics.median(seconds[center, arguments.models[0]])
        told = f"{median:.2f} s per case, ratio {ratio:.2f}"
        print(f"{center} {model.name}: {told}, peak {max(peak[center, model]):.0f} MB")


if __name__ == "__main__":
    main()
