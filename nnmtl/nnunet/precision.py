"""Mixed precision where it is faster."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import numpy as np
import torch

logger = logging.getLogger(__name__)


@cache
def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 itself; emulated it is some 40 times slower."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = any(getattr(torch.cpu, check, bool)() for check in checks)
    logger.info(
        "Training on the CPU in %s",
        "bfloat16 mixed precision (this processor has it)" if found else "float32",
    )
    return found


def autocast_for(device: torch.device) -> AbstractContextManager[None]:
    """float16 on a GPU as in nnU-Net, bfloat16 on a CPU that has it, else float32."""
    if device.type == "cuda":
        return torch.autocast("cuda")
    if device.type == "cpu" and cpu_has_bf16():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()


def is_two_slices_deep(sizes: Sequence[Sequence[int]], strides: Sequence[Sequence[int]]) -> bool:
    """Whether some stage of a 3D network has exactly two slices for one of the input sizes.

    There the bfloat16 gradient of a 3D convolution's weights is garbage on a CPU (torch 2.13 with
    oneDNN: uninitialized memory for kernels of depth 3), so training stays in float32.

    Args:
        sizes: voxels per axis of the inputs: patch and region of interest.
        strides: of every stage, per axis.
    """
    depths = np.cumprod([stride[0] for stride in strides])
    return len(strides[0]) == 3 and any(-(-size[0] // d) == 2 for size in sizes for d in depths)
