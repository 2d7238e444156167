"""Predicts cases: nnU-Net's segmentation, then the heads on the tumor it found."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from numpy.typing import NDArray
from torch import Tensor

from nnmtl.cohort.declaration import parse_declaration
from nnmtl.errors import NnmtlError
from nnmtl.inference.roi import roi_box, roi_center
from nnmtl.losses.beta import bounded_parameters
from nnmtl.network.answers import head_answers
from nnmtl.network.multitask_unet import HeadInput, MultiTaskUNet
from nnmtl.nnunet.extension import make_trainer_findable
from nnmtl.nnunet.grids import Grid, Grids, Nearest, read_grids
from nnmtl.nnunet.precision import autocast_for
from nnmtl.nnunet.prediction_input import CHECKPOINT
from nnmtl.planning.training import TrainingPlan
from nnmtl.regions.lesion import largest_lesion

logger = logging.getLogger(__name__)

SLICES_2D = 5  # slices through the tumor that a 2d model answers for


class RawPrediction(NamedTuple):
    """What the network says of a case.

    Attributes:
        label_map: in the image's own geometry.
        outputs: per fold, biomarker → (num_outputs,) probabilities, the value on the head's scale,
            or a beta head's mean logit and log precision; empty without a tumor.
        is_truncated: whether the tumor reaches beyond the region of interest.
    """

    label_map: NDArray[np.integer]
    outputs: list[dict[str, NDArray[np.float64]]]
    is_truncated: bool


class PreprocessedCase(NamedTuple):
    """A case as the network takes it.

    Attributes:
        data: (C, *spatial) at the grid's spacing.
        properties: as nnU-Net's preprocessing returns them.
        nearest: the grid, and whether the image is like those that it was planned for; None for
            plans without a section of ours.
    """

    data: Tensor
    properties: dict[str, Any]
    nearest: Nearest | None


class nnMTLPredictor(nnUNetPredictor):
    """nnU-Net's predictor, followed by the heads.

    `exact` keeps nnU-Net's own precision (float32 on a CPU), so that label maps are identical to
    nnUNetv2_predict's; otherwise a CPU that has bfloat16 uses it.
    """

    def __init__(self, *, device: torch.device, exact: bool = False) -> None:
        super().__init__(device=device, allow_tqdm=False, perform_everything_on_device=True)
        self.exact = exact
        self.grids: Grids | None = None

    @property
    def multitask(self) -> MultiTaskUNet | None:
        """The network, if it has heads."""
        network = getattr(self.network, "_orig_mod", self.network)
        return network if isinstance(network, MultiTaskUNet) else None

    @property
    def plan(self) -> TrainingPlan:
        """Our section of the configuration in use."""
        return self.grid.training

    def predict_sliding_window_return_logits(self, input_image: Tensor) -> Tensor:
        """nnU-Net's, in the precision asked for."""
        precision = nullcontext() if self.exact else autocast_for(self.device)
        with precision:
            return super().predict_sliding_window_return_logits(input_image)

    def preprocess(self, images: list[str], center: str | None = None) -> PreprocessedCase:
        """nnU-Net's preprocessing of one case's channels, on the grid that suits them.

        Args:
            images: a file per channel.
            center: whose grid it is to be; None finds the nearest. With `exact` that is the shared
                one, which nnU-Net's own prediction knows alone.
        """
        data, properties = self.plans_manager.image_reader_writer_class().read_images(images)
        nearest = None if self.grids is None else self._grid_for(properties["spacing"], center)
        configuration = self.configuration_manager if nearest is None else nearest.grid.manager
        preprocessor = configuration.preprocessor_class(verbose=False)
        data, _, properties = preprocessor.run_case_npy(
            data, None, properties, self.plans_manager, configuration, self.dataset_json
        )
        return PreprocessedCase(torch.from_numpy(data), properties, nearest)

    def _grid_for(self, spacing: Sequence[float], center: str | None) -> Nearest:
        if center is not None:
            return Nearest(self.grids.of_center(center), is_near=True)
        if self.exact:
            return Nearest(self.grids.reference, is_near=True)
        return self.grids.nearest([spacing[axis] for axis in self.plans_manager.transpose_forward])

    def predict_case(
        self,
        data: Tensor,
        properties: dict[str, Any],
        *,
        grid: Grid | None = None,
        covariates: NDArray[np.float64] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> RawPrediction:
        """Segments a preprocessed case and answers every biomarker.

        Args:
            data: (C, *spatial) at the planned spacing.
            properties: as nnU-Net's preprocessing returns them.
            grid: that the case was preprocessed on; None is the shared one.
            covariates: clinical covariates in declared order, nan where missing.
            mask: tumor mask (*spatial) to use for the heads instead of the predicted one.
        """
        if self.grids is not None:
            self.grid = grid or self.grids.reference
            self.configuration_manager = self.grid.manager
        logits = self.predict_logits_from_preprocessed_data(data)
        label_map = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits,
            self.plans_manager,
            self.configuration_manager,
            self.label_manager,
            properties,
            num_threads_torch=torch.get_num_threads(),
        )
        if self.multitask is None:
            return RawPrediction(label_map, [], is_truncated=False)
        if mask is None:
            planned = np.asarray(self.label_manager.convert_logits_to_segmentation(logits))
            mask = np.isin(planned, self.multitask.plan.tumor_labels)
        if not mask.any():
            return RawPrediction(label_map, [], is_truncated=False)
        outputs, is_truncated = self._predict_biomarkers(data.numpy(), mask, covariates)
        return RawPrediction(label_map, outputs, is_truncated)

    def _predict_biomarkers(
        self, data: NDArray[np.float32], mask: NDArray[np.bool_], covariates: Any
    ) -> tuple[list[dict[str, NDArray[np.float64]]], bool]:
        images, masks, is_truncated = self._regions_of_interest(data, mask)
        clinical = None
        if self.multitask.plan.covariates:
            values = np.full(len(self.multitask.plan.covariates), np.nan)
            clinical = torch.from_numpy(values if covariates is None else covariates).float()
            clinical = clinical.expand(len(images), -1)
        views = [_flip(images, masks, axes) for axes in _flips(images.ndim - 2)]
        head_inputs = [self._measure(*view) for view in views]
        outputs = []
        for parameters in self.list_of_parameters:
            self.multitask.load_state_dict(parameters)
            answers = [
                self._answer(view[0], each, clinical)
                for view, each in zip(views, head_inputs, strict=True)
            ]
            outputs.append(
                {name: np.mean([each[name] for each in answers], 0) for name in answers[0]}
            )
        return outputs, is_truncated

    def _regions_of_interest(
        self, data: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> tuple[Tensor, Tensor, bool]:
        """Crops (B, C, *roi) and (B, *roi); B is 1 in 3D and a few slices in 2D."""
        roi_size = self.plan.roi_size
        mask = largest_lesion(mask)
        coordinates = np.argwhere(mask)
        is_2d = len(roi_size) == 2
        size = (1, *roi_size) if is_2d else roi_size
        center = roi_center(coordinates)
        centers = [center]
        if is_2d:
            quantiles = np.linspace(0.2, 0.8, SLICES_2D)
            found = np.quantile(coordinates[:, 0], quantiles, method="nearest")
            centers = [(int(number), *center[1:]) for number in dict.fromkeys(found)]
        boxes = [roi_box(middle, size) for middle in centers]
        images = np.stack([crop_and_pad_nd(data, box, 0) for box in boxes])
        masks = np.stack([crop_and_pad_nd(mask[None], box, 0)[0] for box in boxes])
        low, high = coordinates.min(0), coordinates.max(0)
        in_plane = slice(1, None) if is_2d else slice(None)
        is_truncated = any(
            first < start or last >= stop
            for first, last, (start, stop) in list(zip(low, high, boxes[0], strict=True))[in_plane]
        )
        if is_2d:
            images, masks = images[:, :, 0], masks[:, 0]
        return torch.from_numpy(images).float(), torch.from_numpy(masks.astype(bool)), is_truncated

    @torch.inference_mode()
    def _measure(self, images: Tensor, masks: Tensor) -> HeadInput:
        """As much work as segmenting, and of no weights, so the same for every fold."""
        with nullcontext() if self.exact else autocast_for(self.device):
            return self.multitask.to(self.device).measure(
                images.to(self.device), masks.to(self.device), self.grid.spacing_mm
            )

    @torch.inference_mode()
    def _answer(
        self, images: Tensor, head_input: HeadInput, clinical: Tensor | None
    ) -> dict[str, Any]:
        with nullcontext() if self.exact else autocast_for(self.device):
            outputs = self.multitask.to(self.device).answer(
                images.to(self.device), head_input, covariates=clinical
            )
        answers = {}
        for head in self.multitask.plan.heads:
            values = outputs[head.name].float()
            module = self.multitask.tower.head(head.name)
            if head.kind in ("continuous", "beta"):
                values = values * module.scale + module.center
            if head.kind == "beta":
                values = bounded_parameters(values)
            answers[head.name] = head_answers(values, head.kind).mean(0).double().cpu().numpy()
        return answers


def load_predictor(
    model: Path,
    folds: list[int | str],
    *,
    device: torch.device,
    exact: bool,
    centers: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> nnMTLPredictor:
    """A predictor of a model folder that was checked before (`check_model_folder`).

    Args:
        model: the folder.
        folds: to average over.
        device: where the network runs.
        exact: whether label maps are to be nnU-Net's own.
        centers: slug → configuration of centers that were planned after the training.

    Raises:
        NnmtlError: if plans, dataset.json and weights are not of one training.
    """
    make_trainer_findable()
    predictor = nnMTLPredictor(device=device, exact=exact)
    try:
        predictor.initialize_from_trained_model_folder(str(model), folds, CHECKPOINT)
        network = getattr(predictor.network, "_orig_mod", predictor.network)
        for parameters in predictor.list_of_parameters:
            network.load_state_dict(parameters)
        predictor.grids = _grids(predictor, centers)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "state_dict" not in str(error):
            raise  # of this machine, such as a library that cannot be imported
        raise NnmtlError(
            f"-m {model}: expected plans.json, dataset.json and checkpoints of one training, but "
            f"they do not fit together ({str(error).splitlines()[0]}); copy the model folder again."
        ) from error
    _refuse_undeclared(predictor, model)
    _refuse_no_numbers(predictor, network, model)
    return predictor


def _refuse_undeclared(predictor: nnMTLPredictor, model: Path) -> None:
    heads = () if predictor.multitask is None else predictor.multitask.plan.heads
    declared = {each.name for each in parse_declaration(predictor.dataset_json).biomarkers}
    lost = [head.name for head in heads if head.name not in declared]
    if lost:
        raise NnmtlError(
            f"{model / 'dataset.json'}: expected the biomarkers that the model answers, but "
            f"{', '.join(lost)} is missing; copy the model folder again."
        )


def _refuse_no_numbers(predictor: nnMTLPredictor, network: torch.nn.Module, model: Path) -> None:
    """Of nan weights the segmentation would be empty; buffers are nan where nothing was fitted."""
    names = [name for name, _ in network.named_parameters()]
    weights = [each[name] for each in predictor.list_of_parameters for name in names]
    if not all(bool(weight.isfinite().all()) for weight in weights):
        raise NnmtlError(
            f"-m {model}: expected weights that are numbers, but some are nan or infinite; copy "
            "the model folder again, or train anew."
        )


def _grids(predictor: nnMTLPredictor, centers: Mapping[str, Mapping[str, Any]]) -> Grids | None:
    """Those of the configuration that nnU-Net has taken from the checkpoint, without its name."""
    plans, trained = predictor.plans_manager, predictor.configuration_manager.configuration
    if "nnmtl" not in trained:
        return None
    (name,) = [
        name
        for name in plans.available_configurations
        if plans.get_configuration(name).configuration == trained
    ]
    return read_grids(plans, name, further=centers)


def _flips(dimension: int) -> list[tuple[int, ...]]:
    """No flip, each of the two in-plane axes, both: tensor axes of a (B, *spatial) mask."""
    in_plane = (dimension - 1, dimension)
    return [axes for count in range(3) for axes in itertools.combinations(in_plane, count)]


def _flip(images: Tensor, masks: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    if not axes:
        return images, masks
    return images.flip([axis + 1 for axis in axes]), masks.flip(list(axes))
