"""The grids of a plans file: the configuration that all centers share, and some centers' own."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnmtl.planning.center_configuration import is_of_center, training_of_center
from nnmtl.planning.center_names import REFERENCE, center_slug
from nnmtl.planning.spacing import BAND
from nnmtl.planning.training import TrainingPlan, parse_training


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One configuration; every tuple is in the plans' axis order.

    Attributes:
        name: of the configuration.
        manager: nnU-Net's view of it.
        training: our section, a center's with what it takes from the shared one.
        native_mm: median voxel size of the images that it was planned for.
    """

    name: str
    manager: ConfigurationManager
    training: TrainingPlan
    native_mm: tuple[float, ...]

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size that its cases are resampled to."""
        return tuple(self.manager.spacing)

    @property
    def roi_size(self) -> tuple[int, ...]:
        """Voxels of the region of interest."""
        return self.training.roi_size


class Nearest(NamedTuple):
    """A grid for some image, and whether the image is like those that it was planned for."""

    grid: Grid
    is_near: bool


@dataclass(frozen=True, kw_only=True)
class Grids:
    """The shared grid and, by the center's slug, those of centers that have their own."""

    reference: Grid
    of_slug: Mapping[str, Grid] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Grid, ...]:
        """The shared one, then the centers' by slug."""
        return (self.reference, *(self.of_slug[slug] for slug in sorted(self.of_slug)))

    def of_center(self, center: str) -> Grid:
        """The grid of a center; the shared one of a center that has none."""
        if not self.of_slug:
            return self.reference
        return self.of_slug.get(center_slug(center), self.reference)

    def nearest(self, spacing_mm: Sequence[float]) -> Nearest:
        """The grid whose images have the most similar voxels.

        Voxel sizes differ by factors, so the distance is that of their logarithms. Where every
        grid is over 1.4 times finer or coarser on some axis, no center is like the image: then it
        is the shared grid. A model trained on one grid, with centers of any voxels, cannot tell.

        Args:
            spacing_mm: voxel size of the image, in the plans' axis order.
        """
        if not self.of_slug:
            return Nearest(self.reference, is_near=True)
        found = min(self.all, key=lambda grid: _distance(spacing_mm, grid.native_mm))
        is_near = all(
            abs(math.log(mm / native)) <= math.log(BAND) + 1e-9
            for mm, native in zip(spacing_mm, found.native_mm, strict=True)
        )
        if is_near:
            return Nearest(found, is_near=True)
        is_pooled = self.reference.training.spacing_policy == "pooled"
        return Nearest(self.reference, is_near=is_pooled)


def read_grids(
    plans: PlansManager, configuration: str, *, further: Mapping[str, Mapping[str, Any]] = {}
) -> Grids:
    """The grids of a configuration; only `3d_fullres` has more than one.

    Args:
        plans: checked before.
        configuration: `3d_fullres` or `2d`.
        further: slug → configuration of centers that were planned after the training; they go
            before the plans' own.

    Raises:
        NnmtlError: on an unknown or a missing key of our section.
    """
    manager = plans.get_configuration(configuration)
    shared = manager.configuration["nnmtl"]
    reference = Grid(
        name=configuration,
        manager=manager,
        training=parse_training(shared),
        native_mm=tuple(manager.spacing),
    )
    if configuration != REFERENCE:
        return Grids(reference=reference)
    own = dict(further)
    if reference.training.spacing_policy != "pooled":
        own = {**_centers(plans.plans["configurations"]), **further}
    return Grids(
        reference=reference,
        of_slug={slug: _grid(slug, own[slug], manager.configuration) for slug in sorted(own)},
    )


def grids_of(plans: dict[str, Any], configuration: str) -> Grids:
    """As `read_grids`, of a plans file's content."""
    return read_grids(PlansManager(plans), configuration)


def _centers(configurations: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Slug → configuration."""
    return {
        name.removeprefix(f"{REFERENCE}_"): configuration
        for name, configuration in configurations.items()
        if is_of_center(name, configuration)
    }


def _grid(slug: str, own: Mapping[str, Any], shared: Mapping[str, Any]) -> Grid:
    section = own.get("nnmtl", {})
    whole = {**shared, **own}
    return Grid(
        name=f"{REFERENCE}_{slug}",
        manager=ConfigurationManager(whole),
        training=training_of_center(shared["nnmtl"], section),
        native_mm=tuple(section.get("native_spacing_mm", whole["spacing"])),
    )


def _distance(spacing_mm: Iterable[float], other_mm: Iterable[float]) -> float:
    return math.hypot(*(math.log(a / b) for a, b in zip(spacing_mm, other_mm, strict=True)))
