"""Tells what was found in the examinations: a table to read and a table to keep."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnmtl.cohort.csv_file import write_csv
from nnmtl.dataset_conversion._dicom_case import Case
from nnmtl.dataset_conversion._dicom_geometry import axes, grid_of
from nnmtl.dataset_conversion._dicom_masks import shown_labels
from nnmtl.dataset_conversion._dicom_policy import Choice
from nnmtl.dataset_conversion._dicom_slice import Series
from nnmtl.dataset_conversion._dicom_stack import Stack
from nnmtl.dataset_conversion._dicom_words import shown_description

PHASES_CSV = "phases.csv"

_HEADER = ("case", "series", "description", "type", "view", "size", "spacing", "phases", "use")
_VIEWS = ("sagittal", "coronal", "axial")


def rows_of_case(case: Case) -> list[tuple[str, ...]]:
    """One row per series and segmentation of an examination, with what is made of it."""
    selection, case_id, problem = case.selection, case.identity.case_id, case.problem
    rows = []
    for stack in selection.stacks:
        use = "not used"
        names = [name for name, found in case.sequences.items() if found is stack]
        if stack is selection.chosen:
            use = problem or f"image: {_shown_choice(case.choice)}"
        elif names:
            use = f"channel {', '.join(names)}"
        elif stack.no_image:
            use = f"{stack.no_image}, not used"
        elif stack.problem:
            use = stack.problem
        rows.append((case_id, *_described(stack), use))
    for mask in selection.masks:
        tumor, every = (", ".join(shown_labels(mask, own)) for own in (mask.tumor, mask.segments))
        use = f"tumor: {tumor}" if mask.tumor else f"no tumor told by --tumor: {every}"
        rows.append((case_id, *mask.series, *("",) * 5, use))
    if problem and selection.chosen is None:
        rows.append((case_id, *("",) * 7, f"refused: {problem}"))
    return rows


def warnings_of_case(case: Case) -> list[str]:
    """What somebody should look at before the case is used, as clauses."""
    found = []
    taken = [stack for stack in (case.selection.chosen, *case.sequences.values()) if stack]
    for stack in case.selection.stacks:
        signs = sorted({item.series.burned_in for item in stack.slices} - {""})
        if signs:
            use = "taken" if any(stack is other for other in taken) else "not taken"
            found.append(
                f"series {_number(stack.first.series)} ({use}) may have text burned into its "
                f"voxels ({', '.join(signs)}); look at it"
            )
    found += [
        f"series {_number(stack.first.series)}: Philips' scale slope, which is not applied, "
        "differs from slice to slice; its voxels may not compare"
        for stack in taken
        if len({item.scale_slope for item in stack.slices}) > 1
    ]
    return found


def format_table(rows: Sequence[tuple[str, ...]]) -> str:
    """The rows below their header, in columns of equal width."""
    table = [_HEADER, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join(lines)


def write_phases_csv(folder: Path, cases: Sequence[Case], policy: str) -> None:
    """Writes phases.csv: which phase of which case was taken by what, and the scanner."""
    rows = [_cells(case, policy) for case in cases]
    write_csv(folder / PHASES_CSV, {name: [row[name] for row in rows] for name in rows[0]})


def _cells(case: Case, policy: str) -> dict[str, str]:
    assert case.selection.chosen is not None
    assert case.choice is not None
    phases, series = case.selection.phases, case.selection.chosen.first.series
    times = [f"{time:g}" for time in phases.times_s or ()]
    field_t = series.field_strength_t
    return {
        "case_id": case.identity.case_id,
        "patient_id": case.identity.patient_id,
        "num_phases": str(len(phases.slices)),
        "phase_tag": phases.tag,
        "times_tag": phases.times_tag,
        "times_s": ";".join(times),
        "policy": policy,
        "phases": ";".join(map(str, case.choice.phases)),
        "phases_s": ";".join(times[index] for index in case.choice.phases) if times else "",
        "reason": case.choice.reason,
        "scanner": series.scanner,
        "scale_slope": _scale_slope(case.selection.chosen),
        "field_strength_t": "" if field_t is None else f"{field_t:g}",
    }


def _scale_slope(stack: Stack) -> str:
    """Philips' private one of a stack; empty if absent."""
    slopes = {item.scale_slope for item in stack.slices}
    return ";".join(f"{slope:g}" for slope in sorted(slopes - {None}) if slope is not None)


def _described(stack: Stack) -> tuple[str, ...]:
    series = stack.first.series
    named = (_number(series), _description(series), stack.kind)
    if stack.phases is None:
        return (*named, "", f"{len(stack.slices)} slices", "", "")
    grid = grid_of(stack.phases.slices[0])
    return (
        *named,
        _view(stack),
        "x".join(map(str, grid.size)),
        " ".join(f"{length:.4g}" for length in grid.spacing_mm),
        _shown_phases(stack),
    )


def _number(series: Series) -> str:
    return series.number or "?"


def _description(series: Series) -> str:
    return shown_description(series.description, series.name_words)


def _view(stack: Stack) -> str:
    plane = stack.first.plane
    assert plane is not None
    return _VIEWS[int(np.argmax(abs(axes(plane)[2])))]


def _shown_phases(stack: Stack) -> str:
    phases = stack.phases
    assert phases is not None
    if not phases.tag:
        return "1"
    if phases.times_s is None:
        return f"{len(phases.slices)} by {phases.tag}, times unknown"
    times = ", ".join(f"{time:g}" for time in phases.times_s)
    by = phases.tag if phases.tag == phases.times_tag else f"{phases.tag}, {phases.times_tag}"
    return f"{len(phases.slices)} by {by}: {times} s"


def _shown_choice(choice: Choice | None) -> str:
    if choice is None:
        return "not decided"
    phases = ", ".join(map(str, choice.phases)) or "?"
    return f"phase {phases} ({choice.reason})"
