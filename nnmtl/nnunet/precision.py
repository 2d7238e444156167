"""Mixed precision where it is faster."""

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import cache

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
