"""Cases in this process, or in workers where those are worth their start."""

import os

import pytest

from nnmtl.nnunet.workers import BYTES_PER_WORKER, map_cases, worth_workers


@pytest.fixture
def files(tmp_path):
    """Ten files that take three workers, without their bytes on the disk."""
    paths = [tmp_path / str(index) for index in range(10)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(3 * BYTES_PER_WORKER // 10 + 1)
    return paths


@pytest.mark.parametrize(("num_files", "num_processes", "expected"), [
    (10, 1, 1), (10, 2, 2), (10, 8, 3), (7, 8, 2), (3, 8, 1), (0, 8, 1),
])  # fmt: skip
def test_workers_are_as_many_as_there_is_to_read(num_files, num_processes, expected, files):
    assert worth_workers(files[:num_files], num_processes) == expected


def test_few_files_stay_in_this_process(files):
    found = map_cases(lambda _: os.getpid(), [1, 2], files=[], num_processes=8, title="Cases")
    assert set(found) == {os.getpid()}


@pytest.mark.slow
def test_workers_give_the_results_of_one_process_in_order(files):
    jobs = [str(path) for path in files]
    found = map_cases(os.path.basename, jobs, files=files, num_processes=2, title="Cases")
    assert list(found) == [path.name for path in files]
