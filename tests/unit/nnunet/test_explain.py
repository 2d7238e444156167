"""A plan per center, from any cohort's geometry to its text."""

import argparse
import csv
import json
import math
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmtl.cli.arguments import preset_name
from nnmtl.cli.plan_experiment import main
from nnmtl.cohort.geometry_table import geometry_fingerprint
from nnmtl.cohort.group_geometry import CohortGeometry, GroupGeometry, cohort_geometry
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_plan import plan_cohort
from nnmtl.nnunet.explain import explain_table
from nnmtl.planning.budget import Budget
from nnmtl.planning.preset import load_preset
from nnmtl.planning.spacing import BAND

COLUMNS = (
    "case_id", "center", "spacing_z_mm", "spacing_y_mm", "spacing_x_mm", "shape_z", "shape_y",
    "shape_x", "tumor_extent_z_mm", "tumor_extent_y_mm", "tumor_extent_x_mm",
)  # fmt: skip
PRESET = load_preset("spatial_mtl+per_center")

triples = st.tuples(*[st.floats(0.3, 8.0)] * 3)
cases = st.tuples(triples, st.tuples(*[st.integers(16, 512)] * 3))
extents = st.tuples(*[st.floats(3.0, 150.0)] * 3)
centers = st.lists(st.tuples(cases, st.integers(1, 300)), min_size=1, max_size=12)


def group(name, num_cases, spacing, shape, extent=None):
    return GroupGeometry(
        name=name,
        num_cases=num_cases,
        spacing_mm=spacing,
        fine_spacing_mm=tuple(0.9 * mm for mm in spacing),
        shape=shape,
        field_of_view_mm=tuple(n * mm for n, mm in zip(shape, spacing, strict=True)),
        tumor_extent_mm=extent,
    )


def cohort(drawn, extent):
    groups = tuple(
        group(f"c{index}", count, *case, extent) for index, (case, count) in enumerate(drawn)
    )
    overall = group("overall", sum(count for _, count in drawn), *drawn[0][0], extent)
    return CohortGeometry(overall=overall, centers=groups)


def write_table(path, rows, columns=COLUMNS):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@settings(deadline=None, max_examples=100)
@given(centers, extents)
def test_any_plan_is_valid_by_strides_then_memory_then_view(drawn, extent):
    plan = plan_cohort(cohort(drawn, extent), PRESET)
    divisor, shared = plan.topology.divisor, plan.topology.spacing_mm
    for center in plan.centers:
        windows = (
            (center.patch, plan.topology.patch_size, plan.topology.max_patch_voxels),
            (center.roi, plan.roi.size, PRESET.training["max_roi_voxels"]),
        )
        for window, reference, budget in windows:
            assert not any(size % step for size, step in zip(window.size, divisor, strict=True))
            least = math.prod(2 * step for step in divisor)
            assert math.prod(window.size) <= max(budget, least)
            if window.limited_by:
                continue
            for axis in range(3):
                missing = window.size_mm[axis] - reference[axis] * shared[axis]
                assert abs(missing) <= divisor[axis] * center.spacing_mm[axis] * (1 + 1e-9)


@settings(deadline=None)
@given(centers, extents)
def test_any_planned_spacing_lies_in_the_band_and_any_limit_has_a_reason(drawn, extent):
    plan = plan_cohort(cohort(drawn, extent), PRESET)
    for center in plan.centers:
        for planned, shared in zip(center.spacing_mm, plan.topology.spacing_mm, strict=True):
            assert shared / BAND <= planned <= shared * BAND
        assert all(each.reason and each.otherwise for each in center.decisions)
        for window, decision in zip((center.patch, center.roi), center.decisions[1:], strict=False):
            assert ("less than" in decision.reason) == bool(window.limited_by)
        is_own = center.configuration != "3d_fullres"
        assert is_own == (center.spacing_mm != plan.topology.spacing_mm)
        assert not (is_own and center.geometry.num_cases < 5)


@settings(deadline=None)
@given(centers, st.randoms())
def test_the_order_of_centers_does_not_matter(drawn, random):
    geometry = cohort(drawn, (30.0, 30.0, 30.0))
    shuffled = CohortGeometry(
        overall=geometry.overall,
        centers=tuple(random.sample(geometry.centers, len(geometry.centers))),
    )
    assert plan_cohort(shuffled, PRESET) == plan_cohort(geometry, PRESET)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(cases, st.sampled_from("ABC")), min_size=1, max_size=30), st.randoms())
def test_the_order_of_cases_does_not_matter(tmp_path_factory, drawn, random):
    folder = tmp_path_factory.mktemp("tables")
    rows = [
        (f"case{index}", center, *spacing, *shape, "", "", "")
        for index, ((spacing, shape), center) in enumerate(drawn)
    ]
    one = write_table(folder / "t.csv", rows)
    first = explain_table(one, preset_name="spatial_mtl+per_center")
    write_table(one, random.sample(rows, len(rows)))
    assert explain_table(one, preset_name="spatial_mtl+per_center") == first


def test_one_center_has_nnunets_own_grid(tmp_path):
    rows = [(f"c{at}", "A", 2.5, 0.7, 0.7, 40 + at, 256, 256, 20, 25, 30) for at in range(9)]
    table = write_table(tmp_path / "t.csv", rows)
    text = explain_table(table, preset_name="spatial_mtl+per_center")
    assert "A: 9 cases, joins 3d_fullres" in text
    assert "(2.50 x 0.70 x 0.70 mm by" not in text
    assert text.count("times") == 0  # neither finer nor coarser than the pooled plan


def test_the_command_explains_a_table_without_a_dataset(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    rows = [
        (f"{center}{at}", center, spacing, 1, 1, 90, 90, 90, 20, 25, 30)
        for center, spacing in (("A", 1), ("B", 4))
        for at in range(6)
    ]
    path = write_table(tmp_path / "t.csv", rows)
    words = ["--preset", "tiny_cpu", "--spacing_policy", "per_center"]
    assert main(["--geometry", str(path), "--explain", *words]) == 0
    printed = capsys.readouterr().out
    assert "B: 6 cases, is planned as 3d_fullres_b" in printed
    assert "z  native 4.00 -> planned 2.80 mm" in printed


def test_images_of_one_slice_are_refused(tmp_path):
    path = write_table(tmp_path / "t.csv", [("a", "A", 1, 1, 1, 1, 90, 90, "", "", "")])
    with pytest.raises(NnmtlError, match="expected 3D images"):
        explain_table(path, preset_name="spatial_mtl+per_center")


def test_a_residual_network_is_refused_since_its_memory_is_not_estimated():
    preset = replace(PRESET, unet={"residual": True})
    with pytest.raises(NnmtlError, match="expected a preset with a plain U-Net"):
        plan_cohort(cohort([(((1.0,) * 3, (64,) * 3), 9)], None), preset)


@pytest.fixture
def planned_dataset(tmp_path, monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        (tmp_path / variable / "Dataset001_Breast").mkdir(parents=True)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    rows = [(f"A{at}", "A", 2, 1, 0.5, 90, 128, 256, 20, 25, 30) for at in range(6)]
    folder = tmp_path / "nnUNet_preprocessed" / "Dataset001_Breast"
    fingerprint = geometry_fingerprint(write_table(tmp_path / "t.csv", rows))
    (folder / "nnmtl_fingerprint.json").write_text(json.dumps(fingerprint))
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "tumor": 1}}')
    return folder


def test_a_planned_dataset_is_compared_with_the_plans_that_it_has(planned_dataset, capsys):
    grid = {"spacing": [0.5, 4.0, 1.0], "patch_size": [96, 16, 64]}
    plans = {"configurations": {"3d_fullres": grid}, "transpose_backward": [1, 2, 0]}
    path = planned_dataset / "nnMTLPlans.json"
    path.write_text(json.dumps(plans))
    assert main(["-d", "1", "--explain"]) == 0
    printed = capsys.readouterr().out
    assert (
        "z  native 2.00 -> planned 2.00 mm (as native; allowed 1.43 to 2.80), 2.00 times finer"
        in (printed)
    )
    assert "16 x 64 x 96 voxels on the pooled grid" in printed
    assert str(path) in printed
    assert json.loads(path.read_text()) == plans


def test_a_dataset_without_plans_says_which_file_is_missing(planned_dataset):
    with pytest.raises(NnmtlError, match=r"nnMTLPlans\.json, but it does not exist"):
        main(["-d", "1", "--explain"])


def test_plans_without_a_3d_grid_are_refused(planned_dataset):
    (planned_dataset / "nnMTLPlans.json").write_text('{"configurations": {"2d": {}}}')
    with pytest.raises(NnmtlError, match="expected the configuration 3d_fullres"):
        main(["-d", "1", "--explain"])


@pytest.mark.real_data
@pytest.mark.parametrize(("column", "num_centers"), [("dataset", 4), ("site", 26)])
def test_breast_mri_of_many_sites_is_planned_within_the_band(
    column, num_centers, real_data, tmp_path
):
    """1,506 patients of MAMA-MIA, sagittal and axial, as a reader that reorients sees them."""
    with (real_data / "mamamia" / "clinical_and_imaging_info.csv").open() as file:
        rows = [reoriented(row, column) for row in csv.DictReader(file)]
    path = write_table(tmp_path / "t.csv", rows, COLUMNS[:8])
    start = time.perf_counter()
    geometry = cohort_geometry(geometry_fingerprint(path), where=str(path))
    plan = plan_cohort(geometry, PRESET)
    explain_table(path, preset_name="spatial_mtl+per_center")
    assert time.perf_counter() - start < 10
    assert (geometry.overall.num_cases, len(plan.centers)) == (1506, num_centers)
    for center in plan.centers:
        for planned, shared in zip(center.spacing_mm, plan.topology.spacing_mm, strict=True):
            assert shared / BAND <= planned <= shared * BAND


def reoriented(row, column):
    """A row of our table: sagittal images have their slices from left to right, the last axis."""
    y, x = json.loads(row["pixel_spacing"])
    spacing = [float(row["slice_thickness"]), y, x]
    shape = [int(float(row[key])) for key in ("num_slices", "image_rows", "image_columns")]
    if row["view"] == "sagittal":
        spacing, shape = spacing[1:] + spacing[:1], shape[1:] + shape[:1]
    return row["patient_id"], row[column], *spacing, *shape


@pytest.mark.parametrize(("policy", "planned"), [("native", "4.00"), ("per_center", "1.40")])
def test_the_policy_that_is_asked_for_is_the_one_that_is_explained(
    tmp_path, capsys, policy, planned
):
    rows = [
        (f"{name}{at}", name, spacing, 1, 1, 64, 96, 96, "", "", "")
        for name, spacing, count in (("A", 1.0, 40), ("Far", 4.0, 6))
        for at in range(count)
    ]
    table = write_table(tmp_path / "t.csv", rows)
    main(["--geometry", str(table), "--preset", "tiny_cpu", "--spacing_policy", policy])
    assert f"native 4.00 -> planned {planned} mm" in capsys.readouterr().out


def test_a_policy_goes_before_the_biomarker_of_a_single_task():
    arguments = argparse.Namespace(preset="tiny_cpu+single_task:ER", spacing_policy="strict")
    assert preset_name(arguments) == "tiny_cpu+single_task+strict:ER"
    assert preset_name(argparse.Namespace(preset="tiny_cpu", spacing_policy=None)) == "tiny_cpu"


def test_a_budget_is_explained_with_what_would_be_otherwise(tmp_path, capsys):
    rows = [(f"c{at}", "A", 1, 1, 1, 200, 256, 256, 20, 25, 30) for at in range(9)]
    path = str(write_table(tmp_path / "t.csv", rows))
    main(["--geometry", path])
    usual = capsys.readouterr().out
    assert "Limits of the machine" not in usual
    main(["--geometry", path, "--device", "cpu", "--memory-gb", "4"])
    told = capsys.readouterr().out
    block = told.partition("Limits of the machine\n")[2]
    patch, otherwise = (part.split("patch of ")[1] for part in block.split("\n")[0].split("Other"))
    assert patch.split(",")[0] != otherwise.split(",")[0]
    assert otherwise.split(" voxels")[0] in usual
    assert "base_features 8: the work grows" in block
    assert "memory of 4 GB" in block


def test_less_memory_gives_a_smaller_patch_and_batch():
    geometry = cohort([(((1.0, 1.0, 1.0), (200, 256, 256)), 40)], (30.0, 30.0, 30.0))
    sizes = [
        math.prod(plan_cohort(geometry, PRESET, budget=Budget(memory_gb=gb)).topology.patch_size)
        for gb in (3, 8, 24)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    assert plan_cohort(geometry, PRESET, budget=Budget(memory_gb=8)) == plan_cohort(
        geometry, PRESET
    )
