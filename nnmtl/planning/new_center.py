"""How a new center's images differ from those a model was trained on, and what that means."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from nnmtl.cohort.appearance import AppearanceSpace
from nnmtl.cohort.case_intensity import FloatArray
from nnmtl.cohort.center_facts import CenterFacts
from nnmtl.cohort.group_geometry import Axes, GroupGeometry
from nnmtl.planning.center_reasons import AXES, by
from nnmtl.planning.centers import MIN_CASES
from nnmtl.planning.spacing import BAND, SAME_GRID

Level = Literal["as in training", "at the edge", "outside training"]
LEVELS: tuple[Level, ...] = ("as in training", "at the edge", "outside training")
# With so many images beyond, the center is a mixture, whatever its median says.
MANY_BEYOND = 0.25
# Logs of factors. A tenth more or less in view is a choice made for the single patient.
_SPACING_LIMITS = (math.log(1 + SAME_GRID), math.log(BAND))
_VIEW_LIMITS = (math.log(1.1), math.log(BAND))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing in which images can differ from training.

    Attributes:
        item: `spacing`, `field of view`, `orientation`, `intensity` or `images`.
        level: how far.
        distance: log of the factor beyond the training range; for the intensity the median
            distance of the images to the nearest training center; None where there is no number.
        limits: up to where a distance is as in training, and at the edge; None without a distance.
        here: of the new images, in words.
        training: of the training images, in words.
        sentence: the verdict.
    """

    item: str
    level: Level
    distance: float | None
    limits: tuple[float, float] | None
    here: str
    training: str
    sentence: str


def differences(
    center: GroupGeometry,
    appearances: FloatArray,
    facts: CenterFacts,
    *,
    orientations: Mapping[str, int],
    reorients: bool,
) -> tuple[Difference, ...]:
    """Compares a new center with those of training, from its images alone.

    Args:
        center: geometry of its images.
        appearances: (M, P) of its images.
        facts: of the training images.
        orientations: stored orientation → new images.
        reorients: whether the model's reader turns all images to one orientation.
    """
    return (
        _number(center.num_cases),
        _spacing(center.spacing_mm, facts.spacing_range_mm),
        _view(center.field_of_view_mm, facts.view_range_mm),
        _orientation(orientations, facts.orientations, reorients=reorients),
        _intensity(appearances, facts.appearance),
    )


def verdict(found: Sequence[Difference], *, center: str) -> str:
    """One sentence on all differences together."""
    worst = max((LEVELS.index(each.level) for each in found), default=0)
    items = " and ".join(each.item for each in found if LEVELS.index(each.level) == worst)
    if worst == 0:
        return (
            f"The images of {center} are like those of training; still check the model on cases of "
            f"{center} with known results before use."
        )
    if worst == 1:
        return (
            f"The images of {center} differ from training ({items}), though no more than training "
            "prepares for; check the model on cases with known results before use."
        )
    return (
        f"The images of {center} are outside of what the model was trained on ({items}): do not "
        "rely on its results there before they are checked on cases with known results."
    )


def _number(num_images: int) -> Difference:
    enough = num_images >= MIN_CASES
    return Difference(
        item="images",
        level="as in training" if enough else "at the edge",
        distance=None,
        limits=None,
        here=str(num_images),
        training=f"at least {MIN_CASES}",
        sentence="There are enough images to know the center by."
        if enough
        else f"{num_images} are fewer than {MIN_CASES}, too few to know a center by.",
    )


def _spacing(here: Axes, known: Sequence[tuple[float, float]]) -> Difference:
    found = _beyond(here, known, _SPACING_LIMITS)
    told = f"Voxels of {by([found.mm])} mm along {found.axis} are {found.factor} than"
    sentence = {
        "as in training": "The voxels are as large as in training.",
        "at the edge": f"{told} in training, within what its random zoom covers.",
        "outside training": f"{told} any in training: "
        + ("small detail is lost." if found.is_larger else "noise and detail look different."),
    }[found.level]
    return _of_axes("spacing", here, known, found, sentence, digits=2)


def _view(here: Axes, known: Sequence[tuple[float, float]]) -> Difference:
    found = _beyond(here, known, _VIEW_LIMITS)
    told = (
        f"The {by([found.mm], digits=0)} mm in view along {found.axis} are {found.factor} than in "
        "training"
    )
    what = "tissue that training never showed" if found.is_larger else "surroundings are missing"
    sentence = {
        "as in training": "The images show as much of the body as in training.",
        "at the edge": f"{told}, which patches of the same size hardly notice.",
        "outside training": f"{told}: {what}.",
    }[found.level]
    return _of_axes("field of view", here, known, found, sentence, digits=0)


class _Beyond(NamedTuple):
    """How far lengths are outside their ranges, along the axis where they are farthest."""

    level: Level
    distance: float  # log of the factor
    limits: tuple[float, float]
    axis: str
    mm: float
    is_larger: bool

    @property
    def factor(self) -> str:
        return f"{math.exp(self.distance):.2f} times {'larger' if self.is_larger else 'smaller'}"


def _beyond(
    here: Axes, known: Sequence[tuple[float, float]], limits: tuple[float, float]
) -> _Beyond:
    ratios = [
        max(value / high, low / value, 1.0) for value, (low, high) in zip(here, known, strict=True)
    ]
    axis = max(range(len(ratios)), key=ratios.__getitem__)
    distance = math.log(ratios[axis])
    return _Beyond(
        level=_level(distance, limits),
        distance=distance,
        limits=limits,
        axis=AXES[axis],
        mm=here[axis],
        is_larger=here[axis] > known[axis][1],
    )


def _of_axes(
    item: str,
    here: Axes,
    known: Sequence[tuple[float, float]],
    found: _Beyond,
    sentence: str,
    *,
    digits: int,
) -> Difference:
    return Difference(
        item=item,
        level=found.level,
        distance=found.distance,
        limits=found.limits,
        here=f"{by(here, digits=digits)} mm",
        training=_ranges(known, digits=digits),
        sentence=sentence,
    )


def _level(distance: float, limits: tuple[float, float]) -> Level:
    return LEVELS[sum(distance > limit for limit in limits)]


def _ranges(known: Sequence[tuple[float, float]], *, digits: int) -> str:
    told = ", ".join(f"{low:.{digits}f} to {high:.{digits}f}" for low, high in known)
    return f"{told} mm"


def _orientation(
    here: Mapping[str, int], known: Mapping[str, int], *, reorients: bool
) -> Difference:
    strange = sorted(set(here) - set(known))
    is_fine = reorients or not strange
    if not strange:
        sentence = "The axes are stored as in training."
    elif reorients:
        sentence = "Axes are stored otherwise than in training and turned when images are read."
    else:
        usual = max(known, key=lambda name: known[name], default="another way")
        sentence = (
            f"Axes are stored as {', '.join(strange)}, and this model does not turn them: store "
            f"the images as {usual}."
        )
    return Difference(
        item="orientation",
        level="as in training" if is_fine else "outside training",
        distance=None,
        limits=None,
        here=", ".join(sorted(here)),
        training=", ".join(sorted(known)),
        sentence=sentence,
    )


def _intensity(appearances: FloatArray, space: AppearanceSpace | None) -> Difference:
    if space is None:
        return Difference(
            item="intensity",
            level="at the edge",
            distance=None,
            limits=None,
            here="measured",
            training="unknown",
            sentence="Training had too few images to tell whether these look alike.",
        )
    to_each = space.distances(appearances)
    nearest = to_each.min(axis=1)
    distance, num_beyond = float(np.median(nearest)), int((nearest > space.threshold).sum())
    limits = (space.threshold, max(space.threshold, space.between or 0.0))
    level = _level(distance, limits)
    if level == "as in training" and num_beyond > MANY_BEYOND * len(nearest):
        level = "at the edge"
    like = space.centers[int(np.median(to_each, axis=0).argmin())]
    beyond = f"{num_beyond} of {len(nearest)} images are unlike those of training"
    sentence = {
        "as in training": f"Gray values are distributed as in training, most like {like}.",
        "at the edge": f"{beyond}, though no more than training centers are unlike each other.",
        "outside training": f"{beyond}, even the nearest center, {like}: another sequence, "
        "contrast agent or fat suppression?",
    }[level]
    return Difference(
        item="intensity",
        level=level,
        distance=distance,
        limits=limits,
        here=f"distance {distance:.2f}",
        training=f"95 % within {space.threshold:.2f}"
        + ("" if space.between is None else f", centers up to {space.between:.2f} apart"),
        sentence=sentence,
    )
