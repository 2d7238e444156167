"""Tokens and places that look at each other start as they are, and then depend on each other."""

import pytest
import torch

from nnmtl.network.mixing import TokenMixer
from nnmtl.network.self_attention import ConvolutionalSelfAttention


@pytest.fixture
def mixer():
    return TokenMixer(num_regions=3, num_stages=2, width=8).eval()


def test_tokens_start_as_they_are(mixer):
    tokens = torch.randn(2, 3, 2, 8)
    assert torch.equal(mixer(tokens), tokens)


def test_a_mixed_token_depends_on_every_other_of_its_case_and_on_no_other_case(mixer):
    torch.nn.init.ones_(mixer.factor)
    tokens = torch.randn(2, 3, 2, 8, requires_grad=True)
    mixer(tokens)[0, 0, 0].sum().backward()
    assert (tokens.grad[0].abs().sum(-1) > 0).all()
    assert tokens.grad[1].abs().sum() == 0


@pytest.mark.parametrize(("dimension", "channels"), [(2, 8), (3, 6), (3, 7)])
def test_self_attention_starts_as_identity_and_reaches_everywhere(dimension, channels):
    module = ConvolutionalSelfAttention(channels, dimension=dimension)
    features = torch.randn(2, channels, *[4] * dimension, requires_grad=True)
    torch.testing.assert_close(module(features), features)
    torch.nn.init.ones_(module.factor)
    corner = (0, 0, *[0] * dimension)
    module(features)[corner].backward()
    assert (features.grad[0].abs().sum(0) > 0).all()
    assert features.grad[1].abs().sum() == 0


def test_self_attention_is_what_its_formula_says():
    module = ConvolutionalSelfAttention(4, dimension=2, num_heads=2)
    torch.nn.init.ones_(module.factor)
    features = torch.randn(1, 4, 3, 3)
    normed = module.norm(features)
    query, key, value = module.projections(module.surroundings(normed) + normed).chunk(3, dim=1)
    heads = []
    for head in (slice(0, 2), slice(2, 4)):
        q, k, v = (part[0, head].flatten(1).T for part in (query, key, value))
        heads.append((torch.softmax(q @ k.T / 2**0.5, 1) @ v).T.reshape(2, 3, 3))
    expected = features + module.output(torch.cat(heads)[None])
    torch.testing.assert_close(module(features), expected, atol=1e-5, rtol=1e-4)
