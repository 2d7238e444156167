"""How long `nnMTL_convert dicom` takes for many slices, beside dcm2niix, and how much memory.

    pip install dcm2niix
    python benchmarks/dicom_speed.py

Writes 1,000 slices of 256 by 256 voxels (patients of 5 phases each) in random order into one
folder, and lets both convert all phases into .nii.gz, in turns. Prints seconds on the clock and of
the processor, what reading headers, reading voxels and writing take, and the highest memory at 4
and at 16 series of the same size.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

PHASES, SIZE = 5, 256
STARTS_S = (0, 95, 171, 260, 340)
STAGES = """
import json, sys, time
from nnmtl.dataset_conversion import _dicom_case, _dicom_scan
from nnmtl.cli.convert import main

spent = {}

def timed(module, name, stage):
    inner = getattr(module, name)
    def run(*given, **named):
        start = time.perf_counter()
        try:
            return inner(*given, **named)
        finally:
            spent[stage] = spent.get(stage, 0) + time.perf_counter() - start
    setattr(module, name, run)

timed(_dicom_scan, "scan", "headers")
timed(_dicom_case, "read_volume", "voxels")
timed(_dicom_case, "_write_image", "writing")
main(sys.argv[1:])
print(json.dumps(spent))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        few, many = Path(work, "few"), Path(work, "many")
        write_slices(few, series=4, slices=arguments.slices)
        write_slices(many, series=16, slices=4 * arguments.slices)
        runs = [(ours(few, work), theirs(few, work)) for _ in range(arguments.runs)]
        best_ours = min((run[0] for run in runs), key=lambda run: run["processor_s"])
        best_theirs = min((run[1] for run in runs), key=lambda run: run["processor_s"])
        ratios = [one["clock_s"] / other["clock_s"] for one, other in runs]
        result = {
            "slices": arguments.slices,
            "nnMTL_convert": best_ours,
            "dcm2niix": best_theirs,
            "processor_ratio": best_ours["processor_s"] / best_theirs["processor_s"],
            "clock_ratios": ratios,
            "peak_mb": {"4 series": best_ours["peak_mb"], "16 series": ours(many, work)["peak_mb"]},
        }
    print(json.dumps(rounded(result), indent=2))


def write_slices(folder: Path, *, series: int, slices: int) -> None:
    """Slices of as many patients as series, in random order under names that tell nothing."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    places = slices // series // PHASES
    names = iter(rng.permutation(series * PHASES * places))
    for patient in range(series):
        uids = {name: generate_uid() for name in ("Study", "Series", "FrameOfReference")}
        for phase in range(PHASES):
            for place in range(places):
                file = slice_of(rng, patient, phase, place, uids)
                file.save_as(folder / f"IM{next(names):06d}", enforce_file_format=True)


def slice_of(
    rng: np.random.Generator, patient: int, phase: int, place: int, uids: dict[str, str]
) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID = MRImageStorage
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = generate_uid()
    file.PatientID, file.StudyInstanceUID = f"P{patient:03d}", uids["Study"]
    file.SeriesInstanceUID, file.SeriesNumber = uids["Series"], patient + 1
    file.FrameOfReferenceUID, file.Modality = uids["FrameOfReference"], "MR"
    file.ImageType, file.StudyDate = ["ORIGINAL", "PRIMARY", "M"], "20200229"
    file.TemporalPositionIdentifier, file.AcquisitionNumber = phase + 1, phase + 1
    file.TriggerTime, file.RepetitionTime, file.EchoTime = 1000 * STARTS_S[phase], 4.1, 1.3
    file.InstanceNumber = phase * 1000 + place + 1
    file.ImagePositionPatient, file.ImageOrientationPatient = (
        [-90, -90, 2 * place],
        [1, 0, 0, 0, 1, 0],
    )
    file.PixelSpacing, file.SliceThickness, file.SpacingBetweenSlices = [0.7, 0.7], 2, 2
    file.Rows, file.Columns, file.SamplesPerPixel = SIZE, SIZE, 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
    signal = np.add.outer(np.arange(SIZE), np.arange(SIZE)) + 40 * phase
    noisy = signal + rng.integers(0, 60, (SIZE, SIZE))
    file.PixelData = noisy.astype("<u2").tobytes()
    return file


def ours(source: Path, work: str) -> dict[str, float]:
    raw = Path(work, "raw")
    command = [sys.executable, "-c", STAGES, "dicom", str(source), "-d", "7", "--phase", "all"]
    told, result = measured(command, {**os.environ, "nnUNet_raw": str(raw)})
    count = len(list(raw.glob("*/imagesTr/*.nii.gz")))
    expected = len(list(source.iterdir()))
    assert count, "no image was written"
    assert expected % count == 0, f"{count} images of {expected} slices"
    shutil.rmtree(raw)
    stages = json.loads(told.splitlines()[-1])
    return {**result, **{f"{stage}_s": seconds for stage, seconds in stages.items()}}


def theirs(source: Path, work: str) -> dict[str, float]:
    program = shutil.which("dcm2niix")
    if program is None:
        sys.exit("dcm2niix was not found; run pip install dcm2niix")
    target = Path(work, "dcm2niix")
    target.mkdir()
    _, result = measured([program, "-z", "y", "-o", str(target), str(source)], dict(os.environ))
    assert list(target.glob("*.nii.gz"))
    shutil.rmtree(target)
    return result


def measured(command: list[str], environment: dict[str, str]) -> tuple[str, dict[str, float]]:
    """What a program tells, its seconds by clock and processor, and its highest memory."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            command, env=environment, stdout=told, stderr=subprocess.DEVNULL, text=True
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{command[0]} ended with {process.returncode}"
        told.seek(0)
        return told.read(), {
            "clock_s": time.perf_counter() - start,
            "processor_s": usage.ru_utime + usage.ru_stime,
            "peak_mb": peak_mb(usage),
        }


def peak_mb(usage: resource.struct_rusage) -> float:
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * bytes_per_unit / 1e6


def rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 2) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
