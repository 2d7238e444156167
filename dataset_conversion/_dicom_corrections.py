"""Brings the phases and sequences of a case onto its reference phase and evens their brightness."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from nnmtl.cohort.image_file import ImageHeader
from nnmtl.dataset_conversion._bias_field import BiasField, estimate_bias_field, variation
from nnmtl.dataset_conversion._image_grid import grid_of_image, is_same_grid, resampled, to_image
from nnmtl.dataset_conversion._image_step import ImageStep, middle_views
from nnmtl.dataset_conversion._rigid_registration import Registration, register
from nnmtl.errors import NnmtlError

Voxels = npt.NDArray[Any]
ReadPhase = Callable[[int], Voxels]
Record = Callable[[ImageStep], None]

_INFORMATION = "normalized mutual information"
_VARIATION = "coefficient of variation in the body"


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """What may be done to images; nothing of it unless it is asked for.

    Attributes:
        motion: register all phases to the reference phase.
        register: register all sequences to it.
        n4: divide by a bias field.
    """

    motion: bool
    register: bool
    n4: bool


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The phase that stays where it is, as masks do, and its grid."""

    phase: int
    grid: ImageHeader


def corrected_phases(
    read_phase: ReadPhase, reference: Reference, wanted: Corrections, record: Record
) -> ReadPhase:
    """Reads phases, corrected as wanted; each step is recorded once, when a phase is first read.

    All phases are divided by one bias field, that of the first phase, which no contrast agent has
    changed: ratios between phases stay what they are.
    """

    @cache
    def still(index: int) -> Voxels:
        voxels = read_phase(index)
        if not wanted.motion or index == reference.phase:
            return voxels
        return _without_motion(voxels, read_phase(reference.phase), index, reference, record)

    @cache
    def field() -> BiasField:
        return estimate_bias_field(to_image(still(0), reference.grid))

    @cache
    def corrected(index: int) -> Voxels:
        if not wanted.n4:
            return still(index)
        return _evened(still(index), field(), f"phase {index}", "phase 0", reference, record)

    return corrected


def corrected_sequence(
    image: Any,
    name: str,
    *,
    reference: Reference,
    reference_voxels: Voxels,
    wanted: Corrections,
    record: Record,
) -> Voxels:
    """The voxels of a sequence on the grid of the reference, corrected as wanted.

    Args:
        image: the sequence, a SimpleITK image.
        name: of the sequence.
        reference: phase and grid.
        reference_voxels: of the reference phase.
        wanted: which corrections.
        record: takes each step.

    Returns:
        The voxels as they are, if they lie on the reference's grid and need not be moved.

    Raises:
        NnmtlError: if no voxel of the sequence lies on the grid.
    """
    found = None
    if wanted.register:
        found = register(to_image(reference_voxels, reference.grid), image)
    still = SimpleITK.Transform(3, SimpleITK.sitkIdentity)
    is_moved = found is not None and not found.refusal
    if is_same_grid(grid_of_image(image), reference.grid):
        unmoved, outside = SimpleITK.GetArrayFromImage(image), float("nan")
    else:
        unmoved, outside = resampled(image, reference.grid, still)
    voxels = unmoved
    if is_moved:
        assert found is not None
        voxels, outside = resampled(image, reference.grid, found.transform)
    if outside == 1:
        raise NnmtlError(
            f"expected the sequence {name} where the image is, got it elsewhere; name another"
        )
    if found is not None:
        tried = voxels if is_moved else resampled(image, reference.grid, found.transform)[0]
        shown = reference_voxels, unmoved, tried
        record(_registered(found, name, "registration", outside, reference, shown))
    elif not np.isnan(outside):
        record(_resampled(name, outside, reference, reference_voxels, voxels))
    if not wanted.n4:
        return voxels
    field = estimate_bias_field(to_image(voxels, reference.grid))
    return _evened(voxels, field, name, name, reference, record)


def _without_motion(
    voxels: Voxels, still: Voxels, index: int, reference: Reference, record: Record
) -> Voxels:
    image = to_image(voxels, reference.grid)
    found = register(to_image(still, reference.grid), image)
    moved, outside = resampled(image, reference.grid, found.transform)
    outside = float("nan") if found.refusal else outside
    shown = still, voxels, moved
    record(_registered(found, f"phase {index}", "motion", outside, reference, shown))
    return voxels if found.refusal else moved


def _evened(
    voxels: Voxels,
    bias: BiasField,
    name: str,
    source: str,
    reference: Reference,
    record: Record,
) -> Voxels:
    evened: Voxels = (voxels / bias.field).astype(np.float32)
    if name == source or bias.refusal == "":
        record(_divided(voxels, evened, bias, name, source, reference))
    return voxels if bias.refusal else evened


def _registered(
    found: Registration,
    name: str,
    step: str,
    outside: float,
    reference: Reference,
    shown: tuple[Voxels, Voxels, Voxels],
) -> ImageStep:
    titles = (_name(reference), "before", "after")
    spacing_mm = reference.grid.spacing_mm
    return ImageStep(
        image=name,
        step=step,
        reference=_name(reference),
        measure=_INFORMATION,
        before=found.before,
        after=found.after,
        translation_mm=found.translation_mm,
        rotation_degrees=found.rotation_degrees,
        outside_fraction=outside,
        refusal=found.refusal,
        shown={
            title: middle_views(voxels, spacing_mm)
            for title, voxels in zip(titles, shown, strict=True)
        },
        is_checked=True,
    )


def _resampled(
    name: str, outside: float, reference: Reference, still: Voxels, voxels: Voxels
) -> ImageStep:
    spacing_mm = reference.grid.spacing_mm
    nowhere = float("nan")
    return ImageStep(
        image=name,
        step="resampling",
        reference=_name(reference),
        measure="",
        before=nowhere,
        after=nowhere,
        translation_mm=nowhere,
        rotation_degrees=nowhere,
        outside_fraction=outside,
        refusal="",
        shown={
            _name(reference): middle_views(still, spacing_mm),
            name: middle_views(voxels, spacing_mm),
        },
        is_checked=True,
    )


def _divided(
    voxels: Voxels, evened: Voxels, bias: BiasField, name: str, source: str, reference: Reference
) -> ImageStep:
    spacing_mm = reference.grid.spacing_mm
    nowhere = float("nan")
    title = f"field, {bias.field.min():.2f} to {bias.field.max():.2f}"
    shown = {"before": voxels, "after": evened, title: bias.field}
    return ImageStep(
        image=name,
        step="n4",
        reference=source,
        measure=_VARIATION,
        before=variation(voxels[bias.body]),
        after=variation(evened[bias.body]),
        translation_mm=nowhere,
        rotation_degrees=nowhere,
        outside_fraction=nowhere,
        refusal=bias.refusal,
        shown={title: middle_views(found, spacing_mm) for title, found in shown.items()},
        is_checked=False,
    )


def _name(reference: Reference) -> str:
    return f"phase {reference.phase}"
