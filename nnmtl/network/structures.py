"""Everything that is measured of small structures, for a batch of images and regions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnmtl.network import detail, spots
from nnmtl.network.filters import filter_bank
from nnmtl.network.intensity import MIN_VOXELS
from nnmtl.planning.architecture import RegionPlan


class StructureStatistics(nn.Module):
    """Images and soft regions → statistics of the small structures in each region.

    Per channel and region the strength of structures, and spots on thin shells. An empty region and
    a missing (constant) channel give zeros. Everything is float32 and without gradient.
    """

    def __init__(self, num_channels: int, regions: Sequence[RegionPlan]) -> None:
        """Prepares for images of some channels; the regions are those that end somewhere."""
        super().__init__()
        self.regions = tuple(regions)
        with_shells = sum(bool(spots.thin_shells(region)) for region in regions)
        self.num_spots = with_shells * spots.PER_REGION
        self.num_features = num_channels * (len(regions) * detail.PER_REGION + self.num_spots)

    @torch.no_grad()
    def forward(
        self,
        x: Tensor,
        weights: Tensor,
        distance: Tensor,
        tumor: Tensor,
        body: Tensor,
        spacing_mm: Sequence[float],
    ) -> Tensor:
        """Statistics of every case.

        Args:
            x: images (B, C, *spatial), on any scale per channel.
            weights: soft regions (B, R, *spatial), 0 to 1.
            distance: (B, *spatial) signed distance to the tumor's surface in mm, negative inside.
            tumor: (B, *spatial) True in the tumor, whose median is the level 1.
            body: (B, *spatial) True in the body.
            spacing_mm: voxel size in the order of the axes.

        Returns:
            (B, num_features) float32.
        """
        with torch.autocast(x.device.type, enabled=False):
            cases = zip(x.float(), weights.float(), distance, tumor, body, strict=True)
            rows = [
                torch.cat(
                    [
                        self._channel(channel, regions, away, inside, tissue, spacing_mm)
                        for channel in image
                    ]
                )
                for image, regions, away, inside, tissue in cases
            ]
        return torch.stack(rows)

    def _channel(
        self,
        image: Tensor,
        weights: Tensor,
        distance: Tensor,
        tumor: Tensor,
        body: Tensor,
        spacing_mm: Sequence[float],
    ) -> Tensor:
        statistics = image.new_zeros(len(weights), detail.PER_REGION)
        present = weights.flatten(1).sum(1) >= MIN_VOXELS
        if not bool(image.amax() > image.amin()) or not bool((present & tumor.any()).any()):
            return torch.cat([statistics.flatten(), image.new_zeros(self.num_spots)])
        bank, shown = filter_bank(image, tumor, spacing_mm), weights[present]
        statistics[present] = detail.describe_regions(bank, shown, tumor, spacing_mm)
        counts = spots.count_spots(bank, distance, body, self.regions, spacing_mm)
        return torch.cat([statistics.flatten(), counts])
