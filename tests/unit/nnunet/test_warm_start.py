"""The encoder that a run starts from: what is taken over, what is refused, and the record of it."""

import copy
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from nnmtl.errors import NnmtlError
from nnmtl.network.averaging import AveragedWeights
from nnmtl.nnunet.network import PlannedMultiTaskUNet
from nnmtl.nnunet.pretrained_encoder import load_encoder
from nnmtl.nnunet.safe_loading import load_checkpoint_safely
from nnmtl.nnunet.warm_start import WARM_START, warm_start, weights_hash
from nnmtl.planning.architecture import (
    ArchitecturePlan,
    HeadPlan,
    RegionPlan,
    architecture_to_json,
)

PLAIN, RESIDUAL = PlainConvUNet, ResidualEncoderUNet
WHERE = Path("checkpoint_final.pth")
IN_PROJ = ("stem.convs.0.conv.weight", "stem.convs.0.all_modules.0.weight")
PLAN = ArchitecturePlan(
    spacing_mm=(1.0, 1.0, 1.0),
    tumor_labels=(1,),
    regions=(RegionPlan(name="context", inner_mm=None, outer_mm=None),),
    taps=(0, 1),
    attention="none",
    intensity=False,
    num_centers=1,
    descriptors=(),
    covariates=(),
    heads=(HeadPlan(name="ER", kind="binary", num_outputs=1),),
    width=4,
    dropout=0.0,
    region_dropout=0.0,
    softness_mm=0.7,
    jitter_mm=0.0,
    region_masking="pool",
    shared_encoder=True,
    pooling="regions",
    token_mixer=False,
    self_attention=False,
)


def unet_arguments(unet, stages=3):
    """A tiny U-Net of nnU-Net's usual shape, with everything in it that has weights."""
    return {
        "n_stages": stages,
        "features_per_stage": [4, 6, 8, 8][:stages],
        "conv_op": nn.Conv3d,
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        "n_conv_per_stage" if unet is PLAIN else "n_blocks_per_stage": [1, 2, 2, 1][:stages],
        "n_conv_per_stage_decoder": [1] * (stages - 1),
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


def pretrained(unet, *, channels=1, stages=3):
    """A network whose every number, also of the norms, is away from its start."""
    network = unet(input_channels=channels, num_classes=1, **unet_arguments(unet, stages))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.rand_like(parameter))
    return network.eval()


def planned(unet, *, channels, plan=PLAN):
    return PlannedMultiTaskUNet(
        input_channels=channels,
        num_classes=2,
        unet_class_name=f"{unet.__module__}.{unet.__name__}",
        multitask=architecture_to_json(plan),
        deep_supervision=True,
        **unet_arguments(unet),
    ).eval()


def nnssl_checkpoint(network):
    """The keys that nnssl's AbstractTrainer.save_checkpoint writes, and the plan in them."""
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"train_losses": [0.5]},
        "_best_ema": None,
        "current_epoch": 1000,
        "init_args": {"plan": {"dataset_name": "Dataset745_OpenMind"}, "fold": "all"},
        "trainer_name": "BaseMAETrainer",
        "nnssl_adaptation_plan": {
            "architecture_plans": {"arch_class_name": "ResEncL", "arch_kwargs": None},
            "pretrain_plan": {"configurations": {"onemmiso": {"spacing": [1, 1, 1]}}},
            "pretrain_num_input_channels": 1,
            "recommended_downstream_patchsize": (160, 160, 160),
            "key_to_encoder": "encoder.stages",
            "key_to_stem": "encoder.stem",
            "keys_to_in_proj": ("encoder.stem.convs.0.conv", "encoder.stem.convs.0.all_modules.0"),
            "key_to_lpe": None,
        },
    }


def nnunet_checkpoint(network, *, dataset="Dataset001_Other", fold=0, before=""):
    weights = {before + name: tensor for name, tensor in network.state_dict().items()}
    origin = {"plans": {"dataset_name": dataset}, "fold": fold}
    return {"network_weights": weights, "init_args": origin, "trainer_name": "nnUNetTrainer"}


def saved(checkpoint, folder):
    torch.save(checkpoint, folder / WHERE)
    return folder / WHERE


def load(network, checkpoint, folder):
    """Through a file, as a run does."""
    path = saved(checkpoint, folder)
    return load_encoder(network, load_checkpoint_safely(path), path)


def image(channels=1):
    """One image, in every channel."""
    one = torch.rand(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(3))
    return one.expand(-1, channels, -1, -1, -1).contiguous()


def same(first, second):
    """Equal numbers; what is nan in one (a target's unknown scale) is nan in the other."""
    return torch.equal(first.nan_to_num(), second.nan_to_num())


def assert_same_features(network, source, *, channels, source_channels):
    with torch.no_grad():
        stages = zip(
            network.encoder(image(channels)), source.encoder(image(source_channels)), strict=True
        )
        for found, expected in stages:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_nnssl_checkpoint_gives_its_features(tmp_path):
    source, network = pretrained(RESIDUAL), planned(RESIDUAL, channels=1)
    load(network, nnssl_checkpoint(source), tmp_path)
    assert torch.equal(network.encoder(image())[-1], source.encoder(image())[-1])


def test_an_nnssl_checkpoint_is_read_where_its_plan_says(tmp_path):
    source, network = pretrained(RESIDUAL), planned(RESIDUAL, channels=1)
    checkpoint = nnssl_checkpoint(source)
    weights = checkpoint["network_weights"]
    for old, new, key in (
        ("encoder.stages.", "backbone.body.", "key_to_encoder"),
        ("encoder.stem.", "first.", "key_to_stem"),
    ):
        weights = {name.replace(old, new): tensor for name, tensor in weights.items()}
        checkpoint["nnssl_adaptation_plan"][key] = new.removesuffix(".")
    load(network, checkpoint | {"network_weights": weights}, tmp_path)
    assert torch.equal(network.encoder(image())[-1], source.encoder(image())[-1])


@pytest.mark.parametrize("unet", [PLAIN, RESIDUAL])
@pytest.mark.parametrize("before", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_an_nnunet_checkpoint_gives_its_features(tmp_path, unet, before):
    source, network = pretrained(unet, channels=2), planned(unet, channels=2)
    load(network, nnunet_checkpoint(source, before=before), tmp_path)
    assert torch.equal(network.encoder(image(2))[-1], source.encoder(image(2))[-1])


def test_a_plain_stem_named_by_an_adaptation_plan_lies_among_the_stages(tmp_path):
    source, network = pretrained(PLAIN), planned(PLAIN, channels=1)
    checkpoint = nnssl_checkpoint(source)
    checkpoint["nnssl_adaptation_plan"]["key_to_stem"] = "encoder.stages.0"
    load(network, checkpoint, tmp_path)
    assert torch.equal(network.encoder(image())[-1], source.encoder(image())[-1])


def test_the_first_convolution_is_repeated_over_channels_and_divided_under_all_its_names(tmp_path):
    source, network = pretrained(RESIDUAL), planned(RESIDUAL, channels=3)
    report = load(network, nnssl_checkpoint(source), tmp_path)
    expected = source.encoder.stem.convs[0].conv.weight.repeat(1, 3, 1, 1, 1) / 3
    state = network.state_dict()
    for name in IN_PROJ:
        torch.testing.assert_close(state[f"encoder.{name}"], expected)
        torch.testing.assert_close(state[f"decoder.encoder.{name}"], expected)
    assert report.channels == (1, 3)


@pytest.mark.parametrize("unet", [PLAIN, RESIDUAL])
@pytest.mark.parametrize(("before", "now"), [(1, 3), (2, 3), (3, 1)])
def test_one_image_in_all_channels_is_answered_as_before(tmp_path, unet, before, now):
    source, network = pretrained(unet, channels=before), planned(unet, channels=now)
    load(network, nnunet_checkpoint(source), tmp_path)
    first = [
        next(part for part in one.encoder.modules() if isinstance(part, nn.Conv3d))
        for one in (network, source)
    ]
    torch.testing.assert_close(first[0](image(now)), first[1](image(before)))
    assert_same_features(network, source, channels=now, source_channels=before)


def test_decoder_and_heads_keep_their_start_and_the_report_says_so(tmp_path):
    source, network = pretrained(RESIDUAL), planned(RESIDUAL, channels=1)
    before = copy.deepcopy(network.state_dict())
    report = load(network, nnssl_checkpoint(source), tmp_path)
    tensors = dict([*network.named_parameters(), *network.named_buffers()])
    changed = {name for name in tensors if not same(tensors[name], before[name])}
    assert changed == set(report.loaded)
    assert {name.split(".")[0] for name in report.loaded} == {"encoder"}
    assert set(report.initialized) == set(tensors) - set(report.loaded)
    assert report.num_loaded == sum(value.numel() for value in source.encoder.parameters())
    assert set(report.unused) == {
        name
        for name in source.state_dict()
        if name.startswith("decoder.") and not name.startswith("decoder.encoder.")
    }


def test_an_encoder_of_the_heads_own_is_loaded_as_well(tmp_path):
    plan = dataclasses.replace(PLAN, shared_encoder=False)
    source, network = pretrained(PLAIN), planned(PLAIN, channels=2, plan=plan)
    report = load(network, nnunet_checkpoint(source), tmp_path)
    features = [one(image(2))[-1] for one in (network.encoder, network.head_encoder)]
    assert torch.equal(*features)
    assert sum(name.startswith("head_encoder.") for name in report.loaded) > 0
    assert_same_features(network, source, channels=2, source_channels=1)


def narrower(weights):
    weights["encoder.stages.1.blocks.0.conv1.conv.weight"] = torch.zeros(5, 4, 3, 3, 3)


def without_a_tensor(weights):
    del weights["encoder.stages.2.blocks.1.conv2.norm.bias"]


def flat(weights):
    weights["encoder.stem.convs.0.conv.weight"] = torch.zeros(4, 1, 3, 3)


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (
            narrower,
            r"checkpoint_final.pth: encoder\.stages\.1\.blocks\.0\.conv1\.conv\.weight: expected "
            r"shape \(6, 4, 3, 3, 3\), as planned, found \(5, 4, 3, 3, 3\)\. Give "
            r"architecture\.arch_kwargs",
        ),
        (without_a_tensor, r"stages\.2\.blocks\.1\.conv2\.norm\.bias: .* \(8,\), .* found none"),
        (flat, r"stem\.convs\.0\.conv\.weight: .*\(4, 3, 3, 3, 3\).*\(4, 1, 3, 3\)"),
    ],
)
def test_another_shape_is_refused_and_the_network_stays_as_it_was(tmp_path, mutate, message):
    checkpoint, network = nnssl_checkpoint(pretrained(RESIDUAL)), planned(RESIDUAL, channels=3)
    mutate(checkpoint["network_weights"])
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(NnmtlError, match=message):
        load(network, checkpoint, tmp_path)
    after = network.state_dict()
    assert all(same(after[name], before[name]) for name in before)


def test_a_checkpoint_with_a_further_stage_is_refused(tmp_path):
    checkpoint = nnunet_checkpoint(pretrained(PLAIN, channels=1, stages=4))
    with pytest.raises(NnmtlError, match=r"encoder\.stages\.3\.0\.convs\..*expected shape none"):
        load(planned(PLAIN, channels=1), checkpoint, tmp_path)


@pytest.mark.parametrize("weights", [None, [1], {"encoder.stem": "text"}, {1: torch.zeros(1)}])
def test_a_checkpoint_without_network_weights_is_refused(tmp_path, weights):
    with pytest.raises(NnmtlError, match=r"expected .* tensors in 'network_weights', found none"):
        load(planned(PLAIN, channels=1), {"network_weights": weights}, tmp_path)


class RunsOnLoading:
    """What an attacker puts into a pickle: unpickling it creates the file `marker`."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def trainer_of(network, folder, *, decay=0.9, dataset="Dataset003_Breast", fold=1):
    """What `warm_start` uses of an initialized trainer."""
    return SimpleNamespace(
        unwrapped=network,
        average=AveragedWeights(network, decay),
        fold=fold,
        plans_manager=SimpleNamespace(dataset_name=dataset),
        output_folder=str(folder),
        print_to_log_file=lambda line: (folder / "log.txt").write_text(line),
    )


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    checkpoint = nnssl_checkpoint(pretrained(PLAIN))
    checkpoint["citations"] = RunsOnLoading(tmp_path / "marker")
    trainer = trainer_of(planned(PLAIN, channels=1), tmp_path)
    with pytest.raises(NnmtlError, match=r"names \w+\.system, which loading would run"):
        warm_start(trainer, saved(checkpoint, tmp_path))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["missing.pth", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(NnmtlError, match=r"-pretrained_weights .*: expected a checkpoint, but"):
        warm_start(trainer_of(planned(PLAIN, channels=1), tmp_path), tmp_path / name)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / WHERE).write_text("weights")
    with pytest.raises(NnmtlError, match=r"checkpoint_final\.pth: expected a checkpoint"):
        warm_start(trainer_of(planned(PLAIN, channels=1), tmp_path), tmp_path / WHERE)


def test_averaged_weights_start_from_the_loaded_ones(tmp_path):
    network = planned(RESIDUAL, channels=2)
    trainer = trainer_of(network, tmp_path)
    warm_start(trainer, saved(nnssl_checkpoint(pretrained(RESIDUAL)), tmp_path))
    raw = {name: value.detach().clone() for name, value in network.named_parameters()}
    with trainer.average.lent_to(network):
        assert all(torch.equal(value, raw[name]) for name, value in network.named_parameters())


def test_a_warm_start_draws_no_random_number(tmp_path):
    trainer = trainer_of(planned(PLAIN, channels=2), tmp_path)
    path = saved(nnunet_checkpoint(pretrained(PLAIN)), tmp_path)
    before = torch.get_rng_state()
    warm_start(trainer, path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_fold_keeps_a_record_and_the_log_counts(tmp_path):
    source, fold = pretrained(RESIDUAL), tmp_path / "fold_1"
    fold.mkdir()
    path = saved(nnssl_checkpoint(source), tmp_path)
    warm_start(trainer_of(planned(RESIDUAL, channels=3), fold), path)
    record = json.loads((fold / WARM_START).read_text())
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() == weights_hash(path)
    assert (record["checkpoint"], record["channels"]) == (str(path), [1, 3])
    log = (fold / "log.txt").read_text()
    assert f"loaded {len(record['loaded'])} of encoder" in log
    assert "(first convolution from 1 to 3 channels)" in log
    assert f"not used of the checkpoint: {len(record['unused'])} of decoder" in log
    assert {file.name for file in fold.iterdir()} == {WARM_START, "log.txt"}


@pytest.mark.parametrize(("trained", "fold"), [(0, 1), ("all", 1), (1, 0)])
def test_weights_that_saw_the_validation_cases_are_refused(tmp_path, trained, fold):
    path = saved(nnunet_checkpoint(pretrained(PLAIN), dataset="D", fold=trained), tmp_path)
    trainer = trainer_of(planned(PLAIN, channels=1), tmp_path, dataset="D", fold=fold)
    with pytest.raises(NnmtlError, match=f"trained on fold {trained} of D, .* of fold {fold}"):
        warm_start(trainer, path)


@pytest.mark.parametrize(
    ("dataset", "trained", "fold"), [("D", 1, 1), ("D", 0, "all"), ("Other", 0, 1)]
)
def test_weights_that_did_not_are_loaded(tmp_path, dataset, trained, fold):
    path = saved(nnunet_checkpoint(pretrained(PLAIN), dataset=dataset, fold=trained), tmp_path)
    warm_start(trainer_of(planned(PLAIN, channels=1), tmp_path, dataset="D", fold=fold), path)
    assert (tmp_path / WARM_START).is_file()
