"""Finds the images and masks of each case and checks that they lie on one grid."""

import glob
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nnmtl.cohort.image_file import geometry_mismatch, read_header
from nnmtl.dataset_conversion._mapping import TableMapping
from nnmtl.errors import NnmtlError

_logger = logging.getLogger(__name__)

# What SimpleITKIOWithReorient reads and one file holds; the longest first. A .nii is packed.
ENDINGS = (".nii.gz", ".nrrd", ".mha")
_NOT_PACKED = ".nii"
_MOST_SHOWN = 3

Locate = Callable[[str, str], Path]


@dataclass(frozen=True, kw_only=True)
class SourceCase:
    """The files of one case.

    Attributes:
        case_id: of the case.
        channels: one path per channel; None for a missing one.
        mask: the label map; None where the tumor was never outlined.
        slices_first_mm: the spacing (z, y, x) of files that tell no grid and have the axes in this
            order; None where the files tell it.
    """

    case_id: str
    channels: tuple[Path | None, ...]
    mask: Path | None
    slices_first_mm: tuple[float, float, float] | None = None

    @property
    def missing_channels(self) -> tuple[int, ...]:
        """Indices of the channels without image."""
        return tuple(index for index, path in enumerate(self.channels) if path is None)

    @property
    def present(self) -> list[Path]:
        """All files, channels first."""
        return [path for path in (*self.channels, self.mask) if path is not None]


@dataclass(frozen=True, kw_only=True)
class SourceImages:
    """All cases of a source that have an image.

    Attributes:
        cases: sorted by id.
        ending: of every file.
        without_image: rows whose case has no image at all.
        without_row: cases in the source that the table does not name.
    """

    cases: tuple[SourceCase, ...]
    ending: str
    without_image: tuple[str, ...]
    without_row: tuple[str, ...]


def find_images(
    source: Path,
    mapping: TableMapping,
    flagged: Mapping[str, Collection[int]],
    *,
    locate_image: Locate | None = None,
    locate_mask: Locate | None = None,
) -> SourceImages:
    """Finds every file of the cases of a table; says so where there is no mask at all.

    Args:
        source: folder that the patterns start from.
        mapping: names the patterns.
        flagged: per case id, the channels that the table calls missing.
        locate_image: the path of a pattern for a case; None for the pattern below `source`.
        locate_mask: the same of masks.

    Raises:
        NnmtlError: if no case has an image, a channel is absent that may not be, or file endings
            differ.
    """
    if not source.is_dir():
        raise NnmtlError(f"SOURCE: expected a folder of images, got {str(source)!r}; name it.")
    images = mapping.images or _default_images(source, len(mapping.channel_names))
    masks = mapping.mask or (f"labelsTr/{{case}}{_ending(Path(images[0]))}",)
    locate_image = locate_image or partial(_below, source)
    locate_mask = locate_mask or partial(_below, source)
    cases, without_image = [], []
    for case_id in sorted(flagged):
        paths = [locate_image(pattern, case_id) for pattern in images]
        if not any(path.is_file() for path in paths):
            without_image.append(case_id)
            continue
        channels = tuple(
            None if channel in flagged[case_id] else _image(path, case_id, mapping)
            for channel, path in enumerate(paths)
        )
        if not any(channels):
            raise NnmtlError(
                f"the case {case_id!r} has no channel left: all are flagged or absent; remove its "
                "row or correct the flags."
            )
        outlined = (locate_mask(pattern, case_id) for pattern in masks)
        mask = next((path for path in outlined if path.is_file()), None)
        cases.append(SourceCase(case_id=case_id, channels=channels, mask=mask))
    without_row = tuple(sorted(_cases_of_pattern(source, images[0]) - set(flagged)))
    if not cases:
        there = ", ".join(without_row[:_MOST_SHOWN]) or "no others"
        raise NnmtlError(
            f"SOURCE: expected images such as {locate_image(images[0], min(flagged))}, but no case "
            f"of the table has one and there are {there}; correct SOURCE, pattern or case ids."
        )
    if not any(case.mask for case in cases):
        _logger.warning(
            "no case has a mask, such as %s: all will train biomarkers only",
            locate_mask(masks[0], cases[0].case_id),
        )
    return SourceImages(
        cases=tuple(cases),
        ending=_common_ending(cases, source),
        without_image=tuple(without_image),
        without_row=without_row,
    )


def packed_or_not(path: Path) -> Path:
    """The path, or that of the same file as .nii where only this one exists."""
    plain = path.with_name(path.name.removesuffix(".gz"))
    return plain if plain.is_file() and not path.is_file() else path


def folder_that_holds(source: Path, pattern: str) -> Path:
    """SOURCE or the first folder at most three levels below it with an entry of this pattern.

    Raises:
        NnmtlError: if there is none.
    """
    for depth in range(4):
        for path in sorted(source.glob("/".join(["*"] * depth + [pattern]))):
            return path.parent
    raise NnmtlError(
        f"SOURCE: expected {pattern} in {source} or up to three folders below, but there is none; "
        "unpack the images there, or give --targets-only."
    )


def check_grids(cases: Sequence[SourceCase]) -> None:
    """Channels and mask of a case must have the same size, spacing, origin and direction.

    Raises:
        NnmtlError: naming both files and the difference of the first such case.
    """
    problems = [problem for case in cases if (problem := _grid_problem(case))]
    if problems:
        more = f" ({len(problems) - 1} more cases have the like)" if problems[1:] else ""
        raise NnmtlError(f"{problems[0]}; resample one to the other{more}.")


def _below(source: Path, pattern: str, case_id: str) -> Path:
    return source / pattern.replace("{case}", case_id)


def _grid_problem(case: SourceCase) -> str | None:
    first, *others = case.present
    header = read_header(first)
    for path in others:
        mismatch = geometry_mismatch(header, read_header(path))
        if mismatch:
            return f"the case {case.case_id!r}: {first} and {path} are not on one grid: {mismatch}"
    return None


def _default_images(source: Path, num_channels: int) -> tuple[str, ...]:
    """The patterns of nnU-Net's layout, with the ending found in imagesTr."""
    found = {_ending(path) for path in (source / "imagesTr").glob("*") if _has_ending(path)}
    if len(found) != 1:
        raise NnmtlError(
            f"{source / 'imagesTr'}: expected images of one ending among {', '.join(ENDINGS)}, "
            f"got {', '.join(sorted(found)) or 'none'}; name the files under 'images' in the "
            "mapping."
        )
    ending = found.pop()
    return tuple(f"imagesTr/{{case}}_{channel:04d}{ending}" for channel in range(num_channels))


def _image(path: Path, case_id: str, mapping: TableMapping) -> Path | None:
    if path.is_file():
        return path
    if mapping.absent_images_are_missing_channels:
        return None
    raise NnmtlError(
        f"the case {case_id!r}: expected the image {path}, but there is none; add it, remove the "
        "case, or set 'absent_images_are_missing_channels' in a mapping of your own."
    )


def _common_ending(cases: Sequence[SourceCase], source: Path) -> str:
    endings = {_ending(path) for case in cases for path in case.present}
    if len(endings) != 1:
        raise NnmtlError(
            f"{source}: expected images and masks of one ending, got {', '.join(sorted(endings))}; "
            "convert them to one."
        )
    return endings.pop()


def _has_ending(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _ending(path: Path) -> str:
    for ending in ENDINGS:
        if path.name.endswith(ending):
            return ending
    if path.name.endswith(_NOT_PACKED):
        return f"{_NOT_PACKED}.gz"
    raise NnmtlError(
        f"{path}: expected one of the endings {', '.join(ENDINGS)}; convert the image."
    )


def _cases_of_pattern(source: Path, pattern: str) -> set[str]:
    before, after = pattern.split("{case}", 1)
    if "{case}" in after or "/" in after:
        return set()
    folder, prefix = source / before.rpartition("/")[0], before.rpartition("/")[2]
    return {
        path.name.removeprefix(prefix).removesuffix(after)
        for path in folder.glob(f"{glob.escape(prefix)}*{glob.escape(after)}")
    }
