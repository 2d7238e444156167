"""Facts for planning: nnU-Net's fingerprint and, beside it, the cohort's."""

import logging
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets
from tqdm import tqdm

from nnmtl.cohort.case_geometry import check_geometries
from nnmtl.cohort.declaration import Declaration
from nnmtl.cohort.fingerprint import cohort_fingerprint
from nnmtl.errors import NnmtlError
from nnmtl.nnunet.cohort_files import (
    FINGERPRINT,
    copy_training_targets,
    read_declaration,
    read_json,
    write_json,
)
from nnmtl.nnunet.folders import preprocessed_folder, raw_folder
from nnmtl.nnunet.image_facts import CaseFacts, channel_names, read_case_facts
from nnmtl.nnunet.orientation import REORIENTING, need_reorienting

logger = logging.getLogger(__name__)

# nnU-Net samples 1e8 foreground voxels whatever the size of the dataset. Only CT normalization uses
# them; without it a hundredth serves.
SAMPLED_VOXELS = 1e6


class nnMTLFingerprintExtractor(DatasetFingerprintExtractor):
    """nnU-Net's fingerprint with fewer sampled voxels where nothing depends on them."""

    def __init__(
        self, dataset_name_or_id: str, num_processes: int = 2, *, reader: str | None = None
    ) -> None:
        """With a reader's name, the images are read by that one."""
        super().__init__(dataset_name_or_id, num_processes=num_processes)
        if reader is not None:
            self.dataset_json["overwrite_image_reader_writer"] = reader
        channels = self.dataset_json.get("channel_names", {}).values()
        if not any(str(name).casefold() == "ct" for name in channels):
            self.num_foreground_voxels_for_intensitystats = SAMPLED_VOXELS


def extract_fingerprint(name: str, *, num_processes: int = 2) -> None:
    """Writes dataset_fingerprint.json, targets.csv (training cases only) and our fingerprint.

    Args:
        name: dataset name as in nnUNet_raw.
        num_processes: workers of nnU-Net's extractor.
    """
    raw, preprocessed = raw_folder(name), preprocessed_folder(name)
    declaration, reader = read_declaration(raw), None
    dataset = get_filenames_of_train_images_and_targets(str(raw), read_json(raw / "dataset.json"))
    if not dataset:
        raise NnmtlError(f"{raw}: expected training images in imagesTr, found none.")
    if declaration is not None:
        table = copy_training_targets(raw, preprocessed, declaration, list(dataset))
        reader = _reader(raw, dataset, num_centers=len(set(table.centers)))
    logger.info("Extracting the fingerprint of %d cases", len(dataset))
    extractor = nnMTLFingerprintExtractor(name, num_processes=num_processes, reader=reader)
    extractor.run(overwrite_existing=True)
    if declaration is not None:
        # nnU-Net lists its cases in this order, without their ids.
        cropped = read_json(preprocessed / "dataset_fingerprint.json")["shapes_after_crop"]
        shapes = dict(zip(dataset, cropped, strict=True))
        facts = read_facts(raw, declaration, dataset, shapes, reader=reader)
        fingerprint = cohort_fingerprint(
            table,
            {case_id: of_case.geometry for case_id, of_case in facts.items()},
            declaration,
            intensities={case_id: of_case.intensity for case_id, of_case in facts.items()},
            channels=channel_names(read_json(raw / "dataset.json")),
        )
        is_reoriented = reader == REORIENTING
        write_json({**fingerprint, "reoriented": is_reoriented}, preprocessed / FINGERPRINT)


def _reader(raw: Path, dataset: dict[str, dict[str, Any]], *, num_centers: int) -> str | None:
    """The reader that the images need; None leaves it to dataset.json and nnU-Net."""
    if "overwrite_image_reader_writer" in read_json(raw / "dataset.json") or num_centers < 2:
        return None
    first = (Path(files["images"][0]) for files in dataset.values())
    return REORIENTING if need_reorienting(first) else None


def read_facts(
    raw: Path,
    declaration: Declaration,
    dataset: dict[str, dict[str, Any]],
    shapes_after_crop: dict[str, list[int]],
    *,
    reader: str | None = None,
) -> dict[str, CaseFacts]:
    """Grid, tumor and intensities of every training case, in nnU-Net's axis order.

    One case is in memory at a time; some dozen numbers of each stay.
    """
    first = next(iter(dataset.values()))["images"][0]
    dataset_json = read_json(raw / "dataset.json")
    if reader is not None:
        dataset_json["overwrite_image_reader_writer"] = reader
    reader_writer = determine_reader_writer_from_dataset_json(dataset_json, first)()
    facts = {
        case_id: read_case_facts(
            files["images"],
            reader_writer,
            channels=channel_names(dataset_json),
            label=files["label"],
            tumor_labels=declaration.tumor_labels,
            shape_after_crop=shapes_after_crop[case_id],
        )
        for case_id, files in tqdm(dataset.items(), desc="Measuring images", unit="case")
    }
    geometries = {case_id: of_case.geometry for case_id, of_case in facts.items()}
    check_geometries(geometries, where=str(raw))
    return facts
