"""BraTS gliomas of 2020, 2021 and 2023, with grade, MGMT and survival where tables tell them.

From https://www.med.upenn.edu/cbica/brats2020 (2020), https://doi.org/10.7937/jc8x-9874 (2021) and
https://www.synapse.org/brats2023 (2023). SOURCE is a folder with folders of cases, at most three
levels below:

    BraTS20_Training_001/BraTS20_Training_001_t1.nii.gz      _t1ce, _t2, _flair; _seg: necrosis 1,
    BraTS2021_00000/BraTS2021_00000_t1.nii.gz                edema 2, enhancing 4; also .nii
    BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz       -t1c, -t2w, -t2f; -seg: the same, 3

Tables anywhere in SOURCE fill the biomarkers; the others are not declared. A case that no table has
is not observed. --targets-only needs nothing but tables:

    name_mapping.csv    BraTS_2020_subject_ID, Grade                   grade LGG or HGG
    survival_info.csv   Brats20ID, Age, Survival_days                  survival of the dead, age
    train_labels.csv    BraTS21ID, MGMT_value                          MGMT methylated
    BraTS2021_MappingToTCIA.xlsx   BraTS2021 ID, Site ID, MGMT value   MGMT methylated, center

BraTS20_Training_355 has a mask of another name, W39_1998.09.19_Segm, which is taken. The center is
the site if that last table tells it, else `BraTS`. BraTS-GLI-00000-000 and -001 are one patient.
Cases without a mask, the validation sets', train biomarkers only. The years hold the same patients:
do not put two of them together.

No image or table was at hand: names, columns and values are those of public descriptions.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nnmtl.cohort.csv_file import CsvRow
from nnmtl.dataset_conversion._dataset_writer import new_dataset_folder
from nnmtl.dataset_conversion._mapping import TableMapping, read_mapping
from nnmtl.dataset_conversion._source_column import RuledColumns, SourceColumn
from nnmtl.dataset_conversion._source_images import SourceImages, find_images, packed_or_not
from nnmtl.dataset_conversion._source_table import read_source_table
from nnmtl.dataset_conversion.table import add_image_arguments, convert_rows
from nnmtl.errors import NnmtlError

_MAPPING_OF_CASES = {
    re.compile(r"BraTS20_(?:Training|Validation)_[0-9]{3}"): "brats_2020",
    re.compile(r"BraTS2021_[0-9]{5}"): "brats_2020",
    re.compile(r"BraTS-GLI-[0-9]{5}-[0-9]{3}"): "brats_2023",
}
_DEEPEST = 4
_ONE_CENTER = "BraTS"
_TIME_POINT = re.compile(r"(?<=-[0-9]{5})-[0-9]{3}")
_BARE_ID = re.compile(r"[0-9]{1,5}")  # RSNA's table says 0 or 00000 for BraTS2021_00000


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A table of a challenge: its column of the case, and what others are called in the mapping."""

    case: str
    columns: Mapping[str, str]


_TABLES = {
    "name_mapping.csv": _Table(case="BraTS_2020_subject_ID", columns={"Grade": "Grade"}),
    "survival_info.csv": _Table(
        case="Brats20ID", columns={"Age": "Age", "Survival_days": "Survival_days"}
    ),
    "train_labels.csv": _Table(case="BraTS21ID", columns={"MGMT_value": "MGMT_value"}),
    "BraTS2021_MappingToTCIA.xlsx": _Table(
        case="BraTS2021 ID", columns={"MGMT value": "MGMT_value", "Site ID": "center"}
    ),
}


add_arguments = add_image_arguments


def convert(arguments: argparse.Namespace, raw_folder: Path) -> Path:
    """Converts all cases of one way of naming, with what the tables say of them.

    Returns:
        The dataset's folder, written or to be written.

    Raises:
        NnmtlError: for the first thing in folders or tables that is not as it should be.
    """
    folder = new_dataset_folder(raw_folder, arguments.dataset_id, arguments.name or "BraTS")
    source = Path(arguments.source or "")
    if not arguments.source or not source.is_dir():
        raise NnmtlError(
            f"SOURCE: expected the folder of a BraTS challenge, got {arguments.source!r}; name it."
        )
    told = _read_tables(source)
    named = ((case, source) for case in told)
    cases, mapping = _of_one_challenge(
        source, named if arguments.targets_only else _folders(source)
    )
    mapping = _with_told_columns(mapping, {name for row in told.values() for name in row.cells})
    nothing = CsvRow(path=source, number=0, cells={})
    rows = [_row(told.get(case, nothing), case, mapping) for case in sorted(cases)]
    found = None if arguments.targets_only else _find_images(source, cases, mapping)
    return convert_rows(rows, mapping, arguments, source=source, folder=folder, found=found)


def _of_one_challenge(
    source: Path, found: Iterable[tuple[str, Path]]
) -> tuple[dict[str, Path], TableMapping]:
    """The folder of each case, and the mapping for their way of naming."""
    by_pattern: dict[re.Pattern[str], dict[str, Path]] = {}
    for case, path in found:
        for pattern in _MAPPING_OF_CASES:
            if pattern.fullmatch(case):
                cases = by_pattern.setdefault(pattern, {})
                if cases.setdefault(case, path) is not path:
                    raise NnmtlError(
                        f"{path}: expected each case once, but {cases[case]} has the same name; "
                        "remove one."
                    )
    if len(by_pattern) != 1:
        kinds = " and ".join(sorted(next(iter(cases)) for cases in by_pattern.values()))
        raise NnmtlError(
            f"{source}: expected cases of one challenge, such as folders BraTS2021_00000 with "
            "BraTS2021_00000_t1.nii.gz or BraTS-GLI-00000-000 with BraTS-GLI-00000-000-t1n.nii.gz, "
            f"got {kinds or 'none'}; name the folder of one."
        )
    ((pattern, cases),) = by_pattern.items()
    return cases, read_mapping(Path(_MAPPING_OF_CASES[pattern]))


def _folders(source: Path) -> Iterable[tuple[str, Path]]:
    """Every folder with a T1 image, and its name."""
    for depth in range(1, _DEEPEST + 1):
        for path in sorted(source.glob("/".join("*" * depth))):
            if path.is_dir() and any(path.glob("*t1*")):
                yield path.name, path


def _read_tables(source: Path) -> dict[str, CsvRow]:
    """What the tables say of each case, in the mapping's columns."""
    told: dict[str, CsvRow] = {}
    for name, table in _TABLES.items():
        for path in sorted(source.rglob(name)):
            seen: set[str] = set()
            for row in read_source_table(path, (table.case, *table.columns)):
                if not row[table.case]:
                    continue
                case = _case_name(row[table.case])
                if case in seen:
                    raise row.error(table.case, "each case once; remove one")
                seen.add(case)
                earlier = told.get(case, replace(row, cells={}))
                cells = {here: row[there] for there, here in table.columns.items()}
                places = {
                    here: f"{there} of {case} in {name}" for there, here in table.columns.items()
                }
                told[case] = replace(
                    row,
                    cells={**earlier.cells, **cells},
                    names_in_file={**earlier.names_in_file, **places},
                )
    return told


def _case_name(text: str) -> str:
    return f"BraTS2021_{int(text):05d}" if _BARE_ID.fullmatch(text) else text


def _with_told_columns(mapping: TableMapping, told: set[str]) -> TableMapping:
    """The mapping with those biomarkers and covariates that a table has."""
    columns = {
        name: column
        for name, column in mapping.columns.items()
        if told.issuperset(part.name for part in _parts(column))
    }
    return replace(
        mapping,
        biomarkers=tuple(entry for entry in mapping.biomarkers if entry.name in columns),
        covariates=tuple(name for name in mapping.covariates if name in columns),
        columns=columns,
    )


def _parts(column: SourceColumn | RuledColumns) -> Iterable[SourceColumn]:
    return column.columns.values() if isinstance(column, RuledColumns) else [column]


def _row(told: CsvRow, case: str, mapping: TableMapping) -> CsvRow:
    cells = {part.name: "" for column in mapping.columns.values() for part in _parts(column)}
    cells |= {**told.cells, "case": case, "patient": _TIME_POINT.sub("", case)}
    return replace(told, cells={**cells, "center": cells.get("center") or _ONE_CENTER})


def _find_images(source: Path, cases: Mapping[str, Path], mapping: TableMapping) -> SourceImages:
    def locate(pattern: str, case: str) -> Path:
        return packed_or_not(cases[case].parent / pattern.replace("{case}", case))

    flagged = dict.fromkeys(cases, ())
    return find_images(source, mapping, flagged, locate_image=locate, locate_mask=locate)
