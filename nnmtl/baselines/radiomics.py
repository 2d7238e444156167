"""Radiomics of a case by the package `radiomics` (PyRadiomics), where it is installed."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from nnmtl.baselines.features import check_case
from nnmtl.baselines.tissue import find_surroundings, log_enhancement
from nnmtl.errors import NnmtlError

LOG_SIGMAS_MM = (2.0, 4.0)  # of the Laplacian of Gaussian: fine and coarse structures
SPACING_MM = 1.0  # textures need cubes (Zwanenburg et al., Radiology 2020)
BIN_WIDTH = 0.1  # on the log scale: a tenth more or less enhancement
PADDING_VOXELS = 12  # around the mask: 3 sigmas of the coarse filter


def radiomic_features(
    images: NDArray[np.float32], mask: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> dict[str, float]:
    """PyRadiomics features of one case: of the largest lesion, and of 5 mm around it.

    Intensities are those of `log_enhancement`, since textures of raw MR intensities depend on the
    scanner's scale. Features of the image and of its Laplacian of Gaussian; names such as
    ``channel0.peritumoral.original_glcm_Contrast`` and ``shape.Sphericity``.

    Args:
        images: (C, Z, Y, X), on any scale per channel; a constant channel is a missing one.
        mask: (Z, Y, X) tumor, with at least one voxel.
        spacing_mm: voxel size in the order of Z, Y, X.

    Returns:
        Numbers by name; a missing channel and a region that PyRadiomics refuses have none.

    Raises:
        NnmtlError: if the package is not installed, or the mask is empty or does not fit.
    """
    featureextractor = import_extractor()
    check_case(images, mask)
    present = [image for image in images if image.max() > image.min()]
    surroundings = find_surroundings(present[0] if present else images[0], mask, spacing_mm)
    lesion = surroundings.lesion
    shape = _shape_extractor(featureextractor)
    found = _execute(shape, lesion.astype(np.float32), lesion, spacing_mm)
    features = {f"shape.{name.rpartition('_')[2]}": value for name, value in found.items()}
    textures = _texture_extractor(featureextractor)
    regions = {"tumor": lesion, "peritumoral": surroundings.shells["peritumoral"]}
    for number, image in enumerate(images):
        values = log_enhancement(image, surroundings.reference)
        if values is None:
            continue
        for region, inside in regions.items():
            found = _execute(textures, values, inside, spacing_mm)
            features |= {f"channel{number}.{region}.{name}": found[name] for name in found}
    return features


def import_extractor() -> Any:
    """The module `radiomics.featureextractor`.

    Raises:
        NnmtlError: if it is not installed.
    """
    try:
        from radiomics import featureextractor
    except ImportError as error:
        raise NnmtlError(
            "radiomics: expected the package pyradiomics-bhklab, but it is not installed; run "
            "pip install 'nnmtl[radiomics]', which needs a C compiler, or use region features."
        ) from error
    # It reports every step of every case.
    logging.getLogger("radiomics").setLevel(logging.ERROR)
    return featureextractor


def _shape_extractor(featureextractor: Any) -> Any:
    extractor = featureextractor.RadiomicsFeatureExtractor()
    extractor.disableAllFeatures()
    extractor.enableFeatureClassByName("shape")
    return extractor


def _texture_extractor(featureextractor: Any) -> Any:
    """First-order and texture features of the image and of its filtered versions."""
    extractor = featureextractor.RadiomicsFeatureExtractor(
        binWidth=BIN_WIDTH,
        resampledPixelSpacing=[SPACING_MM] * 3,
        preCrop=True,
        padDistance=PADDING_VOXELS,
    )
    extractor.enableImageTypeByName("LoG", customArgs={"sigma": list(LOG_SIGMAS_MM)})
    extractor.enableAllFeatures()
    extractor.enableFeatureClassByName("shape", enabled=False)
    return extractor


def _execute(
    extractor: Any,
    values: NDArray[np.float32],
    inside: NDArray[np.bool_],
    spacing_mm: Sequence[float],
) -> dict[str, float]:
    """Features by PyRadiomics' names, without its diagnostics."""
    image, mask = (SimpleITK.GetImageFromArray(each) for each in (values, inside.astype(np.uint8)))
    for one in (image, mask):
        one.SetSpacing([float(step) for step in reversed(spacing_mm)])
    try:
        found = extractor.execute(image, mask)
    except ValueError:
        return {}  # it refuses a region of a few voxels, or of one row
    return {
        name: float(value) for name, value in found.items() if not name.startswith("diagnostics")
    }
