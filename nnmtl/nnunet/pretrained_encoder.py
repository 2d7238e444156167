"""Copies the encoder of a checkpoint of nnU-Net, nnMTL or nnssl into a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from nnmtl.errors import NnmtlError

ENCODERS = ("encoder.", "head_encoder.")
# nnU-Net's decoder registers the encoder once more: the same tensors under a second name.
SECOND_NAME = "decoder.encoder."


@dataclass(frozen=True, kw_only=True)
class LoadedEncoder:
    """What a network took over from a checkpoint, by names as in their `state_dict`.

    Attributes:
        channels: input channels of the checkpoint and of the network.
        num_loaded: single numbers that were loaded.
        loaded: tensors of the network that were loaded.
        initialized: tensors of the network that keep their random start.
        unused: tensors of the checkpoint that were not loaded.
    """

    channels: tuple[int, int]
    num_loaded: int
    loaded: tuple[str, ...]
    initialized: tuple[str, ...]
    unused: tuple[str, ...]


def load_encoder(network: Any, checkpoint: Mapping[str, Any], path: Path) -> LoadedEncoder:
    """Copies encoder and stem into a network of the same architecture, or changes nothing.

    The decoder is left out: its last layers speak of the checkpoint's own labels, and that of a
    self-supervised network reconstructs images. Where the numbers of input channels differ, the
    first convolution is repeated and divided, as in nnU-Net's `PretrainedTrainer`.

    Args:
        network: a U-Net with nnU-Net's `encoder`; an encoder of the heads' own is loaded as well.
        checkpoint: content of a checkpoint of nnU-Net, nnMTL or nnssl.
        path: the file it came from, for messages.

    Raises:
        NnmtlError: if the checkpoint holds no weights, or those of another architecture.
    """
    weights, unused = _split(_network_weights(checkpoint, path), _sections(checkpoint))
    expected = network.encoder.state_dict(keep_vars=True)
    first = next(part for part in network.encoder.modules() if isinstance(part, _ConvNd)).weight
    # One parameter has several names: the convolution's own, and its place in `all_modules`.
    names = [name for name, tensor in expected.items() if tensor is first]
    fitted = weights | {name: _fit(weights[name], first) for name in names if name in weights}
    _check_shapes(expected, fitted, path)
    for encoder in (network.encoder, getattr(network, "head_encoder", None)):
        if encoder is not None:
            encoder.load_state_dict(fitted)
    tensors = dict([*network.named_parameters(), *network.named_buffers()])
    loaded = tuple(name for name in tensors if name.startswith(ENCODERS))
    return LoadedEncoder(
        channels=(weights[names[0]].shape[1], first.shape[1]),
        num_loaded=sum(tensors[name].numel() for name in loaded),
        loaded=loaded,
        initialized=tuple(name for name in tensors if not name.startswith(ENCODERS)),
        unused=unused,
    )


def _network_weights(checkpoint: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    weights = checkpoint.get("network_weights")
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and torch.is_tensor(tensor) for name, tensor in weights.items()
    ):
        raise NnmtlError(
            f"{path}: expected a checkpoint with tensors in 'network_weights', found none. Use one "
            "that nnU-Net, nnMTL or nnssl wrote."
        )
    return {_without_wrappers(name): tensor for name, tensor in weights.items()}


def _without_wrappers(name: str) -> str:
    """The name without what DDP and torch.compile put before it."""
    while name.startswith(("module.", "_orig_mod.")):
        name = name.split(".", maxsplit=1)[1]
    return name


def _sections(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    """How names in the checkpoint begin → how names in our encoder do.

    nnssl writes its own beginnings into the checkpoint (its `AdaptationPlan`). What else it tells,
    such as the number of channels, is seen in the tensors.
    """
    plan = checkpoint.get("nnssl_adaptation_plan")
    if not isinstance(plan, Mapping):
        plan = {}
    return {  # stages first: the stem of a plain U-Net lies among them
        f"{plan.get('key_to_encoder', 'encoder.stages')}.": "stages.",
        f"{plan.get('key_to_stem', 'encoder.stem')}.": "stem.",
    }


def _split(
    weights: dict[str, Tensor], sections: dict[str, str]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The encoder's tensors under our names, and the names of all others."""
    inside: dict[str, Tensor] = {}
    unused = []
    for name, tensor in weights.items():
        start = next((start for start in sections if name.startswith(start)), None)
        if start is not None:
            inside[sections[start] + name.removeprefix(start)] = tensor
        elif not name.startswith(SECOND_NAME):
            unused.append(name)
    return inside, tuple(unused)


def _fit(weight: Tensor, first: Tensor) -> Tensor:
    """A first convolution (features, channels, *kernel) for the channels of `first`.

    It answers one image in all channels as before. Returned as it is where more is different.
    """
    shape, found = first.shape, weight.shape
    if found == shape or found[:1] + found[2:] != shape[:1] + shape[2:]:
        return weight
    return weight.sum(1, keepdim=True).expand(shape) / shape[1]


def _check_shapes(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path
) -> None:
    planned, found = (
        {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        for tensors in (expected, weights)
    )
    for name in planned | found:
        if planned.get(name) != found.get(name):
            raise NnmtlError(
                f"{path}: encoder.{name}: expected shape {planned.get(name, 'none')}, as planned, "
                f"found {found.get(name, 'none')}. Give architecture.arch_kwargs in the plans the "
                "checkpoint's stages, features, blocks and kernels, or use another checkpoint."
            )
