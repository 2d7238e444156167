"""The network that plans name: nnU-Net's own segmentation, and heads beside it."""

import dataclasses

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.network import PlannedMultiTaskUNet
from nnmtl.planning.architecture import architecture_to_json

UNETS = "dynamic_network_architectures.architectures.unet"


def unet_arguments(dimension=3, *, residual=False):
    convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
    blocks = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    return {
        "n_stages": 3,
        "features_per_stage": [4, 6, 8],
        "conv_op": convolution,
        "kernel_sizes": [[3] * dimension] * 3,
        "strides": [[1] * dimension, [2] * dimension, [2] * dimension],
        blocks: [1, 1, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d if dimension == 3 else nn.InstanceNorm2d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


@pytest.fixture
def plan(breast_plan):
    return dataclasses.replace(breast_plan, heads=breast_plan.heads[:2])


@pytest.fixture
def hybrid_plan(plan):
    return dataclasses.replace(plan, taps=(0, 1, 2), token_mixer=True, self_attention=True)


@pytest.fixture
def network(plan):
    def build(
        *, deep_supervision=False, name=f"{UNETS}.PlainConvUNet", multitask=plan, **arguments
    ):
        return PlannedMultiTaskUNet(
            input_channels=2,
            num_classes=2,
            unet_class_name=name,
            multitask=architecture_to_json(multitask),
            deep_supervision=deep_supervision,
            **(arguments or unet_arguments()),
        ).eval()

    return build


def image(dimension=3):
    """Tissue with a bright ball in the middle."""
    fixed = torch.Generator().manual_seed(3)
    x = 100 + 10 * torch.rand(2, 2, *[16] * dimension, generator=fixed)
    x[(..., *[slice(5, 11)] * dimension)] += 100
    return x


def ball(dimension=3):
    mask = torch.zeros(2, *[16] * dimension, dtype=torch.bool)
    mask[(..., *[slice(5, 11)] * dimension)] = True
    return mask


def biomarkers(model, **options):
    options.setdefault("mask", ball())
    options.setdefault("covariates", torch.tensor([[50.0], [torch.nan]]))
    return model(image(), with_biomarkers=True, **options)


def awaken(model):
    """Heads start at zero: this gives them something to say."""
    for head in model.tower.heads.values():
        nn.init.normal_(head.learned.weight)
    return model


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dimension", [2, 3])
def test_segmentation_equals_nnunets_bit_for_bit(
    dimension, residual, deep_supervision, network, plan
):
    arguments = unet_arguments(dimension, residual=residual)
    stock_class = ResidualEncoderUNet if residual else PlainConvUNet
    stock = stock_class(
        input_channels=2, num_classes=2, deep_supervision=deep_supervision, **arguments
    ).eval()
    ours = network(
        name=f"{UNETS}.{stock_class.__name__}",
        deep_supervision=deep_supervision,
        multitask=dataclasses.replace(plan, spacing_mm=(1.0,) * dimension),
        **arguments,
    )
    missing, unexpected = ours.load_state_dict(stock.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("tower.") for name in missing)
    x = image(dimension)
    with torch.no_grad():
        expected, found = stock(x), ours(x)
    pairs = zip(expected, found, strict=True) if deep_supervision else [(expected, found)]
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_network_outside_the_closed_list_is_refused_before_it_is_imported(network):
    with pytest.raises(NnmtlError, match=r"unet_class_name'\] names 'os\.system'"):
        network(name="os.system")


def test_biomarkers_come_on_request_only(network):
    model = network()
    assert isinstance(model(image()), torch.Tensor)
    output = biomarkers(model)
    assert output.segmentation.shape == (2, 2, 16, 16, 16)
    assert {name: tuple(value.shape) for name, value in output.biomarkers.items()} == {
        "ER": (2, 1),
        "HER2_3": (2, 3),
    }
    assert output.measured.shape[1] == model.tower.standardize.mean.numel()


def test_biomarkers_do_not_change_the_segmentation(network):
    model = network()
    x = image()
    with torch.no_grad():
        alone = model(x)
        together = model(x, with_biomarkers=True, mask=ball(), covariates=torch.zeros(2, 1))
    assert torch.equal(alone, together.segmentation)


def test_a_decoder_that_is_not_trained_gets_no_gradient(network):
    model = awaken(network())
    output = biomarkers(model, train_decoder=False)
    assert not output.segmentation.requires_grad
    output.biomarkers["ER"].sum().backward()
    # nnU-Net's decoder holds the encoder too.
    gradients = {name: parameter.grad for name, parameter in model.decoder.named_parameters()}
    assert all(value is None for name, value in gradients.items() if "encoder." not in name)
    assert any(value is not None for name, value in gradients.items() if "encoder." in name)


def encoder_gradient(network, factor):
    torch.manual_seed(0)
    model = awaken(network())
    output = biomarkers(model, encoder_gradient=factor)
    output.biomarkers["ER"].sum().backward()
    encoder = [p.grad for p in model.encoder.parameters() if p.grad is not None]
    tower = [p.grad for p in model.tower.heads.parameters() if p.grad is not None]
    return output.biomarkers["ER"].detach(), encoder, tower


@pytest.mark.parametrize("factor", [0.0, 0.3, 0.5])
def test_the_heads_gradient_into_the_encoder_is_scaled_and_nothing_else(factor, network):
    answer, encoder, tower = encoder_gradient(network, 1.0)
    damped_answer, damped_encoder, damped_tower = encoder_gradient(network, factor)
    torch.testing.assert_close(damped_answer, answer)
    for whole, damped in zip(encoder, damped_encoder, strict=True):
        torch.testing.assert_close(damped, factor * whole, rtol=1e-3, atol=1e-6)
    for whole, damped in zip(tower, damped_tower, strict=True):
        torch.testing.assert_close(damped, whole, rtol=1e-4, atol=1e-5)


def segment(model, foreground):
    """Makes the segmentation foreground, or background, everywhere."""
    last = model.decoder.seg_layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 1.0] if foreground else [1.0, 0.0]))
    return model


def test_without_a_given_mask_the_own_segmentation_makes_the_regions(network):
    model = segment(network(), foreground=True)
    own = biomarkers(model, mask=None).measured
    everything = biomarkers(model, mask=torch.ones(2, 16, 16, 16, dtype=torch.bool)).measured
    torch.testing.assert_close(own, everything, equal_nan=True)


def test_a_mask_replaces_the_own_segmentation_where_it_is_given(network):
    model = segment(network(), foreground=True)
    mixed = biomarkers(model, mask_given=torch.tensor([True, False])).measured
    torch.testing.assert_close(mixed[0], biomarkers(model).measured[0], equal_nan=True)
    torch.testing.assert_close(mixed[1], biomarkers(model, mask=None).measured[1], equal_nan=True)


def test_an_empty_segmentation_falls_back_to_the_true_mask(network):
    model = segment(network(), foreground=False)
    found = biomarkers(model, mask_given=torch.tensor([False, False])).measured
    torch.testing.assert_close(found, biomarkers(model).measured, equal_nan=True)


def test_an_empty_mask_gives_finite_answers(network):
    model = awaken(network())
    output = biomarkers(model, mask=torch.zeros(2, 16, 16, 16, dtype=torch.bool))
    assert all(value.isfinite().all() for value in output.biomarkers.values())


def test_the_volume_is_that_of_the_mask(network):
    model = network()
    volume_ml = 6**3 * 2.0 * 1.0 * 1.0 / 1000
    measured = biomarkers(model, spacing_mm=(2.0, 1.0, 1.0)).measured
    volume = model.tower.num_statistics - 2  # before the covariate and the pooled features
    assert measured[0, volume].item() == pytest.approx(torch.tensor(volume_ml + 0.01).log().item())


def test_surface_errors_are_simulated_in_training_only(network, plan):
    model = network(multitask=dataclasses.replace(plan, jitter_mm=1.5))
    quiet = [biomarkers(model).measured for _ in range(2)]
    x = image()
    model.train()
    noisy = [
        model(x, with_biomarkers=True, mask=ball(), covariates=torch.zeros(2, 1)).measured
        for _ in range(2)
    ]
    assert quiet[0].shape == noisy[0].shape
    assert not torch.equal(*noisy)
    model.eval()
    still = [
        model(x, with_biomarkers=True, mask=ball(), covariates=torch.zeros(2, 1)).measured
        for _ in range(2)
    ]
    assert torch.equal(*still)


def test_nnunets_initialization_leaves_the_tower_alone(network):
    model = awaken(network())
    before = {name: value.clone() for name, value in model.tower.state_dict().items()}
    first = next(model.encoder.parameters()).clone()
    model.apply(model.initialize)
    for name, value in model.tower.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(next(model.encoder.parameters()), first)


def answers_of(model, x):
    options = {"mask": ball(), "covariates": torch.zeros(2, 1)}
    with torch.no_grad():
        return model(x, with_biomarkers=True, **options)


@pytest.mark.parametrize("shared_encoder", [True, False])
def test_masking_at_the_input_hides_everything_outside_the_regions(shared_encoder, network, plan):
    core = (plan.regions[0],)
    strict = dataclasses.replace(
        plan, regions=core, region_masking="input", shared_encoder=shared_encoder
    )
    pooled = dataclasses.replace(strict, region_masking="pool")
    x = image()
    other = torch.where(ball()[:, None], x, x + 40 * torch.rand(x.shape))
    for plan, hidden in ((strict, True), (pooled, False)):
        model = awaken(network(multitask=plan))
        answers = [answers_of(model, each).biomarkers["ER"] for each in (x, other)]
        assert torch.equal(*answers) == hidden


def test_masking_at_the_input_leaves_the_segmentation_alone(network, plan):
    strict = dataclasses.replace(plan, regions=plan.regions[:1], region_masking="input")
    model = network(multitask=strict)
    with torch.no_grad():
        assert torch.equal(answers_of(model, image()).segmentation, model(image()))


def test_an_encoder_of_their_own_is_trained_by_the_heads_alone(network, plan):
    model = awaken(network(multitask=dataclasses.replace(plan, shared_encoder=False)))
    sum(value.sum() for value in biomarkers(model).biomarkers.values()).backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert any(parameter.grad.abs().sum() > 0 for parameter in model.head_encoder.parameters())


def test_a_hybrid_starts_as_the_plain_network(network, plan, hybrid_plan):
    plain = network(multitask=dataclasses.replace(plan, taps=hybrid_plan.taps))
    hybrid = network(multitask=hybrid_plan)
    hybrid.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        expected, found = answers_of(plain, image()), answers_of(hybrid, image())
    torch.testing.assert_close(found.segmentation, expected.segmentation)
    torch.testing.assert_close(found.biomarkers, expected.biomarkers)


def test_segmentation_and_heads_both_train_the_self_attention(network, hybrid_plan):
    for loss_of in (
        lambda model: model(image()).square().sum(),
        lambda model: sum(value.sum() for value in biomarkers(model).biomarkers.values()),
    ):
        model = awaken(network(multitask=hybrid_plan))
        loss_of(model).backward()
        assert model.bottleneck.factor.grad.abs() > 0
