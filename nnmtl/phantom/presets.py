"""The phantom's presets: how strongly, and by what detour, the biomarkers show in the image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nnmtl.errors import NnmtlError
from nnmtl.phantom.labels import HOSPITAL


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One kind of cohort.

    Attributes:
        name: how users ask for it.
        strength: factor on the traits' dependence on the biomarkers.
        group_shares: per center the shares of labels.GROUPS, where they are not a hospital's.
        size_from_ktrans: correlation of the log tumor radius with the trait c_ktrans's noisy
            value. Size then differs between labels, yet adds nothing to the traits, so the
            bounds hold unchanged.
    """

    name: str
    strength: float
    group_shares: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    size_from_ktrans: float = 0.0

    def shares_at(self, center: str) -> tuple[float, ...]:
        """The shares of labels.GROUPS among the patients of a center."""
        return self.group_shares.get(center, HOSPITAL)


_ALL = (
    Preset(name="reference", strength=1.0),
    Preset(name="easy", strength=1.6),
    Preset(name="null", strength=0.0),
    # Who recognizes the center knows the prevalence there; at D the shortcut misleads.
    Preset(
        name="shortcut",
        strength=1.0,
        group_shares={
            "A": (0.85, 0.06, 0.03, 0.06),
            "B": (0.30, 0.20, 0.15, 0.35),
            "C": (0.30, 0.20, 0.15, 0.35),
        },
    ),
    Preset(name="size_confounded", strength=1.0, size_from_ktrans=0.8),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})


def preset_named(name: str) -> Preset:
    """The preset of this name.

    Raises:
        NnmtlError: if there is none.
    """
    if name not in PRESETS:
        raise NnmtlError(
            f"phantom: expected a preset among {', '.join(PRESETS)}, got {name!r}; choose one."
        )
    return PRESETS[name]
