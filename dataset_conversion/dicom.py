"""A folder of DICOM files, in any layout; dynamic series are split into phases.

Patients' names, birth dates and UIDs are not written; their ids are hashed with a salt file.
"""

import argparse
import importlib.util
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.targets import UNKNOWN_CENTER, TargetTable, write_targets
from nnmtl.dataset_conversion._dataset_writer import (
    labels_with_ignore,
    new_dataset_folder,
    write_dataset_json,
    written_aside,
)
from nnmtl.errors import NnmtlError

if TYPE_CHECKING:  # pydicom is an extra, and help is told without it
    from nnmtl.dataset_conversion._dicom_case import Case, Wanted
    from nnmtl.dataset_conversion._dicom_identity import Identity
    from nnmtl.dataset_conversion._dicom_scan import Exam

_logger = logging.getLogger(__name__)

_LABELS = {"background": 0, "tumor": 1}
_SALT = "dicom_salt.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this converter needs beside the common arguments."""
    add = parser.add_argument
    add(
        "--phase",
        default="first-post",
        metavar="P",
        help="first-post (default), nearest-90s, peak, all, or an index from 0",
    )
    add(
        "--with",
        dest="extras",
        default="",
        metavar="C,C",
        help="further channels: pre, subtraction, pe (percent enhancement), ser (signal "
        "enhancement ratio)",
    )
    add("--series", metavar="S", help="number of the series, or a text in its description or type")
    add("--tumor", metavar="L", help="text in the labels of segments and regions that are tumor")
    add(
        "--masks",
        metavar="PATTERN",
        help="NIfTI or NRRD masks, from SOURCE, such as masks/{patient}_*.nii.gz; also {date}, "
        "{case}",
    )
    add(
        "--sequence",
        dest="sequences",
        action="append",
        default=[],
        metavar="NAME=S",
        help="a further series as channel NAME, found as by --series; may be given several times",
    )
    add("--register", action="store_true", help="register sequences to the image, rigidly")
    add("--motion", action="store_true", help="register phases to the image's, rigidly")
    add("--n4", action="store_true", help="divide by the bias field that N4 estimates")
    add("--center", default=UNKNOWN_CENTER, help="of all cases (default: unknown)")
    add("--salt", type=Path, help=f"file of the salt (default: {_SALT} in nnUNet_raw)")
    add("--keep-ids", action="store_true", help="write patients' ids as they are in the files")
    add("--key", type=Path, help="also write which id became which here; keep this file secret")
    add("--skip-refused", action="store_true", help="leave out cases that cannot be converted")


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Reads all headers, tells what would be made of them, and makes it unless it is a dry run.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first case that cannot be converted; without any file's path, because
            paths contain patients' names.
    """
    # The source's own name may be a patient's.
    folder = new_dataset_folder(raw_folder, arguments.dataset_id, arguments.name or "DICOM")
    wanted = _wanted(arguments)
    from nnmtl.dataset_conversion._dicom_case import plan_case
    from nnmtl.dataset_conversion._dicom_identity import check_key, write_key
    from nnmtl.dataset_conversion._dicom_scan import scan

    if not arguments.source:
        raise NnmtlError("SOURCE: expected the folder of DICOM files, got none; name it.")
    if arguments.key:
        check_key(arguments.key, folder)
    with _silent_readers():
        exams = scan(Path(arguments.source), may_name_files=arguments.keep_ids)
        identities = _identities(exams, arguments, raw_folder)
        cases = [plan_case(exam, identities[index], wanted) for index, exam in enumerate(exams)]
        _log(cases)
        _check_masks(arguments, cases)
        _check_sequences(wanted, cases)
        if arguments.dry_run:
            return folder
        usable = _usable(cases, skip_refused=arguments.skip_refused)
        with written_aside(folder) as aside:
            _write(usable, aside, wanted, arguments)
    if arguments.key:
        write_key(arguments.key, exams, identities)
    return folder


@contextmanager
def _silent_readers() -> Iterator[None]:
    """Keeps pydicom from telling the values that it doubts, and ITK paths: both may be names."""
    import pydicom.config
    import SimpleITK

    logger, mode = logging.getLogger("pydicom"), pydicom.config.settings.reading_validation_mode
    was_disabled, logger.disabled = logger.disabled, True
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    tells = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.GlobalWarningDisplayOff()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(tells)
        logger.disabled = was_disabled
        pydicom.config.settings.reading_validation_mode = mode


def _wanted(arguments: argparse.Namespace) -> "Wanted":
    if importlib.util.find_spec("pydicom") is None:
        raise NnmtlError("reading DICOM needs pydicom; run pip install nnmtl[dicom].")
    from nnmtl.dataset_conversion._dicom_case import Wanted, parse_extras, parse_masks
    from nnmtl.dataset_conversion._dicom_corrections import Corrections
    from nnmtl.dataset_conversion._dicom_policy import parse_policy
    from nnmtl.dataset_conversion._dicom_sequences import parse_sequences

    for option in ("series", "tumor"):
        try:
            re.compile(getattr(arguments, option) or "")
        except re.error as error:
            raise NnmtlError(f"--{option}: expected a regular expression, but {error}.") from error
    if arguments.register and not arguments.sequences:
        raise NnmtlError("--register: expected a sequence to register, got none; add --sequence.")
    extras = parse_extras(arguments.extras)
    return Wanted(
        policy=parse_policy(arguments.phase),
        extras=extras,
        series=arguments.series,
        tumor=arguments.tumor,
        masks=parse_masks(arguments.masks, Path(arguments.source or "")),
        sequences=parse_sequences(arguments.sequences, ("post", *extras)),
        corrections=Corrections(
            motion=arguments.motion, register=arguments.register, n4=arguments.n4
        ),
    )


def _identities(
    exams: Sequence["Exam"], arguments: argparse.Namespace, raw_folder: Path
) -> "list[Identity]":
    from nnmtl.dataset_conversion._dicom_identity import (
        hashed_identities,
        kept_identities,
        read_salt,
    )

    if arguments.keep_ids:
        return kept_identities(exams)
    path = arguments.salt or raw_folder / _SALT
    if arguments.dry_run and not path.is_file():
        _logger.info("no salt yet: the case ids below are of this dry run only")
    return hashed_identities(exams, read_salt(path, is_dry_run=arguments.dry_run))


def _log(cases: Sequence["Case"]) -> None:
    from nnmtl.dataset_conversion._dicom_report import (
        format_table,
        rows_of_case,
        warnings_of_case,
    )

    _logger.info("%s", format_table([row for case in cases for row in rows_of_case(case)]))
    for case in cases:
        for warning in warnings_of_case(case):
            _logger.warning("the case %s: %s", case.identity.case_id, warning)


def _check_masks(arguments: argparse.Namespace, cases: Sequence["Case"]) -> None:
    """Who names masks or segments does not want a dataset without."""
    from nnmtl.dataset_conversion._dicom_case import has_mask
    from nnmtl.dataset_conversion._dicom_masks import shown_labels

    masks = [mask for case in cases for mask in case.selection.masks]
    if arguments.masks:
        paths = [mask.path for mask in masks]
        if not paths and not all(case.problem for case in cases):
            raise NnmtlError(
                f"--masks: expected a mask of some examination, got none of {len(cases)}; the "
                "pattern starts from SOURCE, and {patient} is the PatientID."
            )
        if len(set(paths)) < len(paths):
            raise NnmtlError(
                "--masks: expected masks of one examination each, got one of several; add {date} "
                "or {case} to the pattern."
            )
    if arguments.tumor is None or any(map(has_mask, cases)):
        return
    labels = sorted({label for mask in masks for label in shown_labels(mask, mask.segments)})
    raise NnmtlError(
        f"--tumor {arguments.tumor}: expected a text in the label of some segment, but the "
        f"segments are {', '.join(labels) or 'none'}; name one of them, or leave the option out."
    )


def _check_sequences(wanted: "Wanted", cases: Sequence["Case"]) -> None:
    """A sequence that no examination has is a mistake in its name."""
    usable = [case for case in cases if not case.problem]
    for sequence in wanted.sequences:
        found = [case.sequences[sequence.name] for case in usable]
        if usable and not any(found):
            raise NnmtlError(
                f"--sequence {sequence.name}={sequence.series}: expected a series of some "
                f"examination, got none of {len(usable)}; see what there is with --dry-run."
            )
        if not all(found):
            _logger.warning(
                "%d of %d cases have no sequence %s: zeros stand in for it",
                *(found.count(None), len(usable), sequence.name),
            )


def _usable(cases: Sequence["Case"], *, skip_refused: bool) -> "list[Case]":
    from nnmtl.dataset_conversion._dicom_case import refusal

    refused = [case for case in cases if case.problem]
    if refused and not skip_refused:
        raise refusal(refused[0])
    usable = [case for case in cases if not case.problem]
    if not usable:
        raise NnmtlError(f"SOURCE: expected a case to convert, got {len(cases)}, all refused.")
    if refused:
        _logger.warning("left out %d of %d cases", len(refused), len(cases))
    counts = sorted({len(case.choice.phases) for case in usable if case.choice})
    if len(counts) > 1:
        raise NnmtlError(
            f"--phase all: expected equally many phases in all cases, got {counts[0]} to "
            f"{counts[-1]}; choose one phase."
        )
    return usable


def _write(
    cases: Sequence["Case"], folder: Path, wanted: "Wanted", arguments: argparse.Namespace
) -> None:
    from nnmtl.dataset_conversion._dicom_case import (
        ENDING,
        TUMOR_LABEL,
        has_mask,
        missing_channels,
        write_case,
    )
    from nnmtl.dataset_conversion._dicom_policy import channel_names
    from nnmtl.dataset_conversion._dicom_report import write_phases_csv
    from nnmtl.dataset_conversion._image_step import write_steps

    labels = dict(_LABELS) if all(map(has_mask, cases)) else labels_with_ignore(_LABELS)
    ignore_label = labels.get("ignore")
    written = []
    for case in tqdm(cases, desc="Converting", unit="case"):
        try:
            ignored = ignore_label if isinstance(ignore_label, int) else None
            written.append(write_case(case, folder, wanted, ignore_label=ignored))
        except NnmtlError as error:
            if not arguments.skip_refused:
                raise
            _logger.warning("left out %s", error)
    if not written:
        raise NnmtlError(f"SOURCE: expected a case to convert, got {len(cases)}, all refused.")
    _write_targets(written, folder, arguments.center)
    write_phases_csv(folder, written, wanted.policy)
    write_steps(folder, {case.identity.case_id: case.steps for case in written})
    choice = written[0].choice
    assert choice is not None
    names = channel_names(choice, wanted.extras)
    missing = {case.identity.case_id: missing_channels(case, len(names)) for case in written}
    names += tuple(sequence.name for sequence in wanted.sequences)
    write_dataset_json(
        folder,
        Declaration(
            tumor_labels=(TUMOR_LABEL,),
            missing_channels={case_id: found for case_id, found in missing.items() if found},
        ),
        channel_names={str(channel): name for channel, name in enumerate(names)},
        labels=labels,
        num_training=len(written),
        file_ending=ENDING,
        about={},
    )


def _write_targets(cases: Sequence["Case"], folder: Path, center: str) -> None:
    """The three columns that need no table; biomarkers are joined later."""
    identities = sorted((case.identity for case in cases), key=lambda found: found.case_id)
    table = TargetTable(
        case_ids=tuple(identity.case_id for identity in identities),
        patient_ids=tuple(identity.patient_id for identity in identities),
        centers=(center,) * len(identities),
    )
    write_targets(table, folder / "targets.csv")
