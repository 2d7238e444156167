"""What decides the network's parameters or its forward pass: kept in the plans as plain JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from nnmtl.errors import NnmtlError

HeadKind = Literal["binary", "categorical", "ordinal", "continuous", "beta"]
Attention = Literal["multi_scale", "single_scale", "none"]
RegionMasking = Literal["pool", "input"]
Pooling = Literal["regions", "global"]


@dataclass(frozen=True, kw_only=True)
class RegionPlan:
    """A shell around the tumor: `inner_mm` <= signed distance < `outer_mm`; None is open."""

    name: str
    inner_mm: float | None
    outer_mm: float | None


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """One biomarker head.

    Attributes:
        name: the biomarker.
        kind: its kind; an ordinal one is a categorical biomarker with ordered categories, a beta
            one a continuous biomarker that is answered by a distribution over its range.
        num_outputs: 1 (binary, continuous), 2 (beta: mean and precision), the number of categories,
            or of steps between them.
        range: lowest and highest value of a continuous biomarker on which the head works on the
            logit scale, so that no prediction leaves it; None for the plain scale.
    """

    name: str
    kind: HeadKind
    num_outputs: int
    range: tuple[float, float] | None = None

    @property
    def num_answers(self) -> int:
        """How many numbers answer for a case: the value, the probability, or one per category."""
        return 1 if self.kind == "beta" else self.num_outputs + (self.kind == "ordinal")


@dataclass(frozen=True, kw_only=True)
class ArchitecturePlan:
    """The multi-task part of the network, as written to `architecture.arch_kwargs["multitask"]`.

    Attributes:
        spacing_mm: voxel size that the regions are measured in, in the array's axis order.
        tumor_labels: labels whose union is the tumor.
        regions: shells from which features are pooled.
        taps: encoder stages (0 = full resolution) that are pooled.
        region_masking: "pool" pools features of the whole view in the regions, as published;
            "input" blanks the image outside the regions before the heads' encoder sees it.
        shared_encoder: whether the heads read the segmentation's encoder or have one of their own.
        pooling: "regions" pools mean, spread and gated attention per region; "global" the mean of
            the whole view, which goes to the heads as it is.
        attention: spatial attention fused over the taps, on the deepest tap only, or none.
        token_mixer: whether a small Transformer mixes the tokens of regions and taps.
        self_attention: whether the encoder's deepest stage passes through self-attention.
        intensity: whether statistics of the input intensities feed the heads.
        num_centers: how many centers the measurements of an image are aligned between; under 2,
            they are not.
        descriptors: scalar descriptors of the tumor that feed the heads.
        covariates: names of the clinical covariates that feed the heads.
        heads: one per biomarker.
        width: length of the vector that one (region, tap) pair contributes.
        dropout: probability of dropping a pooled feature in training.
        region_dropout: probability of dropping all learned features of a region in training.
        softness_mm: width of the soft edge of a region.
        jitter_mm: standard deviation of the surface error simulated in training.
    """

    spacing_mm: tuple[float, ...]
    tumor_labels: tuple[int, ...]
    regions: tuple[RegionPlan, ...]
    taps: tuple[int, ...]
    region_masking: RegionMasking
    shared_encoder: bool
    pooling: Pooling
    attention: Attention
    token_mixer: bool
    self_attention: bool
    intensity: bool
    num_centers: int
    descriptors: tuple[str, ...]
    covariates: tuple[str, ...]
    heads: tuple[HeadPlan, ...]
    width: int
    dropout: float
    region_dropout: float
    softness_mm: float
    jitter_mm: float

    def __post_init__(self) -> None:
        """Refuses a mean of the whole view under the name of a region."""
        is_open = all(each.inner_mm is None and each.outer_mm is None for each in self.regions)
        if self.pooling == "global" and (len(self.regions) != 1 or not is_open or self.token_mixer):
            raise NnmtlError(
                'plans: with pooling "global" expected one region that is open on both sides and '
                f"no token_mixer, got the regions {[each.name for each in self.regions]} and "
                f'token_mixer {self.token_mixer}; correct them, or set pooling to "regions".'
            )


def architecture_to_json(plan: ArchitecturePlan) -> dict[str, Any]:
    """The plan as JSON-ready lists, numbers and strings."""
    return _plain(asdict(plan))


def parse_architecture(value: Mapping[str, Any]) -> ArchitecturePlan:
    """Reads `arch_kwargs["multitask"]`; raises `NnmtlError` on an unknown or a missing key."""
    refuse_other_keys(value, ArchitecturePlan, where='plans: arch_kwargs["multitask"]')
    parsed: dict[str, Any] = {
        key: tuple(item) if isinstance(item, list) else item for key, item in value.items()
    }
    parsed["regions"] = tuple(_parse_region(region) for region in value["regions"])
    parsed["heads"] = tuple(_parse_head(head) for head in value["heads"])
    return ArchitecturePlan(**parsed)


def _parse_region(value: Mapping[str, Any]) -> RegionPlan:
    refuse_other_keys(value, RegionPlan, where='plans: arch_kwargs["multitask"]["regions"]')
    return RegionPlan(**value)


def _parse_head(value: Mapping[str, Any]) -> HeadPlan:
    refuse_other_keys(value, HeadPlan, where='plans: arch_kwargs["multitask"]["heads"]')
    limits = value["range"]
    if value["kind"] == "beta" and (limits is None or value["num_outputs"] != 2):
        raise NnmtlError(
            f"plans: the head {value['name']!r} of kind 'beta': expected 2 outputs and a range "
            f"[lowest, highest], got {value['num_outputs']!r} and {limits!r}; correct the plans "
            "file, or plan the experiment again."
        )
    return HeadPlan(**{**value, "range": None if limits is None else tuple(limits)})


def refuse_other_keys(value: Mapping[str, Any], plan_class: type, *, where: str) -> None:
    """Raises `NnmtlError` unless the keys are exactly the fields of a plan's dataclass."""
    expected = {field.name for field in fields(plan_class)}
    unknown, missing = sorted(set(value) - expected), sorted(expected - set(value))
    if unknown or missing:
        raise NnmtlError(
            f"{where}: expected the keys {sorted(expected)}; unknown are {unknown}, missing are "
            f"{missing}. Correct the plans file or plan the experiment again."
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
