"""The page of a raw dataset: a picture of every case, problem cases first, to look through."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nnmtl.cohort.case_content import CaseContent, Split
from nnmtl.cohort.case_geometry import CaseGeometry
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.cohort.raw_dataset import RawDataset
from nnmtl.cohort.targets import ContinuousTarget, TargetTable
from nnmtl.cohort.validation import Finding
from nnmtl.whole_file import write_whole

DATASET_PAGE_NAME = "check_dataset.html"
_LEVELS = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True, eq=False)
class PageCase:
    """One case on the page.

    Attributes:
        case_id: as in the files' names.
        patient_id: as in targets.csv.
        center: as in targets.csv.
        split: training or test.
        content: None where a file could not be read.
        picture: JPEG; None where a file could not be read.
    """

    case_id: str
    patient_id: str
    center: str
    split: Split
    content: CaseContent | None
    picture: bytes | None


def write_dataset_page(
    dataset: RawDataset, findings: Sequence[Finding], cases: Sequence[PageCase], path: Path
) -> None:
    """Writes the page, whole or not at all.

    Args:
        dataset: what was looked at.
        findings: all of them.
        cases: of training and testing; targets of test cases are not shown.
        path: of the HTML file.
    """
    environment = Environment(
        loader=PackageLoader("nnmtl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"times": _times, "data_uri": _data_uri}
    train = {case.case_id for case in cases if case.split == "Tr"}
    table = dataset.table.with_unobserved(train)
    known = dataset.table.select(train & set(dataset.table.case_ids))
    html = environment.get_template("dataset.html").render(
        dataset=dataset.folder.name,
        channels=list(_object(dataset.dataset_json["channel_names"]).values()),
        is_phantom=dataset.declaration.synthetic is not None,
        num_train=len(train),
        num_test=len(cases) - len(train),
        num_patients=len({case.patient_id for case in cases}),
        counts={level: sum(each.level == level for each in findings) for level in _LEVELS},
        findings=[each for level in _LEVELS for each in findings if each.level == level],
        centers=_centers(cases, findings, _targets(known)),
        facts=cohort_fingerprint(table.select(train), _geometries(cases), dataset.declaration),
        biomarkers=dataset.declaration.biomarkers,
    )
    write_whole(path, html)


def _geometries(cases: Sequence[PageCase]) -> dict[str, CaseGeometry]:
    return {
        case.case_id: case.content.geometry
        for case in cases
        if case.content is not None and case.split == "Tr"
    }


def _targets(table: TargetTable) -> dict[str, list[tuple[str, str]]]:
    """Per case, name and cell of every biomarker; an empty cell is not observed."""
    cells = {
        name: _rounded(target) if isinstance(target, ContinuousTarget) else target.cells()
        for name, target in table.targets.items()
    }
    return {
        case_id: [(name, column[row]) for name, column in cells.items()]
        for row, case_id in enumerate(table.case_ids)
    }


def _rounded(target: ContinuousTarget) -> list[str]:
    """Numbers and intervals to be read, not to be read back."""
    return [
        (f"{lower:.4g}" if lower == upper else f"{lower:.4g} to {upper:.4g}") if observed else ""
        for lower, upper, observed in zip(target.lower, target.upper, target.observed, strict=True)
    ]


def _centers(
    cases: Sequence[PageCase],
    findings: Sequence[Finding],
    targets: Mapping[str, list[tuple[str, str]]],
) -> list[tuple[str, list[dict[str, object]]]]:
    """Per center its cases, those with the worst findings first."""
    about: dict[str, list[Finding]] = {}
    for finding in findings:
        for case_id in finding.case_ids:
            about.setdefault(case_id, []).append(finding)
    ranked = sorted(
        cases, key=lambda case: (case.center, _rank(about.get(case.case_id, [])), case.case_id)
    )
    shown: dict[str, list[dict[str, object]]] = {}
    for case in ranked:
        shown.setdefault(case.center, []).append(
            {
                "case": case,
                "geometry": None if case.content is None else case.content.geometry,
                "findings": sorted(
                    about.get(case.case_id, []), key=lambda each: _LEVELS.index(each.level)
                ),
                "targets": targets.get(case.case_id, []) if case.split == "Tr" else [],
            }
        )
    return list(shown.items())


def _rank(findings: Sequence[Finding]) -> int:
    return min((_LEVELS.index(each.level) for each in findings), default=len(_LEVELS))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _times(values: Sequence[float] | None) -> str:
    """Numbers along z, y and x, joined by a cross; a dash where there are none."""
    return "–" if values is None else " × ".join(f"{value:.4g}" for value in values)


def _data_uri(picture: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
