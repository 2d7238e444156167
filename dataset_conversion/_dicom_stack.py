"""Groups the slices of a series into stacks: images of one kind in one view."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nnmtl.dataset_conversion._dicom_geometry import is_same_view
from nnmtl.dataset_conversion._dicom_phases import Phases, split_phases
from nnmtl.dataset_conversion._dicom_slice import Slice
from nnmtl.errors import NnmtlError

ECHO_PLANAR = "echo planar"

# What tells images of one view and sequence apart: field of a slice and tag.
KINDS = {
    "frame_of_reference": "FrameOfReferenceUID",
    "image_type": "ImageType",
    "echo_time_ms": "EchoTime",
    "b_value": "DiffusionBValue",
}


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Slices of one view and kind, in one or more phases.

    Attributes:
        slices: unordered.
        phases: them in order; None if they cannot be used.
        problem: why not, as a clause; empty if they can.
    """

    slices: tuple[Slice, ...]
    phases: Phases | None
    problem: str

    @property
    def first(self) -> Slice:
        """Any slice, for what all have in common."""
        return self.slices[0]

    @property
    def num_phases(self) -> int:
        """0 if the stack cannot be used."""
        return len(self.phases.slices) if self.phases else 0

    @property
    def is_derived(self) -> bool:
        """Whether it was computed from other images: a map, a projection, a subtraction."""
        return "DERIVED" in (self.first.image_type or ())

    @property
    def is_echo_planar(self) -> bool:
        """Whether it is diffusion or perfusion imaging, whose volumes are no phases."""
        return "EP" in self.first.protocol[0].split("\\")

    @property
    def is_localizer(self) -> bool:
        """Whether it is there to plan the others."""
        return any("LOCALIZER" in kind.upper() for kind in self.first.image_type or ())

    @property
    def no_image(self) -> str:
        """Why it is no image to learn from, in a few words; empty if it may be one."""
        reasons = {
            "color": not self.first.is_gray,
            "secondary capture": self.first.series.is_capture,
            "localizer": self.is_localizer,
            "derived": self.is_derived,
            ECHO_PLANAR: self.is_echo_planar,
        }
        return next((name for name, holds in reasons.items() if holds), "")

    @property
    def kind(self) -> str:
        """The type of image as the files have it."""
        return "\\".join(self.first.image_type or ())


def stacks_of_series(series: Sequence[Slice]) -> list[Stack]:
    """The stacks in the slices of one series.

    Slices belong together if frame of reference, view, type of image, echo time and b-value are
    the same; where some lack one of these tags, the others' value is theirs too.
    """
    completed, doubtful = _with_common_tags(series)
    groups: dict[tuple[object, ...], list[list[Slice]]] = defaultdict(list)
    for item in completed:
        views = groups[(item.frame_of_reference, item.image_type, item.echo_time_ms, item.b_value)]
        same = next((view for view in views if has_same_view(view[0], item)), None)
        if same is None:
            views.append([item])
        else:
            same.append(item)
    stacks = [view for views in groups.values() for view in views]
    problem = doubtful or _problem_of_mixture(stacks)
    made = [make_stack(view, problem or _problem_of_values(view)) for view in stacks]
    return _with_problem_of_sizes(made)


def _with_common_tags(series: Sequence[Slice]) -> tuple[list[Slice], str]:
    """The slices, each tag that some lack set to the one value that the others have.

    Returns:
        The slices, and a problem where the others have several values.
    """
    filled = list(series)
    for name, keyword in KINDS.items():
        values = {getattr(item, name) for item in series}
        known = values - {None}
        if None in values and len(known) > 1:
            return list(series), f"expected {keyword} in every slice, got it in some; export again"
        if None in values and known:
            (value,) = known
            filled = [replace(item, **{name: value}) for item in filled]
    return filled, ""


def _problem_of_mixture(stacks: Sequence[Sequence[Slice]]) -> str:
    """Why the stacks of one series cannot be images of their own; empty if they can."""
    if len({stack[0].frame_of_reference for stack in stacks}) > 1:
        return "expected one FrameOfReferenceUID in a series, got several; export it again"
    by_type: dict[object, int] = defaultdict(int)
    for stack in stacks:
        first = stack[0]
        by_type[(first.image_type, first.echo_time_ms, first.b_value)] += 1
    if max(by_type.values()) > 1:
        return (
            "expected one orientation, spacing and shape in a series, got "
            f"{max(by_type.values())} in {sum(map(len, stacks))} slices; export each view as a "
            "series"
        )
    return ""


def _problem_of_values(slices: Sequence[Slice]) -> str:
    """Why stored numbers cannot be made values; empty if they can."""
    if not slices[0].is_gray:
        return "expected one number in a voxel, got colors; choose another series"
    if any(item.is_inverted for item in slices):
        return (
            "expected higher numbers where it is brighter (MONOCHROME2), got MONOCHROME1; export "
            "the series again"
        )
    rescales = {item.rescale for item in slices}
    if any((slope is None) != (intercept is None) for slope, intercept in rescales):
        return "expected RescaleSlope and RescaleIntercept together, got one of them; export again"
    if (None, None) in rescales and rescales - {(None, None), (1, 0)}:
        return "expected RescaleSlope in every slice, got it in some; export again"
    return ""


def _with_problem_of_sizes(stacks: Sequence[Stack]) -> list[Stack]:
    """The echoes or b-values of a series cover the same slices; else a tag of some is wrong."""
    sizes: dict[object, set[int]] = defaultdict(set)
    for stack in stacks:
        if stack.phases:
            sizes[stack.first.image_type].add(len(stack.phases.slices[0]))
    problem = "expected as many slices of every EchoTime and b-value in a series, got different"
    return [
        replace(stack, phases=None, problem=f"{problem} counts; export it again")
        if len(sizes[stack.first.image_type]) > 1
        else stack
        for stack in stacks
    ]


def has_same_view(one: Slice, other: Slice) -> bool:
    """Whether directions, spacing and shape are the same, as far as the tags tell."""
    if one.plane is None or other.plane is None:
        return True  # so that the slice without position makes its stack unusable
    return is_same_view(one.plane, other.plane)


def make_stack(slices: Sequence[Slice], problem: str = "") -> Stack:
    """The stack of some slices; a reason not to use it may be known already."""
    phases = None
    if not problem:
        try:
            phases = split_phases(slices)
        except NnmtlError as error:
            problem = str(error)
    return Stack(slices=tuple(slices), phases=phases, problem=problem)
