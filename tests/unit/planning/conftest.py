"""Centers and a plan of training for the tests of planning."""

import pytest

from nnmtl.cohort.group_geometry import GroupGeometry
from nnmtl.planning.training import TrainingPlan


@pytest.fixture(scope="session")
def make_center():
    return _make_center


def _make_center(name="A", num_cases=20, spacing=(1.0, 1.0, 1.0), shape=(128, 128, 128), **others):
    return GroupGeometry(
        name=name,
        num_cases=num_cases,
        spacing_mm=tuple(spacing),
        fine_spacing_mm=tuple(others.get("fine", spacing)),
        shape=tuple(shape),
        field_of_view_mm=tuple(n * mm for n, mm in zip(shape, spacing, strict=True)),
        tumor_extent_mm=others.get("extent"),
    )


@pytest.fixture(scope="session")
def make_training():
    """A plan of training, with some of its fields changed."""

    def make(**changes):
        fields = {
            "preset": "p",
            "spacing_policy": "pooled",
            "roi_size": (8, 8, 8),
            "roi_batch_size": 2,
            "roi_sampling": "uniform",
            "epochs": 10,
            "iterations_per_epoch": 10,
            "validation_iterations": 1,
            "warmup_fraction": 0.3,
            "true_mask_until": 0.6,
            "unet_optimizer": "sgd",
            "heads_optimizer": "adamw",
            "lr_unet": 0.01,
            "freeze_encoder": False,
            "lr_heads": 0.002,
            "weight_decay_heads": 0.0,
            "roi_segmentation_weight": 0.0,
            "encoder_gradient": 1.0,
            "loss_weights": {},
            "task_weighting": "fixed",
            "label_smoothing": 0.0,
            "ema_decay": 0.0,
            "linear_start": False,
            "mirror_in_prediction": False,
            "reasons": {},
        }
        return TrainingPlan(**fields | changes)

    return make
