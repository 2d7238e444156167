"""What a prediction is asked for, checked before anything is loaded or written."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnmtl.cohort.image_file import geometry_mismatch, read_header
from nnmtl.cohort.raw_dataset import channel_files
from nnmtl.cohort.strict_json import as_object, as_text, as_texts
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import CENTERS, read_json

CHECKPOINT = "checkpoint_final.pth"


def find_folds(model: Path, wanted: Sequence[int | str] | None = None) -> list[int | str]:
    """The wanted folds of a model folder, or all that have finished.

    Raises:
        NnmtlError: if there is none, or not every wanted one.
    """
    names = {path.parent.name for path in model.glob(f"fold_*/{CHECKPOINT}")}
    if not names:
        raise NnmtlError(
            f"-m {model}: expected a model folder with fold_*/{CHECKPOINT}, found none. "
            "Name the folder that nnMTL_train wrote, or finish the training."
        )
    found = sorted(name.removeprefix("fold_") for name in names)
    if wanted is None:
        numbered: list[int | str] = [int(fold) for fold in found if fold.isdigit()]
        return numbered or ["all"]
    absent = [str(fold) for fold in wanted if str(fold) not in found]
    if absent:
        raise NnmtlError(
            f"-f {' '.join(absent)}: expected folds that have finished in {model}, which are "
            f"{', '.join(found)}. Name some of them, or train the fold."
        )
    return list(dict.fromkeys(wanted))


def read_model_dataset(model: Path) -> dict[str, Any]:
    """The dataset.json of a model folder.

    Raises:
        NnmtlError: if it is missing, no JSON, or lacks what every use of a model needs.
    """
    path = model / "dataset.json"
    content = as_object(
        read_json(path), where=str(path), required=["channel_names", "labels", "file_ending"]
    )
    as_text(content["file_ending"], where=f"{path}: file_ending")
    as_object(content["channel_names"], where=f"{path}: channel_names")
    return dict(content)


def find_images(folder: Path, dataset_json: Mapping[str, Any]) -> dict[str, list[str]]:
    """Case id → its channel files.

    Raises:
        NnmtlError: unless there is a case, every case has every channel on one grid, every header
            can be read, and no file is left over.
    """
    ending = dataset_json["file_ending"]
    if not folder.is_dir():
        raise NnmtlError(f"-i {folder}: expected a folder of images, but it does not exist.")
    cases = channel_files(folder, ending)
    named = {path for channels in cases.values() for path in channels.values()}
    others = sorted(path.name for path in folder.glob(f"*{ending}") if path not in named)
    if others or not cases:
        raise NnmtlError(
            f"-i {folder}: expected images named <case>_0000{ending}, one per channel, found "
            f"{others[0] if others else 'none'}. Rename the files, or name another folder."
        )
    _check_channels(folder, cases, dataset_json["channel_names"])
    for channels in cases.values():
        _check_grid([channels[number] for number in sorted(channels)])
    return {
        case_id: [str(channels[number]) for number in sorted(channels)]
        for case_id, channels in cases.items()
    }


def check_center(center: str | None, model: Path, *, later: Collection[str] = ()) -> None:
    """Refuses a center that the model has not seen, where the model folder tells its centers.

    Args:
        center: asked for.
        model: its folder.
        later: centers that it was configured for after the training.

    Raises:
        NnmtlError: naming those that it knows.
    """
    path = model / CENTERS
    if center is None or not path.is_file():
        return
    known = sorted({*as_texts(read_json(path), where=str(path)), *later})
    if center not in known:
        raise NnmtlError(
            f"--center {center}: expected one of the centers that the model was trained on or "
            f"planned for, {', '.join(known)}. Leave it out for images of another center, or "
            "configure the model for it with nnMTL_plan_center."
        )


def _check_channels(
    folder: Path, cases: Mapping[str, Mapping[int, Path]], names: Mapping[str, str]
) -> None:
    wanted = "channel 0" if len(names) == 1 else f"channels 0 to {len(names) - 1}"
    for case_id, channels in cases.items():
        if sorted(channels) != list(range(len(names))):
            raise NnmtlError(
                f"-i {folder}: expected {wanted} of case {case_id!r} "
                f"({', '.join(names.values())}), found {', '.join(map(str, sorted(channels)))}. "
                "The last four digits of a file's name are its channel's (label maps have none); a "
                "channel that was not acquired must be an image of zeros."
            )


def _check_grid(paths: Sequence[Path]) -> None:
    first, *others = ((path, read_header(path)) for path in paths)
    for path, header in others:
        difference = geometry_mismatch(first[1], header)
        if difference:
            raise NnmtlError(
                f"{first[0]} and {path.name}: expected all channels of a case on one grid, but "
                f"{difference}. Resample one onto the other."
            )
