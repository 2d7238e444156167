"""Everything above the shared encoder: attention, region pooling, statistics and heads."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nnmtl.network.alignment import CenterAlignment
from nnmtl.network.attention import MultiScaleAttention
from nnmtl.network.heads import BiomarkerHead
from nnmtl.network.intensity import IntensityStatistics, RunningStandardizer
from nnmtl.network.mixing import TokenMixer
from nnmtl.network.pooling import RegionPooling, resize_weights
from nnmtl.network.region_dropout import RegionDropout
from nnmtl.network.structures import StructureStatistics
from nnmtl.planning.architecture import ArchitecturePlan


class StageTokens(nn.Module):
    """One encoder stage → per region one short learned vector, and mean and spread as they are."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.pooling = RegionPooling(channels)
        self.project = nn.Sequential(
            nn.LayerNorm(self.pooling.num_features),
            nn.Linear(self.pooling.num_features, width),
            nn.GELU(),
        )

    def forward(self, features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, *spatial), region weights (B, R, *fine) → (B, R, width) and (B, R, 2C)."""
        coarse = resize_weights(weights, tuple(features.shape[2:]))
        pooled = self.pooling(features.float(), coarse)
        return self.project(pooled), pooled[..., : 2 * features.shape[1]]


class StageMean(nn.Module):
    """One encoder stage → the mean over the whole view, under the name of its only region."""

    def forward(self, features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, *spatial), region weights (B, 1, *fine) → (B, 1, C) and (B, 1, 0)."""
        mean = features.float().flatten(2).mean(2)[:, None]
        return mean, mean[..., :0]


class BiomarkerTower(nn.Module):
    """Region features of several stages and scalar statistics → one output per biomarker."""

    def __init__(
        self, plan: ArchitecturePlan, *, stage_channels: Sequence[int], input_channels: int
    ) -> None:
        """Builds the tower.

        Args:
            plan: taps, regions, heads and widths.
            stage_channels: number of feature channels of every encoder stage.
            input_channels: number of image channels.
        """
        super().__init__()
        self.taps = plan.taps
        num_regions = len(plan.regions)
        self.attention = _attention(plan, dimension=len(plan.spacing_mm))
        is_global = plan.pooling == "global"
        self.stages = nn.ModuleList(
            StageMean() if is_global else StageTokens(stage_channels[tap], plan.width)
            for tap in plan.taps
        )
        self.region_dropout = RegionDropout(plan.region_dropout)
        self.mixer = (
            TokenMixer(num_regions=num_regions, num_stages=len(plan.taps), width=plan.width)
            if plan.token_mixer
            else None
        )
        shells = [plan.regions[number] for number in shell_numbers(plan)]
        self.intensity = (
            IntensityStatistics(input_channels, len(shells)) if plan.intensity else None
        )
        self.structures = StructureStatistics(input_channels, shells) if plan.intensity else None
        num_statistics = len(plan.descriptors) + len(plan.covariates)
        num_channels = sum(stage_channels[tap] for tap in plan.taps)
        num_pooled = 0 if is_global else 2 * num_channels * num_regions
        self.num_of_image = 0
        if self.intensity is not None and self.structures is not None:
            self.num_of_image = self.intensity.num_features + self.structures.num_features
        num_statistics += self.num_of_image
        self.num_statistics = num_statistics  # the covariates are the last of them
        self.num_covariates = len(plan.covariates)
        self.standardize = RunningStandardizer(num_statistics + num_pooled)
        # The tumor's volume and clinical covariates do not depend on the scanner.
        num_aligned = self.num_of_image + num_pooled
        has_centers = plan.num_centers > 1 and num_aligned > 0
        self.alignment = CenterAlignment(num_aligned, plan.num_centers) if has_centers else None
        self.heads = nn.ModuleDict(
            {
                head.name: BiomarkerHead(
                    num_outputs=head.num_outputs,
                    num_regions=num_regions,
                    region_features=num_channels if is_global else plan.width * len(plan.taps),
                    scalars=2 * num_statistics + num_pooled,
                    dropout=plan.dropout,
                    is_beta=head.kind == "beta",
                )
                for head in plan.heads
            }
        )

    def forward(
        self, skips: Sequence[Tensor], weights: Tensor, statistics: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Encoder stages, region weights (B, R, *fine), raw statistics (B, F) → head outputs.

        Also returns what the linear part sees, before it is standardized: the statistics, then
        mean and spread of the tapped stages per region.
        """
        tapped = self._attend([skips[tap].float() for tap in self.taps])
        stages = zip(self.stages, tapped, strict=True)
        answers = [stage(feature, weights) for stage, feature in stages]
        regions = self._mix([token for token, _ in answers])
        measured = torch.cat([statistics, *(pooled.flatten(1) for _, pooled in answers)], dim=1)
        scalars = self.scalars(measured)
        return {name: head(regions, scalars) for name, head in self.heads.items()}, measured

    def head(self, name: str) -> BiomarkerHead:
        """The head of one biomarker."""
        return cast(BiomarkerHead, self.heads[name])

    def scalars(self, measured: Tensor) -> Tensor:
        """What is measured, nan for missing → standardized, then the missing indicators."""
        missing = torch.isnan(measured)
        standardized = self.standardize(torch.where(missing, 0.0, measured))
        if self.alignment is not None:
            aligned = self.alignment(self._of_image(standardized))
            of_image, of_tumor, pooled = self._parts(standardized)
            of_image, pooled = aligned.split([of_image.shape[1], pooled.shape[1]], dim=1)
            standardized = torch.cat([of_image, of_tumor, pooled], dim=1)
        standardized = torch.where(missing, 0.0, standardized)
        return torch.cat([standardized, missing[:, : self.num_statistics].float()], dim=1)

    @torch.no_grad()
    def fit_scale(self, measured: Tensor, centers: Sequence[str], patients: Sequence[str]) -> None:
        """Fits standardization and alignment on what is measured (N, F) of training cases.

        Args:
            measured: nan where missing.
            centers: (N,) of each row.
            patients: (N,) of each row.
        """
        self.standardize.fit(measured)
        if self.alignment is not None:
            standardized = self.standardize(torch.nan_to_num(measured))
            self.alignment.fit(self._of_image(standardized), centers, patients)

    def _parts(self, values: Tensor) -> tuple[Tensor, ...]:
        """Of the image, of tumor and patient, pooled features."""
        return values.tensor_split([self.num_of_image, self.num_statistics], dim=1)

    def _of_image(self, values: Tensor) -> Tensor:
        of_image, _, pooled = self._parts(values)
        return torch.cat([of_image, pooled], dim=1)

    def _mix(self, tokens: list[Tensor]) -> Tensor:
        """Tokens (B, R, width) of every tap → (B, R, D)."""
        if self.mixer is None:
            return self.region_dropout(torch.cat(tokens, dim=2))
        return self.mixer(self.region_dropout(torch.stack(tokens, dim=2))).flatten(2)

    def _attend(self, tapped: list[Tensor]) -> list[Tensor]:
        if self.attention is None:
            return tapped
        if len(self.attention.stages) == len(tapped):
            return self.attention(tapped)
        return [*tapped[:-1], *self.attention(tapped[-1:])]


def shell_numbers(plan: ArchitecturePlan) -> list[int]:
    """The regions that end somewhere; an open one, the whole view, has no intensities."""
    return [
        number
        for number, region in enumerate(plan.regions)
        if region.inner_mm is not None or region.outer_mm is not None
    ]


def _attention(plan: ArchitecturePlan, *, dimension: int) -> MultiScaleAttention | None:
    if plan.attention == "none":
        return None
    num_stages = len(plan.taps) if plan.attention == "multi_scale" else 1
    return MultiScaleAttention(num_stages, dimension=dimension)
