"""The shared grid's strides, patch and batch equal nnU-Net's."""

import json

import pytest
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nnmtl.nnunet.topology import UnetBudget, plan_topology
from nnmtl.planning.topology import feature_map_size

STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2))
PUBLISHED = {
    "liver_timdehaan1": "plans.json",
    "msd_lung_usamakhan843": "nnUNetPlans.json",
    "nih_fdgpetct": "nnUNetPlans.json",
}


@pytest.mark.parametrize("num_classes", [2, 4])
def test_memory_is_estimated_as_by_nnunets_network(num_classes):
    features = (4, 8, 16, 16)
    network = PlainConvUNet(
        1, 4, features, nn.Conv3d, 3, STRIDES, 2, num_classes, 2, deep_supervision=False
    )
    found = feature_map_size((16, 48, 32), STRIDES, features=features, num_classes=num_classes)
    assert found == network.compute_conv_feature_map_size((16, 48, 32))


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "name"), PUBLISHED.items())
def test_published_plans_are_reproduced(folder, name, real_data):
    source = real_data / "nnunet_plans_oracles" / folder
    plans = json.loads((source / name).read_text())["configurations"]["3d_fullres"]
    dataset = json.loads((source / "dataset.json").read_text())
    spacing, median = plans["spacing"], plans["median_image_size_in_voxels"]
    topology = plan_topology(
        spacing,
        [size * mm for size, mm in zip(median, spacing, strict=True)],
        UnetBudget(num_classes=len(dataset["labels"]), num_cases=dataset["numTraining"]),
    )
    strides = plans.get("pool_op_kernel_sizes") or plans["architecture"]["arch_kwargs"]["strides"]
    assert [list(stride) for stride in topology.strides] == strides
    assert list(topology.patch_size) == plans["patch_size"]
    assert topology.batch_size == plans["batch_size"]


def test_axes_come_back_in_the_order_they_came():
    def planned(spacing, view):
        return plan_topology(spacing, view, UnetBudget(num_cases=100))

    axial = planned((3.0, 0.8, 0.8), (120.0, 320.0, 240.0))
    sagittal = planned((0.8, 0.8, 3.0), (320.0, 240.0, 120.0))
    assert sagittal.patch_size == axial.patch_size[1:] + axial.patch_size[:1]
    assert sagittal.divisor == axial.divisor[1:] + axial.divisor[:1]


def test_less_memory_means_a_smaller_patch():
    def voxels(memory_gb):
        budget = UnetBudget(num_cases=100, memory_gb=memory_gb)
        return plan_topology((1.0, 1.0, 1.0), (300.0, 300.0, 300.0), budget).max_patch_voxels

    assert voxels(4.0) < voxels(8.0) < voxels(16.0)


def test_a_preset_narrows_the_plan():
    budget = UnetBudget(
        num_cases=100, base_features=8, max_features=64, max_stages=4, max_patch_voxels=80_000,
        batch_size=4,
    )  # fmt: skip
    topology = plan_topology((1.0, 1.0, 1.0), (128.0, 128.0, 128.0), budget)
    assert len(topology.strides) == 4
    assert topology.divisor == (8, 8, 8)
    assert topology.patch_size == (40, 40, 48)
    assert (topology.batch_size, topology.max_patch_voxels) == (4, 80_000)
    assert topology.budget == "the preset's limit"


@settings(deadline=None)
@given(
    st.lists(st.floats(0.3, 8.0), min_size=3, max_size=3),
    st.lists(st.integers(16, 512), min_size=3, max_size=3),
)
def test_a_patch_is_whole_steps_within_the_budget(spacing, shape):
    view = [size * mm * (1 - 1e-15) for size, mm in zip(shape, spacing, strict=True)]
    topology = plan_topology(spacing, view, UnetBudget(num_cases=50))
    voxels = 1
    for size, step in zip(topology.patch_size, topology.divisor, strict=True):
        assert size % step == 0
        voxels *= size
    assert voxels <= topology.max_patch_voxels
    assert topology.batch_size >= 2
