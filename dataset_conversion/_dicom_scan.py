"""Reads the headers of a folder tree of any layout and sorts slices by examination."""

import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from nnmtl.dataset_conversion._dicom_header import SEGMENTATION, STRUCTURE_SET, read_slices
from nnmtl.dataset_conversion._dicom_slice import Series, Slice
from nnmtl.errors import NnmtlError

_logger = logging.getLogger(__name__)

_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, kw_only=True)
class Exam:
    """One examination of one patient.

    Attributes:
        patient_id: as in the files.
        study_uid: likewise.
        study_time: text that sorts a patient's examinations.
        slices: of all its images.
        segmentations: the files of its segmentations and structure sets.
    """

    patient_id: str
    study_uid: str
    study_time: str
    slices: tuple[Slice, ...]
    segmentations: tuple[Slice, ...]


def scan(folder: Path, *, may_name_files: bool) -> list[Exam]:
    """All examinations below a folder, by patient and time; each header is read once.

    Instances that stand there twice are taken once. Files that are no DICOM are passed over.

    Args:
        folder: of any layout.
        may_name_files: whether the log may tell which files are damaged; paths often contain
            patients' names.

    Raises:
        NnmtlError: if there is no slice, a damaged file, or one that cannot be told whose it is.
    """
    if not folder.is_dir():
        raise NnmtlError(f"SOURCE: expected a folder of DICOM files, got {_what(folder)}.")
    paths = list(_files(folder))
    slices, num_damaged, num_copies = [], 0, 0
    seen: set[str] = set()
    for path in tqdm(paths, desc="Reading headers", unit="file"):
        try:
            found = read_slices(path)
        except (NnmtlError, OSError):
            num_damaged += 1
            if may_name_files:
                _logger.warning("damaged: %s", path)
            continue
        if found and found[0].instance_uid in seen:
            num_copies += 1
            continue
        slices += found
        seen |= {item.instance_uid for item in found[:1] if item.instance_uid}
    if num_damaged:
        raise NnmtlError(
            f"SOURCE: expected whole DICOM files, got {num_damaged} damaged ones; copy "
            "them again (--keep-ids names them)."
        )
    if num_copies:
        _logger.warning("passed over %d files that repeat another one", num_copies)
    num_archives = sum(map(_is_archive, paths))
    if num_archives and not slices:
        raise NnmtlError(
            f"SOURCE: expected DICOM images, got none but {num_archives} archives; unpack them."
        )
    if num_archives:
        _logger.warning("passed over %d archives, such as .zip; unpack them", num_archives)
    return _exams(slices)


def _what(path: Path) -> str:
    if _is_archive(path):
        return "an archive; unpack it and name the folder"
    return "a file; name the folder" if path.exists() else "none of that name; name it"


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(_ARCHIVES) and path.is_file()


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders.sort()
        paths = (Path(parent, name) for name in sorted(names))
        yield from (path for path in paths if path.is_file())


def _refuse_folder(error: OSError) -> None:
    # Without the error's own text and chain: it tells the path.
    raise NnmtlError(
        f"SOURCE: expected folders that may be read, got one that may not ({error.strerror}); "
        "change its permissions."
    ) from None


def _exams(slices: Sequence[Slice]) -> list[Exam]:
    if not slices:
        raise NnmtlError("SOURCE: expected DICOM images, got none; name the folder that has them.")
    by_study: dict[str, list[Slice]] = defaultdict(list)
    for item in _with_known_study(slices):
        by_study[item.series.study_uid].append(item)
    exams = [_exam(study_uid, found) for study_uid, found in by_study.items()]
    return sorted(exams, key=lambda exam: (exam.patient_id, exam.study_time, exam.study_uid))


def _with_known_study(slices: Sequence[Slice]) -> list[Slice]:
    """The slices; an untold study is that of the series, or of the patient and day."""
    if any(not item.series.uid for item in slices):
        count = sum(not item.series.uid for item in slices)
        raise NnmtlError(
            f"SOURCE: expected SeriesInstanceUID in every image, got {count} of {len(slices)} "
            "slices without; export them again."
        )
    study_of = {item.series.uid: item.series.study_uid for item in slices if item.series.study_uid}
    studies_of: dict[str, set[Series]] = defaultdict(set)
    for item in slices:
        if item.series.study_uid:
            studies_of[item.series.patient_id].add(item.series)
    known = []
    for item in slices:
        study_uid = item.series.study_uid or study_of.get(item.series.uid)
        study_uid = study_uid or _visit(item.series, studies_of[item.series.patient_id])
        known.append(replace(item, series=replace(item.series, study_uid=study_uid)))
    return known


def _visit(series: Series, told: Collection[Series]) -> str:
    """What stands for an absent StudyInstanceUID: the one that others of the patient's day have.

    Where none of the patient has one, patient, day and accession tell the examinations.
    """
    day = series.study_day
    same_day = {other.study_uid for other in told if other.study_day == day}
    if not (series.patient_id and day) or len(same_day) > 1 or (told and not same_day):
        raise NnmtlError(
            "SOURCE: expected StudyInstanceUID in every image, or one examination a day of every "
            "PatientID, got an image that may belong to several; export it again."
        )
    return same_day.pop() if same_day else f"{series.patient_id} {day} {series.accession}"


def _exam(study_uid: str, slices: Sequence[Slice]) -> Exam:
    patients = {item.series.patient_id for item in slices} - {""}
    if len(patients) > 1:
        raise NnmtlError(
            f"SOURCE: expected one PatientID in an examination, got {len(patients)}; export each "
            "patient's examinations with their own StudyInstanceUID."
        )
    if not patients:
        _logger.warning("an examination has no PatientID and counts as a patient of its own")
    kinds = (SEGMENTATION, STRUCTURE_SET)
    is_segmentation = [item.series.modality in kinds for item in slices]
    return Exam(
        patient_id=patients.pop() if patients else study_uid,
        study_uid=study_uid,
        study_time=max(item.series.study_time for item in slices),
        slices=tuple(s for s, is_seg in zip(slices, is_segmentation, strict=True) if not is_seg),
        segmentations=tuple(s for s, is_seg in zip(slices, is_segmentation, strict=True) if is_seg),
    )
