"""From region features and scalars to one output per biomarker."""

import torch
from torch import Tensor, nn


class BiomarkerHead(nn.Module):
    """One biomarker: a linear part on scalars plus a learned part on weighted region features.

    The linear part can be started from a fitted model (`start_linear`); the learned part ends in
    zeros, so that training goes on from there. `region_logits` are the learned weights of the
    regions for this task: their softmax is even at the start.

    Buffers: `center` and `scale` standardize a continuous target, `threshold` is a binary one's
    prevalence and `median` a continuous one's median, all in the training fold. A beta head's
    `center` is the logit of the targets' mean and the logarithm of their precision, so that outputs
    of 0 are the distribution of all targets. `log_variance` weighs the task's loss where weights
    are learned.
    """

    center: Tensor
    scale: Tensor
    threshold: Tensor
    median: Tensor

    def __init__(
        self,
        *,
        num_outputs: int,
        num_regions: int,
        region_features: int,
        scalars: int,
        dropout: float,
        is_beta: bool = False,
    ) -> None:
        super().__init__()
        self.region_logits = nn.Parameter(torch.zeros(num_regions))
        self.log_variance = nn.Parameter(torch.zeros(()))
        self.dropout = nn.Dropout(dropout)
        self.learned = _linear(num_regions * region_features, num_outputs)
        # Without scalars nothing but a second bias would be left of it.
        self.linear = _linear(scalars, num_outputs).requires_grad_(scalars > 0)
        nn.init.zeros_(self.learned.weight)
        nn.init.zeros_(self.learned.bias)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        # Learned from the training fold's targets, outside gradients.
        shape = (num_outputs,) if is_beta else ()
        self.register_buffer("center", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        self.register_buffer("threshold", torch.full((), 0.5))
        self.register_buffer("median", torch.full((), torch.nan))

    def forward(self, regions: Tensor, scalars: Tensor) -> Tensor:
        """Region features (B, R, D) and scalars (B, S) → (B, num_outputs)."""
        weights = torch.softmax(self.region_logits, 0) * len(self.region_logits)
        features = self.dropout((regions * weights[:, None]).flatten(1))
        return self.learned(features) + self.linear(scalars)

    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Sets the linear part: weight (num_outputs, S), bias (num_outputs,)."""
        with torch.no_grad():
            self.linear.weight.copy_(weight)
            self.linear.bias.copy_(bias)


def _linear(num_inputs: int, num_outputs: int) -> nn.Linear:
    """A linear layer that may be without inputs, of which torch's initialization would warn."""
    layer = nn.Linear(max(1, num_inputs), num_outputs)
    if num_inputs == 0:
        layer.in_features, layer.weight = 0, nn.Parameter(torch.empty(num_outputs, 0))
    return layer
