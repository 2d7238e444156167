"""The grid of every case as the source's table tells it, for planning without images."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from nnmtl.cohort.cell import format_number, parse_number
from nnmtl.cohort.csv_file import CsvRow
from nnmtl.cohort.strict_json import as_integer, as_object, as_text
from nnmtl.cohort.targets import TargetTable

_AXES = ("z", "y", "x")


@dataclass(frozen=True, kw_only=True)
class GridColumn:
    """A column of numbers; `item` counts from 0 where its cells are lists such as `[0.7, 0.7]`."""

    name: str
    item: int | None = None


@dataclass(frozen=True, kw_only=True)
class GeometryColumns:
    """The columns of the grid as it was acquired: z across slices, y along columns, x along rows.

    Attributes:
        spacing_mm: by axis; an axis that the source does not tell is absent.
        shape: voxels, likewise.
        view: the column of the plane of acquisition, such as axial; None if there is none.
    """

    spacing_mm: Mapping[str, GridColumn]
    shape: Mapping[str, GridColumn]
    view: str | None

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Every column that the source table must have."""
        columns = chain(self.spacing_mm.values(), self.shape.values())
        return (*(column.name for column in columns), *([self.view] if self.view else []))


def parse_geometry_columns(value: object, *, where: str) -> GeometryColumns:
    """The mapping's `geometry`.

    Raises:
        NnmtlError: for an unknown key or axis, or a wrong value.
    """
    entry = as_object(value, where=where, required=["spacing_mm", "shape"], optional=["view"])
    return GeometryColumns(
        spacing_mm=_parse_axes(entry["spacing_mm"], where=f"{where}: spacing_mm"),
        shape=_parse_axes(entry["shape"], where=f"{where}: shape"),
        view=as_text(entry["view"], where=f"{where}: view") if "view" in entry else None,
    )


def read_geometry(
    table: TargetTable,
    rows_by_case: Mapping[str, CsvRow],
    columns: GeometryColumns,
    *,
    not_observed: Sequence[str],
) -> dict[str, Sequence[str]]:
    """The columns of geometry.csv, one row per case; what the source does not tell is empty.

    Raises:
        NnmtlError: naming row and column of a spacing or shape that cannot be.
    """
    rows = [rows_by_case[case_id] for case_id in table.case_ids]
    read: dict[str, Sequence[str]] = {
        "case_id": table.case_ids,
        "patient_id": table.patient_ids,
        "center": table.centers,
    }
    for axis in _AXES:
        column = columns.spacing_mm.get(axis)
        read[f"spacing_{axis}_mm"] = [_cell(row, column, not_observed) for row in rows]
    for axis in _AXES:
        column = columns.shape.get(axis)
        read[f"shape_{axis}"] = [_cell(row, column, not_observed, is_count=True) for row in rows]
    read["view"] = [row[columns.view] if columns.view else "" for row in rows]
    return read


def _parse_axes(value: object, *, where: str) -> dict[str, GridColumn]:
    axes = {}
    for axis, column in as_object(value, where=where, optional=_AXES).items():
        there = f"{where}: {axis!r}"
        keys = column if isinstance(column, dict) else {"column": column}
        as_object(keys, where=there, required=["column"], optional=["item"])
        axes[axis] = GridColumn(
            name=as_text(keys["column"], where=there),
            item=as_integer(keys["item"], where=there) if "item" in keys else None,
        )
    return axes


def _cell(
    row: CsvRow, column: GridColumn | None, not_observed: Sequence[str], *, is_count: bool = False
) -> str:
    if column is None or not row[column.name] or row[column.name] in not_observed:
        return ""
    text = row[column.name] if column.item is None else _item(row, column.name, column.item)
    value = parse_number(
        CsvRow(path=row.path, number=row.number, cells={column.name: text}), column.name
    )
    if value is None or value <= 0 or (is_count and value != int(value)):
        raise row.error(column.name, "a whole number of voxels" if is_count else "a length in mm")
    return format_number(value)


def _item(row: CsvRow, column: str, item: int) -> str:
    try:
        return str(json.loads(row[column])[item])
    except (ValueError, IndexError, TypeError, KeyError) as error:
        raise row.error(column, f"a list of at least {item + 1} numbers") from error
