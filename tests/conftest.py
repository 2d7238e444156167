"""Fixtures for all tests: seeds, a guard of the process's state, and the folder of real cases."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

SEED = 20240607


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in a test, whichever tests ran before it."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - nnU-Net draws from the global generator
    if "torch" in sys.modules:  # rooms without torch are tested without waiting for its import
        sys.modules["torch"].manual_seed(SEED)


@pytest.fixture(autouse=True)
def leaves_the_environment_as_it_was() -> Iterator[None]:
    """Fails a test that leaves a changed variable of nnU-Net's; `monkeypatch` undoes its own."""
    before = variables()
    yield
    after = variables()
    for name in after:
        del os.environ[name]
    os.environ.update(before)
    assert after == before, "the test leaves environment variables changed"


@pytest.fixture(autouse=True)
def leaves_the_working_folder_as_it_was() -> Iterator[None]:
    before = Path.cwd()
    yield
    after = Path.cwd()
    os.chdir(before)
    assert after == before, "the test leaves the working folder changed"


@pytest.fixture(autouse=True)
def leaves_torch_as_it_was() -> Iterator[None]:
    before = torch_state()
    yield
    after = torch_state()
    if before is not None and after != before:
        sys.modules["torch"].set_default_dtype(before["default dtype"])
        sys.modules["torch"].set_grad_enabled(before["gradient mode"])
        pytest.fail(f"the test leaves torch changed: {before} -> {after}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cases, one subfolder per source; never part of the repository."""
    value = os.environ.get("NNMTL_REAL_DATA")
    if not value:
        pytest.skip("NNMTL_REAL_DATA is not set: it names the folder of real cases")
    if not Path(value).is_dir():
        pytest.fail(f"NNMTL_REAL_DATA: expected a folder, got {value}")
    return Path(value)


def variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("nnUNet_")}


def torch_state() -> dict[str, object] | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "is_grad_enabled"):
        return None
    return {
        "default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
    }
