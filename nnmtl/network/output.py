"""What the network returns when biomarkers are asked for."""

from typing import NamedTuple

from torch import Tensor


class MultiTaskOutput(NamedTuple):
    """Segmentation logits and one tensor of head outputs per biomarker.

    Attributes:
        segmentation: what nnU-Net's network returns: (B, C, *spatial), or a list of such tensors
            from fine to coarse while deep supervision is on.
        biomarkers: name → (B, num_outputs) in float32: logits of a binary, categorical or
            ordinal biomarker, the standardized value of a continuous one, or the standardized mean
            and log precision of a beta head.
        measured: (B, F) what the linear part sees, before it is standardized: input statistics,
            covariates, pooled features.
    """

    segmentation: Tensor | list[Tensor]
    biomarkers: dict[str, Tensor]
    measured: Tensor
