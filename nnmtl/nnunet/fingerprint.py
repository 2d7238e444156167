"""Facts for planning: nnU-Net's fingerprint and, beside it, the cohort's."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from numpy.typing import NDArray

from nnmtl.cohort.case_geometry import check_geometries
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.case_analysis import CaseAnalysis, CaseFiles, analyze_case
from nnmtl.nnunet.cohort_files import (
    FINGERPRINT,
    copy_training_targets,
    read_declaration,
    read_json,
    write_json,
)
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.image_facts import CaseFacts, channel_names
from nnmtl.nnunet.orientation import REORIENTING, need_reorienting
from nnmtl.nnunet.workers import map_cases

logger = logging.getLogger(__name__)

# nnU-Net samples 1e8 foreground voxels whatever the size of the dataset. Only CT normalization uses
# them; without it a hundredth serves.
SAMPLED_VOXELS = 1e6


class nnMTLFingerprintExtractor(DatasetFingerprintExtractor):
    """nnU-Net's fingerprint, with our facts of each case from the same reading of its images.

    nnU-Net's own `run` starts workers for any dataset and keeps what each has drawn several times;
    here its analysis of a case runs in this process unless workers are worth their start. The
    numbers are the same. Where none depends on them, fewer voxels are drawn.
    """

    def __init__(self, dataset_name_or_id: str, num_processes: int = 2) -> None:
        super().__init__(dataset_name_or_id, num_processes=num_processes)
        self.tumor_labels: tuple[int, ...] | None = None
        self.facts: dict[str, CaseFacts] = {}
        if not any(name.casefold() == "ct" for name in channel_names(self.dataset_json)):
            self.num_foreground_voxels_for_intensitystats = SAMPLED_VOXELS

    def measure(self, tumor_labels: tuple[int, ...], *, reader: str | None) -> None:
        """Has `run` fill `facts`; with a reader's name, the images are read by that one."""
        self.tumor_labels = tumor_labels
        if reader is not None:
            self.dataset_json["overwrite_image_reader_writer"] = reader

    def run(self, overwrite_existing: bool = False) -> dict[str, Any]:
        """Reads every case once and writes dataset_fingerprint.json.

        An existing one is kept, and no case read, unless it is to be overwritten. One case is in
        memory at a time, or one per worker; the voxels drawn stay, whose number does not grow with
        that of cases, and some dozen numbers of each.

        Raises:
            NnmtlError: for grids that no plan can be made for.
        """
        path = preprocessed_folder(self.dataset_name) / "dataset_fingerprint.json"
        if path.is_file() and not overwrite_existing:
            return dict(read_json(path))
        analyses = list(
            map_cases(
                analyze_case,
                self._jobs(),
                files=[
                    path
                    for case in self.dataset.values()
                    for path in (*case["images"], case["label"])
                ],
                num_processes=self.num_processes,
                title="Reading images",
            )
        )
        self.facts = {
            case_id: analysis.facts
            for case_id, analysis in zip(self.dataset, analyses, strict=True)
            if analysis.facts is not None
        }
        geometries = {case_id: of_case.geometry for case_id, of_case in self.facts.items()}
        check_geometries(geometries, where=self.input_folder)
        fingerprint = image_fingerprint(analyses)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(fingerprint, path)
        return fingerprint

    def _jobs(self) -> list[CaseFiles]:
        first = next(iter(self.dataset.values()))["images"][0]
        reader_class = determine_reader_writer_from_dataset_json(self.dataset_json, first)
        num_samples = int(self.num_foreground_voxels_for_intensitystats // len(self.dataset))
        return [
            CaseFiles(
                images=case["images"],
                label=case["label"],
                reader_class=reader_class,
                num_samples=num_samples,
                channels=channel_names(self.dataset_json),
                tumor_labels=self.tumor_labels,
            )
            for case in self.dataset.values()
        ]


def image_fingerprint(analyses: Sequence[CaseAnalysis]) -> dict[str, Any]:
    """nnU-Net's facts about a dataset, its keys and values."""
    num_channels = len(analyses[0].intensities)
    return {
        "spacings": [list(map(float, case.spacing)) for case in analyses],
        "shapes_after_crop": [list(map(int, case.shape_after_crop)) for case in analyses],
        "foreground_intensity_properties_per_channel": {
            str(channel): _intensity_properties(
                np.concatenate([case.intensities[channel] for case in analyses])
            )
            for channel in range(num_channels)
        },
        "median_relative_size_after_cropping": float(
            np.median([case.relative_size for case in analyses])
        ),
    }


def _intensity_properties(values: NDArray[Any]) -> dict[str, float]:
    low, median, high = np.percentile(values, (0.5, 50.0, 99.5))
    return {
        "mean": float(np.mean(values)),
        "median": float(median),
        "std": float(np.std(values)),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
        "percentile_99_5": float(high),
        "percentile_00_5": float(low),
    }


def extract_fingerprint(name: str, *, num_processes: int = 2) -> None:
    """Writes dataset_fingerprint.json, targets.csv (training cases only) and our fingerprint.

    Args:
        name: dataset name as in nnUNet_raw.
        num_processes: workers at most; a small dataset is read in this process.
    """
    raw, preprocessed = raw_folder(name), preprocessed_folder(name)
    declaration, reader = read_declaration(raw), None
    extractor = nnMTLFingerprintExtractor(name, num_processes=num_processes)
    dataset = extractor.dataset
    if not dataset:
        raise NnmtlError(f"{raw}: expected training images in imagesTr, found none.")
    if declaration is not None:
        table = copy_training_targets(raw, preprocessed, declaration, list(dataset))
        reader = _reader(raw, dataset, num_centers=len(set(table.centers)))
        extractor.measure(declaration.tumor_labels, reader=reader)
    logger.info("Extracting the fingerprint of %d cases", len(dataset))
    extractor.run(overwrite_existing=True)
    if declaration is not None:
        fingerprint = cohort_fingerprint(
            table,
            {case_id: of_case.geometry for case_id, of_case in extractor.facts.items()},
            declaration,
            intensities={case_id: facts.intensity for case_id, facts in extractor.facts.items()},
            channels=channel_names(extractor.dataset_json),
        )
        is_reoriented = reader == REORIENTING
        write_json({**fingerprint, "reoriented": is_reoriented}, preprocessed / FINGERPRINT)


def _reader(raw: Path, dataset: dict[str, dict[str, Any]], *, num_centers: int) -> str | None:
    """The reader that the images need; None leaves it to dataset.json and nnU-Net."""
    if "overwrite_image_reader_writer" in read_json(raw / "dataset.json") or num_centers < 2:
        return None
    first = (Path(files["images"][0]) for files in dataset.values())
    return REORIENTING if need_reorienting(first) else None
