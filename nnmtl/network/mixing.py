"""Region and stage tokens that look at each other before a head reads them."""

import torch
from torch import Tensor, nn

LAYERS = 2
HEADS = 4
DROPOUT = 0.1


class TokenMixer(nn.Module):
    """A small Transformer over the tokens of every (region, stage) pair.

    Each pair has a learned place of its own, since order means nothing here. The result is added
    with a factor that starts at 0: at first every token is what it was.
    """

    def __init__(self, *, num_regions: int, num_stages: int, width: int) -> None:
        """`width` must be a multiple of the number of attention heads, 4."""
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(num_regions * num_stages, width))
        layer = nn.TransformerEncoderLayer(
            width, HEADS, 2 * width, DROPOUT, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, R, S, width) → (B, R, S, width)."""
        flat = tokens.flatten(1, 2)
        mixed = self.layers(flat + self.place)
        return (flat + self.factor * mixed).view_as(tokens)
