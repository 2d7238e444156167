"""One case's share of both fingerprints, nnU-Net's and ours, from one reading of its files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from numpy.typing import NDArray

from nnmtl.cohort.image_file import read_header
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.image_facts import CaseFacts, read_case_facts


class CaseFiles(NamedTuple):
    """What to read of one case, and for what.

    Attributes:
        images: a file per channel.
        label: the label map.
        reader_class: nnU-Net's reader of these files.
        num_samples: foreground voxels to draw per channel.
        channels: the channels' names.
        tumor_labels: labels whose union is the tumor; None where our facts are not wanted.
    """

    images: list[str]
    label: str
    reader_class: type[Any]
    num_samples: int
    channels: list[str]
    tumor_labels: tuple[int, ...] | None


class CaseAnalysis(NamedTuple):
    """Numbers of one case, in nnU-Net's axis order; none of its images.

    Attributes:
        shape_after_crop: without the empty margin.
        spacing: voxel size per axis in mm.
        intensities: per channel the drawn foreground voxels, none where there is no foreground.
        relative_size: voxels after the crop per voxel before.
        facts: ours, unless not wanted.
    """

    shape_after_crop: tuple[int, ...]
    spacing: list[float]
    intensities: list[NDArray[Any]]
    relative_size: float
    facts: CaseFacts | None


def analyze_case(files: CaseFiles) -> CaseAnalysis:
    """Reads one case; its arrays are let go when this returns."""
    reader = _ReadOnce(files.reader_class())
    shape, spacing, intensities, _, relative_size = DatasetFingerprintExtractor.analyze_case(
        files.images, files.label, lambda: reader, num_samples=files.num_samples
    )
    facts = None
    if files.tumor_labels is not None:
        # nnU-Net has marked the background outside the body by -1 in this label map; no tumor is.
        facts = read_case_facts(
            files.images,
            reader,
            channels=files.channels,
            label=files.label,
            tumor_labels=files.tumor_labels,
            shape_after_crop=shape,
        )
    return CaseAnalysis(shape, spacing, intensities, relative_size, facts)


class _ReadOnce:
    """A reader of one case that hands out the same arrays again."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._images: Any = None
        self._label_map: Any = None

    def read_images(self, paths: Sequence[str]) -> Any:
        if self._images is None:
            try:
                self._images = self._reader.read_images(paths)
            except RuntimeError as error:
                for path in paths:
                    read_header(Path(path))  # tells what is wrong, where it is the usual
                raise NnmtlError(
                    f"{paths[0]}: expected images that nnU-Net's {type(self._reader).__name__} "
                    "reads; replace the case's files."
                ) from error
        return self._images

    def read_seg(self, path: str) -> Any:
        if self._label_map is None:
            self._label_map = self._reader.read_seg(path)
        return self._label_map
