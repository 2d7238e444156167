import math

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.monitor import refuse_divergence


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_task():
    with pytest.raises(NnmtlError, match="Epoch 3: the loss of Ki67 is no longer"):
        refuse_divergence({"segmentation": -0.4, "Ki67": math.nan}, 2)


def test_finite_losses_pass():
    refuse_divergence({"segmentation": -0.4}, 0)
