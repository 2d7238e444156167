"""Finds how an image must be moved and turned to lie on another one of the same patient."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import SimpleITK

from nnmtl.dataset_conversion._image_grid import body_of, coarse

# Finds shifts of a tenth of this, in a time that does not depend on the image's resolution.
_WORKING_SPACING_MM = 2.0
# Wherever the best place is, the optimizer starts within its reach, half a step of this.
_SEARCH_SPACING_MM = 4.0
_SEARCH_MM = (-20.0, -10.0, 0.0, 10.0, 20.0)
_NUM_STARTS = 3
_BINS = 32
_SAMPLED_FRACTION = 0.5
_SEED = 1
_FINEST_STEP_MM = 0.005
_MOST_ITERATIONS = 80
# A patient who moved further between two images of one examination was positioned anew.
_MOST_MM = 20.0
_MOST_DEGREES = 10.0
# Where no part of the body moves by half a voxel, interpolating costs more than it gains.
_LEAST_VOXELS = 0.5


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What was found, and whether it is to be used.

    Attributes:
        transform: from points of the reference to those of the moved image, in mm.
        translation_mm: length of the way that the middle of the reference's image takes.
        rotation_degrees: about that point.
        before: normalized mutual information of both images as they are.
        after: and moved.
        refusal: why it is not to be used; empty if it is.
    """

    transform: Any
    translation_mm: float
    rotation_degrees: float
    before: float
    after: float
    refusal: str


def register(reference: Any, moving: Any) -> Registration:
    """The rigid motion that maximizes Mattes' mutual information in the body.

    Contrast may differ between the images. Equal input gives equal output: the sample of voxels
    has a fixed seed, and sums are made in one thread.

    Args:
        reference: a SimpleITK image that stays.
        moving: an image in the same patient's coordinates; they need not share a grid.

    Returns:
        A registration that is not to be used if it made the images less alike, if it moved more
        than a patient does, or nothing by half a voxel.
    """
    fixed, moved = coarse(reference, _WORKING_SPACING_MM), coarse(moving, _WORKING_SPACING_MM)
    body = body_of(fixed)
    identity = SimpleITK.Euler3DTransform()
    identity.SetCenter(_middle(fixed))
    found = [
        _optimized(fixed, moved, body, start) for start in _starts(reference, moving, identity)
    ]
    likeness = _likeness(fixed, moved, body)
    likenesses = np.nan_to_num([likeness(motion) for motion in found])
    transform, after = found[int(np.argmax(likenesses))], float(likenesses.max())
    before = likeness(identity)
    return Registration(
        transform=transform,
        translation_mm=float(np.linalg.norm(transform.GetTranslation())),
        rotation_degrees=_angle_degrees(transform),
        before=before,
        after=after,
        refusal=_refusal(transform, before, after, reference, body),
    )


def normalized_mutual_information(one: Any, other: Any) -> float:
    """(H(A) + H(B)) / H(A, B) of two arrays: 1 if they tell nothing of each other, 2 if all.

    Studholme et al., Pattern Recognition 1999;32:71-86. Undefined (nan) without two values each.
    """
    joint, _, _ = np.histogram2d(one.ravel(), other.ravel(), bins=_BINS)
    share = joint / joint.sum() if joint.sum() else joint
    entropy = _entropy(share)
    if entropy == 0:
        return float("nan")
    return (_entropy(share.sum(axis=0)) + _entropy(share.sum(axis=1))) / entropy


def _entropy(share: Any) -> float:
    present = share[share > 0]
    return float(-(present * np.log(present)).sum())


def _starts(reference: Any, moving: Any, identity: Any) -> list[Any]:
    """Where to begin: as the images are, and at the translations that make coarse ones alike."""
    fixed, moved = (coarse(image, _SEARCH_SPACING_MM) for image in (reference, moving))
    likeness = _likeness(fixed, moved, body_of(fixed))
    starts = []
    for translation_mm in product(_SEARCH_MM, repeat=3):
        start = SimpleITK.Euler3DTransform(identity)
        start.SetTranslation(translation_mm)
        starts.append((float(np.nan_to_num(likeness(start))), start))
    best = sorted(starts, key=lambda found: -found[0])[:_NUM_STARTS]
    return [SimpleITK.Euler3DTransform(identity), *(start for _, start in best)]


def _optimized(fixed: Any, moved: Any, body: Any, transform: Any) -> Any:
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricFixedMask(body)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED_FRACTION, _SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=_FINEST_STEP_MM, numberOfIterations=_MOST_ITERATIONS
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moved)
    except RuntimeError:  # the images do not overlap, on the way or from the start
        transform.SetIdentity()
    return transform


def _likeness(fixed: Any, moved: Any, body: Any) -> Callable[[Any], float]:
    """Normalized mutual information in the body after a motion, halfway between voxels.

    Interpolation smooths noise, which alone would make images more alike: here the reference is
    smoothed most, and an image that is not moved as much as it.
    """
    between = SimpleITK.Image(fixed.GetSize(), SimpleITK.sitkUInt8)
    between.CopyInformation(fixed)
    between.SetOrigin(fixed.TransformContinuousIndexToPhysicalPoint([0.5, 0.5, 0.5]))
    still, nowhere = SimpleITK.Transform(3, SimpleITK.sitkIdentity), float("nan")

    def values(image: Any, transform: Any, interpolator: int) -> Any:
        single = SimpleITK.Cast(image, SimpleITK.sitkFloat32)
        return SimpleITK.GetArrayFromImage(
            SimpleITK.Resample(single, between, transform, interpolator, nowhere)
        )

    reference = values(fixed, still, SimpleITK.sitkLinear)
    in_body = (values(body, still, SimpleITK.sitkNearestNeighbor) > 0) & np.isfinite(reference)

    def likeness(transform: Any) -> float:
        found = values(moved, transform, SimpleITK.sitkLinear)
        inside = in_body & np.isfinite(found)
        return normalized_mutual_information(reference[inside], found[inside])

    return likeness


def _middle(image: Any) -> tuple[float, ...]:
    middle = [(length - 1) / 2 for length in image.GetSize()]
    return tuple(image.TransformContinuousIndexToPhysicalPoint(middle))


def _angle_degrees(transform: Any) -> float:
    trace = float(np.trace(np.array(transform.GetMatrix()).reshape(3, 3)))
    return float(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))))


def _refusal(transform: Any, before: float, after: float, reference: Any, body: Any) -> str:
    translation_mm = float(np.linalg.norm(transform.GetTranslation()))
    angle = _angle_degrees(transform)
    if translation_mm > _MOST_MM or angle > _MOST_DEGREES:
        return f"more than {_MOST_MM:g} mm or {_MOST_DEGREES:g} degrees is not plausible"
    if not after > before:
        return "the images are no more alike"
    if _farthest_mm(transform, body) < _LEAST_VOXELS * min(reference.GetSpacing()):
        return "nothing moves by half a voxel"
    return ""


def _farthest_mm(transform: Any, body: Any) -> float:
    """How far a corner of the body's bounding box moves, at most."""
    where = np.argwhere(SimpleITK.GetArrayViewFromImage(body))[:, ::-1]
    if not len(where):
        return 0.0
    low, high = where.min(axis=0), where.max(axis=0)
    corners = [np.where(sides, high, low).tolist() for sides in np.ndindex(2, 2, 2)]
    points = [body.TransformIndexToPhysicalPoint(corner) for corner in corners]
    return max(float(np.linalg.norm(np.subtract(transform.TransformPoint(p), p))) for p in points)
