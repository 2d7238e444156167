"""An exponential moving average of a network's parameters."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """Keeps averaged copies of a network's parameters and lends them to the network.

    The decay grows from 0.1 to its limit over the first iterations, so that the random start is
    forgotten. Buffers are not averaged: here they are learned outside gradients.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {name: value.detach().clone() for name, value in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Moves the average toward the network's present parameters."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in network.named_parameters():
            self.values[name].lerp_(value, 1 - decay)

    def restart(self, network: nn.Module, *, prefix: str) -> None:
        """Takes over the present parameters below `prefix`, whose average means nothing now."""
        for name, value in network.named_parameters():
            if name.startswith(prefix):
                self.values[name].copy_(value.detach())

    @contextmanager
    def lent_to(self, network: nn.Module) -> Iterator[None]:
        """Within the context the network has the averaged parameters."""
        raw = {name: value.detach().clone() for name, value in network.named_parameters()}
        _copy(self.values, network)
        try:
            yield
        finally:
            _copy(raw, network)


@torch.no_grad()
def _copy(values: dict[str, Tensor], network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        parameter.copy_(values[name])
