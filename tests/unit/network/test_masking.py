"""What is hidden of an image leaves no trace in it."""

import torch

from nnmtl.network.masking import keep_only


def test_hidden_voxels_become_the_mean_of_the_shown_ones():
    image = torch.tensor([[[1.0, 3.0, 100.0, -5.0]]])
    allowed = torch.tensor([[True, True, False, False]])
    assert keep_only(image, allowed).tolist() == [[[1.0, 3.0, 2.0, 2.0]]]


def test_cases_and_channels_keep_their_own_means():
    image = torch.arange(12.0).view(2, 2, 3)
    allowed = torch.tensor([[True, False, False], [False, True, True]])
    expected = [[[0, 0, 0], [3, 3, 3]], [[7.5, 7, 8], [10.5, 10, 11]]]
    assert keep_only(image, allowed).tolist() == expected


def test_with_nothing_shown_the_image_is_zero():
    assert keep_only(torch.ones(1, 1, 4), torch.zeros(1, 4, dtype=torch.bool)).sum() == 0
