"""A U-Net that also predicts biomarkers from the region around the tumor."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nnmtl.network.masking import keep_only
from nnmtl.network.output import MultiTaskOutput
from nnmtl.network.tower import BiomarkerTower, shell_numbers
from nnmtl.planning.architecture import ArchitecturePlan, RegionPlan
from nnmtl.regions.body import body_mask
from nnmtl.regions.distance import signed_distance_mm
from nnmtl.regions.jitter import jitter_distance
from nnmtl.regions.lesion import largest_lesion
from nnmtl.regions.weights import Region, reference_weights, region_weights

REFERENCE_MM = 12.0  # tissue farther than this from the tumor serves as intensity reference


class HeadInput(NamedTuple):
    """What the heads get of a batch besides encoder stages; none of it is learned.

    Attributes:
        seen: images (B, C, *spatial), or what of them the heads may see.
        weights: of the regions (B, R, *spatial).
        statistics: (B, F), raw.
    """

    seen: Tensor
    weights: Tensor
    statistics: Tensor


class MultiTaskUNet(nn.Module):
    """An encoder and a decoder handed in, plus a tower of heads on the encoder.

    `forward(x)` is the segmentation network and nothing else, so that nnU-Net's own trainer and
    predictor can use it; biomarkers come only on request.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        tower: BiomarkerTower,
        plan: ArchitecturePlan,
        head_encoder: nn.Module | None = None,
        bottleneck: nn.Module | None = None,
    ) -> None:
        """Takes the parts.

        With a `head_encoder` the heads read it instead of the encoder; with a `bottleneck` the
        encoder's deepest stage passes through it.
        """
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head_encoder = head_encoder
        self.bottleneck = bottleneck
        self.tower = tower
        self.plan = plan
        self.regions = [_region(region) for region in plan.regions]
        self.shells = shell_numbers(plan)

    def forward(
        self,
        x: Tensor,
        *,
        with_biomarkers: bool = False,
        mask: Tensor | None = None,
        mask_given: Tensor | None = None,
        covariates: Tensor | None = None,
        spacing_mm: tuple[float, ...] | None = None,
        encoder_gradient: float = 1.0,
        train_decoder: bool = True,
    ) -> Tensor | list[Tensor] | MultiTaskOutput:
        """Segments, and predicts biomarkers if asked.

        Args:
            x: images (B, C, *spatial); for biomarkers a region of interest around the tumor.
            with_biomarkers: whether to return a `MultiTaskOutput`.
            mask: tumor masks (B, *spatial) that the regions are made from; None uses the
                network's own segmentation.
            mask_given: (B,) boolean, False where the own segmentation replaces `mask`.
            covariates: (B, K) clinical covariates, nan where missing.
            spacing_mm: voxel size of this batch; None is the planned one.
            encoder_gradient: factor on the gradient that the heads send into the encoder.
            train_decoder: whether the segmentation will be trained on this batch as well.

        Returns:
            Segmentation logits as nnU-Net expects them, or a `MultiTaskOutput`.
        """
        skips = self._encode(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() and train_decoder):
            segmentation = self.decoder(skips)
        if not with_biomarkers:
            return segmentation
        used = self._tumor_mask(segmentation, mask, mask_given)
        head_input = self.measure(x, used, spacing_mm or self.plan.spacing_mm)
        biomarkers, measured = self._read(skips, head_input, covariates, encoder_gradient)
        return MultiTaskOutput(segmentation, biomarkers, measured)

    def answer(
        self, x: Tensor, head_input: HeadInput, *, covariates: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The biomarkers of `forward` for a batch that was measured before; nothing is segmented.

        Args:
            x: images (B, C, *spatial).
            head_input: what `measure` gave for them.
            covariates: (B, K) clinical covariates, nan where missing.
        """
        biomarkers, _ = self._read(self._encode(x), head_input, covariates, 1.0)
        return biomarkers

    def shared_parameters(self) -> list[nn.Parameter]:
        """What serves several tasks: encoder, bottleneck, and an encoder of the heads' own."""
        parts = (self.encoder, self.bottleneck, self.head_encoder)
        return [each for part in parts if part is not None for each in part.parameters()]

    def _read(
        self,
        skips: list[Tensor],
        head_input: HeadInput,
        covariates: Tensor | None,
        encoder_gradient: float,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What the heads answer, and what their linear part saw."""
        seen, weights, statistics = head_input
        if covariates is not None:
            statistics = torch.cat([statistics, covariates.to(statistics)], dim=1)
        stages = self._head_stages(skips, seen, encoder_gradient)
        with torch.autocast(seen.device.type, enabled=False):
            answers: tuple[dict[str, Tensor], Tensor] = self.tower(stages, weights, statistics)
        return answers

    def _encode(self, x: Tensor) -> list[Tensor]:
        skips: list[Tensor] = self.encoder(x)
        if self.bottleneck is None:
            return skips
        return [*skips[:-1], self.bottleneck(skips[-1])]

    def _head_stages(
        self, skips: list[Tensor], seen: Tensor, encoder_gradient: float
    ) -> list[Tensor]:
        """The encoder stages that the heads read."""
        if self.head_encoder is not None:
            stages: list[Tensor] = self.head_encoder(seen)
            return stages
        if self.plan.region_masking == "input":
            skips = self._encode(seen)
        return [_damp(stage, encoder_gradient) for stage in skips]

    def _tumor_mask(
        self, segmentation: Tensor | list[Tensor], mask: Tensor | None, given: Tensor | None
    ) -> Tensor:
        if mask is not None and given is None:
            return mask.bool()
        logits = segmentation[0] if isinstance(segmentation, list) else segmentation
        predicted = torch.isin(logits.argmax(1), logits.new_tensor(self.plan.tumor_labels).long())
        if mask is None or given is None:
            return predicted
        # Early in training a segmentation can be empty; then the true mask stands in.
        given = given | ~predicted.flatten(1).any(1)
        shape = (-1, *[1] * (mask.ndim - 1))
        return torch.where(given.view(shape), mask.bool(), predicted)

    @torch.no_grad()
    def measure(self, x: Tensor, mask: Tensor, spacing_mm: tuple[float, ...]) -> HeadInput:
        """Measures a batch; nothing of it is learned, so that it holds for every fold's weights.

        Args:
            x: images (B, C, *spatial).
            mask: tumor masks (B, *spatial), boolean.
            spacing_mm: voxel size.
        """
        image = x.float()
        lesions = [largest_lesion(one) for one in mask.cpu().numpy()]
        distances = [signed_distance_mm(lesion, spacing_mm) for lesion in lesions]
        distance = torch.from_numpy(np.stack(distances))
        if self.training:
            distance = jitter_distance(distance, spacing_mm, sd_mm=self.plan.jitter_mm)
        distance = distance.to(x.device)
        body = torch.from_numpy(np.stack([body_mask(one) for one in image[:, 0].cpu().numpy()]))
        body = body.to(x.device)
        weights = region_weights(
            distance, self.regions, body=body, softness_mm=self.plan.softness_mm
        )
        inside, parts = distance < 0, []
        if self.plan.region_masking == "input":
            allowed = (weights[:, self.shells] > 0.5).any(1)
            image, inside = keep_only(image, allowed), inside & allowed
        if self.tower.intensity is not None and self.tower.structures is not None:
            reference = reference_weights(distance, body=body, reference_mm=REFERENCE_MM)
            shells = weights[:, self.shells]
            parts.append(self.tower.intensity(image, shells, reference))
            parts.append(self.tower.structures(image, shells, distance, inside, body, spacing_mm))
        if "log_volume" in self.plan.descriptors:
            parts.append(_log_volume(distance, spacing_mm))
        statistics = torch.cat(parts, dim=1) if parts else image.new_zeros(len(image), 0)
        return HeadInput(image, weights, statistics)


def _damp(features: Tensor, factor: float) -> Tensor:
    """The same values with a scaled gradient."""
    if factor == 1.0:
        return features
    return features.detach() * (1 - factor) + features * factor


def _log_volume(distance: Tensor, spacing_mm: tuple[float, ...]) -> Tensor:
    """(B, 1) natural logarithm of the tumor's volume in ml, plus a hundredth."""
    volume_ml = (distance < 0).flatten(1).sum(1, keepdim=True) * float(np.prod(spacing_mm)) / 1000
    return torch.log(volume_ml + 0.01)


def _region(plan: RegionPlan) -> Region:
    inner = -np.inf if plan.inner_mm is None else plan.inner_mm
    outer = np.inf if plan.outer_mm is None else plan.outer_mm
    return Region(plan.name, inner, outer)
