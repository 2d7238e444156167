"""Where a biomarker or covariate stands in a center's table, as the mapping file says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from nnmtl.cohort.biomarker import Biomarker
from nnmtl.cohort.strict_json import as_number, as_object, as_text
from nnmtl.dataset_conversion._clinical_column import RULES, check_rule
from nnmtl.errors import NnmtlError

COLUMN_KEYS = ("column", "values", "scale")
RULE_KEYS = ("rule", "columns")


@dataclass(frozen=True, kw_only=True)
class SourceColumn:
    """One column of the source.

    Attributes:
        name: of the column.
        values: the cell of targets.csv for each text in the source; None takes texts as they are.
        scale: factor of numbers, such as 100 from a fraction to percent.
    """

    name: str
    values: Mapping[str, str] | None = None
    scale: float = 1


@dataclass(frozen=True, kw_only=True)
class RuledColumns:
    """The columns from which a clinical rule derives a biomarker.

    Attributes:
        rule: its name.
        columns: by role.
    """

    rule: str
    columns: Mapping[str, SourceColumn]


def parse_source_column(entry: Mapping[str, object], *, where: str) -> SourceColumn:
    """The keys `column`, `values` and `scale`; others are left to the caller.

    Raises:
        NnmtlError: if `column` is missing or a value is wrong.
    """
    as_object(entry, where=where, required=["column"])
    values = None
    if "values" in entry:
        translations = as_object(entry["values"], where=f"{where}: values")
        values = {
            text: "" if meaning is None else str(meaning) for text, meaning in translations.items()
        }
    scale = as_number(entry.get("scale", 1), where=f"{where}: scale")
    if scale == 0:
        raise NnmtlError(f"{where}: scale: expected a number other than 0, got 0; correct it.")
    return SourceColumn(
        name=as_text(entry["column"], where=f"{where}: column"), values=values, scale=scale
    )


def parse_ruled_columns(
    entry: Mapping[str, object], biomarker: Biomarker, *, where: str
) -> RuledColumns:
    """The keys `rule` and either `column` or `columns`; others are left to the caller.

    Raises:
        NnmtlError: if the rule is unknown, does not fit the biomarker or has no such column.
    """
    name = as_text(entry["rule"], where=f"{where}: rule")
    by_role = as_object(entry.get("columns", {}), where=f"{where}: columns")
    check_rule(name, by_role, biomarker, where=where)
    if bool(by_role) == ("column" in entry) or {"values", "scale"} & entry.keys():
        raise NnmtlError(
            f"{where}: expected beside 'rule' either 'column' or 'columns', and neither 'values' "
            "nor 'scale'; give a column's values inside 'columns'."
        )
    if "column" in entry:
        by_role = {RULES[name].roles[0]: entry["column"]}
    columns = {}
    for role, value in by_role.items():
        there = f"{where}: columns: {role!r}"
        keys = value if isinstance(value, dict) else {"column": value}
        as_object(keys, where=there, required=["column"], optional=["values"])
        columns[role] = parse_source_column(keys, where=there)
    return RuledColumns(rule=name, columns=columns)
