import pytest
import torch

from nnmtl.nnunet import precision


@pytest.fixture
def has_bf16(monkeypatch):
    """Sets what the processor can do."""

    def pretend(*, answer):
        precision.cpu_has_bf16.cache_clear()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda: answer, raising=False)

    yield pretend
    precision.cpu_has_bf16.cache_clear()


def product_type(device="cpu"):
    with precision.autocast_for(torch.device(device)):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_a_processor_with_bfloat16_uses_it(has_bf16):
    has_bf16(answer=True)
    assert product_type() == torch.bfloat16


def test_a_processor_without_bfloat16_stays_in_float32(has_bf16):
    has_bf16(answer=False)
    assert product_type() == torch.float32


def test_a_torch_that_cannot_tell_means_float32(has_bf16, monkeypatch):
    has_bf16(answer=True)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert product_type() == torch.float32
