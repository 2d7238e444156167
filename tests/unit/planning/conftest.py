"""Centers for the tests of planning."""

import pytest

from nnmtl.cohort.group_geometry import GroupGeometry


@pytest.fixture(scope="session")
def make_center():
    return _make_center


def _make_center(name="A", num_cases=20, spacing=(1.0, 1.0, 1.0), shape=(128, 128, 128), **others):
    return GroupGeometry(
        name=name,
        num_cases=num_cases,
        spacing_mm=tuple(spacing),
        fine_spacing_mm=tuple(others.get("fine", spacing)),
        shape=tuple(shape),
        field_of_view_mm=tuple(n * mm for n, mm in zip(shape, spacing, strict=True)),
        tumor_extent_mm=others.get("extent"),
    )
