"""Draws a dataset's plan over one case of each center."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnmtl.cohort.case_geometry import triple
from nnmtl.cohort.targets import TargetTable, read_targets
from nnmtl.nnunet.cohort_files import TARGETS, read_declaration, read_json
from nnmtl.nnunet.cohort_plan import in_array_order
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.grids import Grid, grids_of
from nnmtl.nnunet.image_facts import read_first_channel, training_files
from nnmtl.planning.center_names import REFERENCE
from nnmtl.planning.center_plan import Window
from nnmtl.planning.preset import plans_name
from nnmtl.planning.view import size_mm
from nnmtl.report.plan_figure import CenterImage, CenterView, draw_plan
from nnmtl.report.style import png_bytes
from nnmtl.whole_file import write_whole


def draw_planned(name: str, *, preset_name: str) -> Path | None:
    """Writes `<plans>.png` beside the plans, and returns it; None where there are no images.

    Drawn is what the plans file says: a center's own grid where it has one, else the shared one.

    Args:
        name: dataset name, planned.
        preset_name: of the plans.
    """
    raw, preprocessed = raw_folder(name), preprocessed_folder(name)
    if not (raw / "imagesTr").is_dir():
        return None
    declaration = read_declaration(raw)
    if declaration is None:
        return None
    files = training_files(raw)
    first = _first_cases(read_targets(preprocessed / TARGETS, declaration), files)
    if not first:
        return None
    plans = read_json(preprocessed / f"{plans_name(preset_name)}.json")
    grids = grids_of(plans, REFERENCE)
    images = []
    for center in sorted(first):
        image, mask, spacing_mm = read_first_channel(
            files[first[center]], plans, tumor_labels=declaration.tumor_labels
        )
        view = _view(center, grids.of_center(center), plans["transpose_backward"])
        images.append(CenterImage(view=view, image=image, mask=mask, spacing_mm=spacing_mm))
    path = preprocessed / f"{plans_name(preset_name)}.png"
    write_whole(path, png_bytes(draw_plan(images, is_phantom=declaration.synthetic is not None)))
    return path


def _first_cases(table: TargetTable, files: Mapping[str, Any]) -> dict[str, str]:
    """Center → its first case in the table that has images."""
    cases = list(zip(table.case_ids, table.centers, strict=True))
    return {center: case_id for case_id, center in reversed(cases) if case_id in files}


def _view(center: str, grid: Grid, transpose_backward: Sequence[int]) -> CenterView:
    spacing = triple(in_array_order(grid.spacing_mm, transpose_backward))
    patch = in_array_order(grid.manager.patch_size, transpose_backward)
    roi = in_array_order(grid.roi_size, transpose_backward)
    return CenterView(
        center=center,
        spacing_mm=spacing,
        patch=Window(size=patch, size_mm=size_mm(patch, spacing)),
        roi=Window(size=roi, size_mm=size_mm(roi, spacing)),
    )
