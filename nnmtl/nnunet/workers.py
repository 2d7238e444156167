"""Cases one after another in this process, or spread over others where that is sooner done."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")

# Files of that size are read and measured by one process in the second or two in which a worker
# starts (17 MB of hippocampi on an AMD EPYC: 5 s).
BYTES_PER_WORKER = 4 * 2**20
_IMPORTED_ONCE = ["nnmtl.nnunet.case_analysis", "nnmtl.nnunet.preprocess"]


def map_cases(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    files: Iterable[str | Path],
    num_processes: int,
    title: str,
) -> Iterator[Result]:
    """Results in the order of the jobs, as they are there; with a progress bar.

    Args:
        function: of a module, so that workers find it.
        jobs: one per case.
        files: all that is read, whose size decides whether workers are worth their start.
        num_processes: workers at most; with 1, or little to do, all stays in this process.
        title: of the bar.
    """
    num_workers = worth_workers(files, num_processes)
    if num_workers == 1:
        yield from map(function, tqdm(jobs, desc=title, unit="case"))
        return
    with ProcessPoolExecutor(num_workers, _context(), _one_thread) as pool:
        yield from tqdm(
            pool.map(function, jobs, chunksize=4), total=len(jobs), desc=title, unit="case"
        )


def worth_workers(files: Iterable[str | Path], num_processes: int) -> int:
    """How many processes to share the reading of these files; 1 for this one alone."""
    if num_processes == 1:
        return 1
    num_bytes = sum(Path(path).stat().st_size for path in files)
    return max(1, min(num_processes, num_bytes // BYTES_PER_WORKER))


def start_importing(raw: Path, num_processes: int) -> None:
    """Has the process that workers are forked from import torch beside what this one does next.

    Args:
        raw: folder of the dataset that is to be read; nothing starts if it is small.
        num_processes: workers at most.
    """
    files = [path for path in raw.glob("*Tr/*") if path.is_file()]
    if _has_fork_server() and worth_workers(files, num_processes) > 1:
        _context().Process(target=_one_thread, daemon=True).start()


def _context() -> Any:
    # Not fork: after torch has started threads that can deadlock. A fork server has none; torch and
    # nnU-Net are imported once in it, where spawned workers would each import their own.
    if not _has_fork_server():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    return context


def _has_fork_server() -> bool:
    return "forkserver" in multiprocessing.get_all_start_methods()


def _one_thread() -> None:
    import SimpleITK
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
