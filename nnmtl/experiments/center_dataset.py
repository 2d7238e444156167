"""A raw dataset in which one center's cases are the test cases: nothing is learned from them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnmtl.cohort.declaration import KEY, declaration_to_json
from nnmtl.cohort.raw_dataset import RawDataset, read_raw_dataset
from nnmtl.cohort.splits import leave_one_center_out
from nnmtl.cohort.targets import write_targets
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import write_json
from nnmtl.planning.center_names import center_slug, refuse_equal_slugs

PHANTOM_TRUTH = (
    "phantom_truth.csv"  # of a synthetic dataset; evaluation reads it, training does not
)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """One center left out.

    Attributes:
        center: its name.
        train: cases of the other centers.
        test: its cases.
    """

    center: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def slug(self) -> str:
        """In the names of folders."""
        return center_slug(self.center)


def left_out_centers(raw: Path, wanted: Sequence[str] | None) -> list[LeftOut]:
    """What is trained without and tested on each center, from the cases in imagesTr.

    Args:
        raw: folder of the raw dataset.
        wanted: centers to leave out; None takes all.

    Raises:
        NnmtlError: if there are fewer than two centers, two share a slug, or one has no case.
    """
    dataset = read_raw_dataset(raw)
    table = dataset.table.select(set(dataset.train_images) & set(dataset.table.case_ids))
    folds = leave_one_center_out(table)
    refuse_equal_slugs(folds)
    for center in wanted or ():
        if center not in folds:
            raise NnmtlError(
                f"--centers {center}: expected centers of {raw / 'targets.csv'} with cases in "
                f"imagesTr, which are {', '.join(folds)}; name some of them."
            )
    without_row = sorted(set(dataset.train_images) - set(table.case_ids))
    return [
        LeftOut(center=center, train=(*fold.train, *without_row), test=fold.validation)
        for center, fold in folds.items()
        if wanted is None or center in wanted
    ]


def dataset_without(name: str, left_out: LeftOut) -> str:
    """The name of the dataset in which a center's cases are the test cases."""
    return f"{name}_without_{left_out.slug}"


def write_dataset(source: Path, target: Path, left_out: LeftOut) -> None:
    """Writes the dataset as links to the images of another, unless it is there.

    A dataset of its own rather than a fold of the source: fingerprint and plans pool all cases of a
    dataset, and would see the center that is to be unseen.

    Raises:
        NnmtlError: if it is there with other cases.
    """
    if target.is_dir():
        _refuse_other_cases(target, left_out)
        return
    dataset = read_raw_dataset(source)
    aside = target.with_name(f".{target.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    for part, cases in (("Tr", left_out.train), ("Ts", left_out.test)):
        _link(dataset, aside, part, cases)
    write_json(_dataset_json(dataset, left_out), aside / "dataset.json")
    with_row = {*left_out.train, *left_out.test} & set(dataset.table.case_ids)
    write_targets(dataset.table.select(with_row), aside / "targets.csv")
    if (source / PHANTOM_TRUTH).is_file():
        shutil.copyfile(source / PHANTOM_TRUTH, aside / PHANTOM_TRUTH)
    aside.rename(target)


def _refuse_other_cases(target: Path, left_out: LeftOut) -> None:
    there = read_raw_dataset(target)
    if (set(there.train_images), set(there.test_images)) != (
        set(left_out.train),
        set(left_out.test),
    ):
        raise NnmtlError(
            f"{target}: expected the cases of the dataset as it is now, but it was made from "
            "others; name another folder with -o, or remove this one to start anew."
        )


def _dataset_json(dataset: RawDataset, left_out: LeftOut) -> dict[str, object]:
    """The source's, about the cases that there are."""
    cases = {*left_out.train, *left_out.test}
    missing = dataset.declaration.missing_channels
    declaration = replace(
        dataset.declaration,
        missing_channels={case: missing[case] for case in sorted(cases & set(missing))},
    )
    return {
        **dataset.dataset_json,
        "numTraining": len(left_out.train),
        KEY: declaration_to_json(declaration),
    }


def _link(dataset: RawDataset, folder: Path, part: str, cases: Sequence[str]) -> None:
    images, labels = folder / f"images{part}", folder / f"labels{part}"
    images.mkdir(parents=True)
    labels.mkdir()
    for case_id in cases:
        for path in dataset.train_images[case_id].values():
            (images / path.name).symlink_to(path.resolve())
        label = dataset.label_path(case_id)
        if label.is_file():
            (labels / label.name).symlink_to(label.resolve())
