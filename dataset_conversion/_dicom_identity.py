"""Names for patients and cases that tell nothing to whom has not the salt."""

import hmac
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmtl.cohort.csv_file import write_csv
from nnmtl.dataset_conversion._dicom_scan import Exam
from nnmtl.errors import NnmtlError
from nnmtl.whole_file import can_be_written

_SALT_BYTES = 32
_DIGITS = 12  # of 16 values: two of a million patients share a name with probability 0.002


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The names of one examination in all that is written."""

    case_id: str
    patient_id: str


def read_salt(path: Path, *, is_dry_run: bool) -> bytes:
    """The secret of a salt file, which is made if there is none (kept in memory in a dry run).

    Raises:
        NnmtlError: if the file is shorter than a secret, or a folder.
    """
    if path.is_dir():
        raise NnmtlError(f"--salt: expected a file, got the folder {path}; name a file in it.")
    if path.is_file():
        salt = path.read_bytes().strip()
        if len(salt) < _SALT_BYTES:
            raise NnmtlError(
                f"--salt: expected at least {_SALT_BYTES} characters in {path}, got {len(salt)}; "
                "remove the file to have one made."
            )
        return salt
    salt = secrets.token_hex(_SALT_BYTES).encode()
    if not is_dry_run:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(salt + b"\n")
    return salt


def hashed_identities(exams: Sequence[Exam], salt: bytes) -> list[Identity]:
    """Names from HMAC-SHA256 of the patient's id and of the study's, the same in every run."""
    return [
        Identity(
            patient_id=f"p{_hash(salt, exam.patient_id)}",
            case_id=f"p{_hash(salt, exam.patient_id)}_{_hash(salt, exam.study_uid)[:6]}",
        )
        for exam in exams
    ]


def kept_identities(exams: Sequence[Exam]) -> list[Identity]:
    """The patient's own id, with a number where there are several examinations.

    Raises:
        NnmtlError: if two ids become one, because files' names take few characters.
    """
    name_of = {exam.patient_id: re.sub(r"[^A-Za-z0-9-]+", "-", exam.patient_id) for exam in exams}
    if len(set(name_of.values())) < len(name_of):
        raise NnmtlError(
            "--keep-ids: expected patient ids that differ in letters or digits, got some that do "
            "not; leave the option out."
        )
    counts = Counter(exam.patient_id for exam in exams)
    numbers: dict[str, int] = defaultdict(int)
    identities = []
    for exam in exams:
        name = name_of[exam.patient_id]
        numbers[name] += 1
        case_id = name if counts[exam.patient_id] == 1 else f"{name}_{numbers[name]}"
        identities.append(Identity(case_id=case_id, patient_id=name))
    return identities


def check_key(path: Path, folder: Path) -> None:
    """Refuses a key that could not be written after an hour of work, or would stay with the images.

    Args:
        path: of the key.
        folder: of the dataset.

    Raises:
        NnmtlError: naming the option.
    """
    if path.is_dir() or not can_be_written(path):
        raise NnmtlError(f"--key: expected a file that can be written, got {path}; name another.")
    if folder.resolve() in path.resolve().parents:
        raise NnmtlError(
            f"--key: expected a file outside the dataset, which it makes identifiable, got {path}; "
            "name another."
        )


def write_key(path: Path, exams: Sequence[Exam], identities: Sequence[Identity]) -> None:
    """Writes which id became which: the only file with identifiers."""
    columns = {
        "case_id": [identity.case_id for identity in identities],
        "patient_id": [identity.patient_id for identity in identities],
        "PatientID": [exam.patient_id for exam in exams],
        "StudyDate": [exam.study_time.partition(" ")[0] for exam in exams],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, columns)


def _hash(salt: bytes, text: str) -> str:
    return hmac.new(salt, text.encode(), "sha256").hexdigest()[:_DIGITS]
