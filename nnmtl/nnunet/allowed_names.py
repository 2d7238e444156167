"""Every name that a model folder may ask nnU-Net to look up or import: closed lists for 2.8.1."""

_ARCHITECTURES = "dynamic_network_architectures.architectures"

UNETS = frozenset(
    {
        f"{_ARCHITECTURES}.unet.PlainConvUNet",
        f"{_ARCHITECTURES}.unet.ResidualEncoderUNet",
        f"{_ARCHITECTURES}.unet.ResidualUNet",
        # Where plans of nnU-Net 2.0 to 2.2 say it is; nnU-Net finds it by the class name.
        f"{_ARCHITECTURES}.residual_unet.ResidualEncoderUNet",
    }
)
NETWORKS = UNETS | {"nnmtl.nnunet.network.PlannedMultiTaskUNet"}


def _with_short_names(module: str, names: tuple[str, ...]) -> set[str]:
    """`torch.nn.Conv3d` and where it is defined, `torch.nn.modules.conv.Conv3d`."""
    return {
        f"{where}.{name}" for where in ("torch.nn", f"torch.nn.modules.{module}") for name in names
    }


LAYERS = frozenset(
    _with_short_names("conv", ("Conv1d", "Conv2d", "Conv3d"))
    | _with_short_names("instancenorm", ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"))
    | _with_short_names("batchnorm", ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"))
    | _with_short_names("normalization", ("GroupNorm", "LayerNorm"))
    | _with_short_names("dropout", ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d"))
    | _with_short_names(
        "activation", ("ReLU", "LeakyReLU", "PReLU", "ELU", "GELU", "SELU", "SiLU", "Mish")
    )
)
# Arguments that nnU-Net's networks take as classes, whether or not the plans list them for import.
LAYER_ARGUMENTS = frozenset({"conv_op", "norm_op", "dropout_op", "nonlin"})

_RESAMPLING = frozenset(
    {
        "resample_data_or_seg_to_shape",
        "resample_data_or_seg_to_spacing",
        "resample_torch_fornnunet",
        "resample_torch_simple",
        "no_resampling_hack",
    }
)
_READERS = frozenset(
    {
        "SimpleITKIO",
        "SimpleITKIOWithReorient",
        "NibabelIO",
        "NibabelIOWithReorient",
        "Tiff3DIO",
        "NaturalImage2DIO",
    }
)
_NORMALIZATION = frozenset(
    {
        "ZScoreNormalization",
        "CTNormalization",
        "NoNormalization",
        "RescaleTo01Normalization",
        "RGBTo01Normalization",
    }
)
_PLANNERS = frozenset(
    {
        "ExperimentPlanner",
        "ResEncUNetPlanner",
        "nnUNetPlannerResEncM",
        "nnUNetPlannerResEncL",
        "nnUNetPlannerResEncXL",
        "nnUNetPlannerResEncL_torchres",
        "nnUNetPlannerResEncL_torchres_sepz",
        "nnUNetPlanner_torchres",
        "nnUNetPlannerResEncL_noResampling",
        "nnMTLPlanner",
        "nnMTLPlannerResEncM",
        "nnMTLPlannerResEncL",
        "nnMTLPlannerResEncXL",
    }
)

# Keys of a plans file, at any depth, whose value (or each of whose values) is looked up by name.
NAMES_OF_KEY = {
    "network_class_name": NETWORKS,
    "unet_class_name": UNETS,
    "preprocessor_name": frozenset({"DefaultPreprocessor"}),
    "resampling_fn_data": _RESAMPLING,
    "resampling_fn_seg": _RESAMPLING,
    "resampling_fn_probabilities": _RESAMPLING,
    "normalization_schemes": _NORMALIZATION,
    "image_reader_writer": _READERS,
    "label_manager": frozenset({"LabelManager"}),
    "experiment_planner_used": _PLANNERS,
}

_NUMBERS_OF_EPOCHS = (5, 10, 20, 50, 100, 250, 500, 750, 2000, 4000, 8000)
TRAINERS = frozenset(
    {"nnMTLTrainer", "nnUNetTrainer", "nnUNetTrainerNoMirroring", "nnUNetTrainer_1epoch"}
    | {f"nnUNetTrainer_{number}epochs" for number in _NUMBERS_OF_EPOCHS}
)
