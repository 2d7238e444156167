import math
from types import SimpleNamespace

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.trainer import nnMTLTrainer


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_task():
    trainer = SimpleNamespace(current_epoch=2)
    with pytest.raises(NnmtlError, match="Epoch 3: the loss of Ki67 is no longer"):
        nnMTLTrainer._refuse_divergence(trainer, {"segmentation": -0.4, "Ki67": math.nan})


def test_finite_losses_pass():
    nnMTLTrainer._refuse_divergence(SimpleNamespace(current_epoch=0), {"segmentation": -0.4})
