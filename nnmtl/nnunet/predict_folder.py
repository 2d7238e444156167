"""Predicts a folder of images: masks, region maps and biomarkers, one case after another."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from nnmtl.cohort.biomarker import Biomarker, ContinuousBiomarker
from nnmtl.cohort.covariates import read_covariates
from nnmtl.cohort.declaration import Declaration, parse_declaration
from nnmtl.cohort.image_file import check_voxels
from nnmtl.errors import NnmtlError
from nnmtl.inference.beta import beta_at_least, beta_median
from nnmtl.inference.case_prediction import STATUS_OK, BiomarkerPrediction, CasePrediction
from nnmtl.inference.flags import case_flags
from nnmtl.inference.predictions import PredictionSet, write_predictions
from nnmtl.losses.targets import from_head_scale
from nnmtl.nnunet.center_files import read_center_files
from nnmtl.nnunet.head_features import features_path, recorded_features
from nnmtl.nnunet.journal import Journal
from nnmtl.nnunet.prediction_input import (
    CHECKPOINT,
    check_center,
    find_folds,
    find_images,
    read_model_dataset,
)
from nnmtl.nnunet.predictor import (
    PreprocessedCase,
    RawPrediction,
    load_predictor,
    nnMTLPredictor,
)
from nnmtl.nnunet.safe_loading import check_model_folder
from nnmtl.regions.weights import Region, region_label_map

logger = logging.getLogger(__name__)

EMPTY = "empty_segmentation"
Case = tuple[str, Callable[[], PreprocessedCase]]


def predict_folder(  # noqa: PLR0913
    images: Path,
    output: Path,
    model: Path,
    *,
    folds: Sequence[int | str] | None,
    device: torch.device,
    center: str | None = None,
    exact: bool = False,
    with_features: bool = False,
    covariates: Path | None = None,
) -> None:
    """Predicts every case in a folder of nnU-Net-style images.

    Cases that an interrupted call has finished are not predicted again.

    Args:
        images: `<case>_0000<ending>` and so on, one file per channel.
        output: where masks, `regions/`, biomarkers.csv and biomarkers.json go.
        model: a folder that nnMTL_train wrote.
        folds: folds to average over; None takes all that are there.
        device: where the network runs.
        center: noted for every case, and the center whose grid they are predicted on; without it
            each case is predicted on the grid whose images have the most similar voxels.
        exact: nnU-Net's own precision, and the shared grid where no center is named, for identical
            label maps.
        with_features: whether what the heads saw goes to `features/`.
        covariates: table of clinical covariates; what it does not have is told to the model as
            missing.

    Raises:
        NnmtlError: if the model, the images or the table are not what is expected, before anything
            is written.
    """
    folds = find_folds(model, folds)
    if output.resolve() == images.resolve():
        raise NnmtlError(
            f"-o {output}: expected another folder than that of the images, among which masks "
            "would be taken for cases; name another."
        )
    dataset_json = read_model_dataset(model)
    names = parse_declaration(dataset_json).covariates
    centers = read_center_files(model)
    check_center(center, model, later=[name for name, _ in centers.values()])
    files = find_images(images, dataset_json)
    clinical = read_covariates(covariates, names, files) if covariates else {}
    check_model_folder(model, folds, CHECKPOINT)
    every_file = [Path(path) for paths in files.values() for path in paths]
    for path in tqdm(every_file, desc="Checking images", unit="file"):
        check_voxels(path)
    further = {slug: configuration for slug, (_, configuration) in centers.items()}
    predictor = load_predictor(model, folds, device=device, exact=exact, centers=further)
    cases = [(case, _reader(predictor, paths, center)) for case, paths in files.items()]
    predict_cases(
        predictor,
        cases,
        output,
        model=model,
        folds=folds,
        center_of=lambda _: center,
        asked_for={"center": center},
        with_features=with_features,
        covariates_of=clinical.get,
    )


def predict_cases(  # noqa: PLR0913
    predictor: nnMTLPredictor,
    cases: Sequence[Case],
    output: Path,
    *,
    model: Path,
    folds: Sequence[int | str],
    center_of: Callable[[str], str | None],
    covariates_of: Callable[[str], NDArray[np.float64] | None] = lambda _: None,
    asked_for: Mapping[str, Any] = MappingProxyType({}),
    with_features: bool = False,
) -> None:
    """Predicts cases that are read one by one, and writes the prediction files.

    Args:
        predictor: of the model.
        cases: id and how it is read, one after another.
        output: where the files go.
        model: its folder.
        folds: that are averaged.
        center_of: case id → what is noted as its center.
        covariates_of: case id → clinical covariates.
        asked_for: options besides, with which a finished case must have been predicted to count.
        with_features: whether what the heads saw is written, too.
    """
    declaration = parse_declaration(predictor.dataset_json)
    writer = predictor.plans_manager.image_reader_writer_class()
    ending = predictor.dataset_json["file_ending"]
    (output / "regions").mkdir(parents=True, exist_ok=True)
    journal = Journal(output, {**_made_by(predictor, model, folds), **asked_for})
    noted = journal.finished()
    clinical = {case: _clinical(covariates_of(case), declaration) for case, _ in cases}
    finished = {
        case: noted[case]
        for case, _ in cases
        if case in noted
        and noted[case].get("covariates") == clinical[case]
        and (output / (case + ending)).is_file()
        and (not with_features or features_path(output, case).is_file())
    }
    todo = [(case, read) for case, read in cases if case not in finished]
    recording = recorded_features(predictor, output) if with_features else nullcontext(_forget)
    with recording as record:
        for case_id, read in tqdm(todo, desc="Predicting", unit="case"):
            data, properties, nearest = read()
            result = predictor.predict_case(
                data,
                properties,
                grid=None if nearest is None else nearest.grid,
                covariates=covariates_of(case_id),
            )
            record(case_id)
            name = case_id + ending
            _write_maps(result, predictor, declaration, writer, output, name, properties)
            is_near = nearest is None or nearest.is_near
            answer = _answers(result, clinical[case_id], declaration, properties, is_near=is_near)
            finished[case_id] = answer
            journal.add(case_id, answer)
    predictions = _prediction_set(finished, predictor, declaration, model.name, folds, center_of)
    write_predictions(predictions, output)
    journal.remove()


def _forget(case_id: str) -> None:
    """Stands for a recording of features where none is asked for."""


def _made_by(predictor: nnMTLPredictor, model: Path, folds: Sequence[int | str]) -> dict[str, Any]:
    """What must be equal for a case not to be predicted again."""
    checkpoints = [model / f"fold_{fold}" / CHECKPOINT for fold in folds]
    return {
        "model": str(model.resolve()),
        "folds": list(folds),
        "written": [path.stat().st_mtime_ns for path in checkpoints if path.is_file()],
        "exact": predictor.exact,
        "grids": []
        if predictor.grids is None
        else [[grid.name, grid.spacing_mm, grid.roi_size] for grid in predictor.grids.all],
    }


def _reader(
    predictor: nnMTLPredictor, paths: list[str], center: str | None
) -> Callable[[], PreprocessedCase]:
    return lambda: predictor.preprocess(paths, center)


def _write_maps(
    result: RawPrediction,
    predictor: nnMTLPredictor,
    declaration: Declaration,
    writer: Any,
    output: Path,
    name: str,
    properties: dict[str, Any],
) -> None:
    """The region map first, so that a mask that exists means a finished pair."""
    if predictor.multitask is not None:
        mask = np.isin(result.label_map, declaration.tumor_labels)
        shells = [
            Region(
                region.name,
                -np.inf if region.inner_mm is None else region.inner_mm,
                np.inf if region.outer_mm is None else region.outer_mm,
            )
            for region in predictor.multitask.plan.regions
            if region.outer_mm is not None
        ]
        regions = region_label_map(mask, properties["spacing"], shells)
        writer.write_seg(regions, str(output / "regions" / name), properties)
    writer.write_seg(result.label_map, str(output / name), properties)


def _answers(
    result: RawPrediction,
    clinical: list[float | None],
    declaration: Declaration,
    properties: dict[str, Any],
    *,
    is_near: bool,
) -> dict[str, Any]:
    """What of a case goes into the tables, as plain JSON values."""
    mask = np.isin(result.label_map, declaration.tumor_labels)
    spacing = properties["spacing"]
    folds = [
        {name: [float(value) for value in values] for name, values in fold.items()}
        for fold in result.outputs
    ]
    return {
        "volume_ml": float(mask.sum() * np.prod(spacing) / 1000),
        "flags": case_flags(
            mask,
            spacing,
            is_truncated=result.is_truncated,
            is_phantom=declaration.synthetic is not None,
            is_unlike_all=not is_near,
            lacks_covariate=None in clinical,
        ),
        "folds": folds,
        "covariates": clinical,
    }


def _clinical(
    covariates: NDArray[np.float64] | None, declaration: Declaration
) -> list[float | None]:
    """As plain JSON values, None where missing."""
    if covariates is None:
        return [None] * len(declaration.covariates)
    return [None if np.isnan(value) else float(value) for value in covariates]


def _prediction_set(
    finished: dict[str, dict[str, Any]],
    predictor: nnMTLPredictor,
    declaration: Declaration,
    model_name: str,
    folds: Sequence[int | str],
    center_of: Callable[[str], str | None],
) -> PredictionSet:
    heads = () if predictor.multitask is None else predictor.multitask.plan.heads
    # A single-task model answers one of those declared.
    answered = {head.name for head in heads}
    biomarkers = tuple(each for each in declaration.biomarkers if each.name in answered)
    parameters = predictor.list_of_parameters

    def learned(kinds: tuple[str, ...], buffer: str) -> dict[str, float]:
        means = {
            head.name: float(
                np.mean([each[f"tower.heads.{head.name}.{buffer}"] for each in parameters])
            )
            for head in heads
            if head.kind in kinds
        }
        # nan: no training case of the fold had this biomarker.
        return {name: mean for name, mean in means.items() if not np.isnan(mean)}

    scale_of = {head.name: head for head in heads}
    cases = tuple(
        _case(case_id, answer, biomarkers, scale_of, center_of(case_id))
        for case_id, answer in sorted(finished.items())
    )
    return PredictionSet(
        trained_on="patients" if declaration.synthetic is None else "phantom",
        model=model_name,
        folds=tuple(fold for fold in folds if isinstance(fold, int)),
        biomarkers=biomarkers,
        thresholds=learned(("binary",), "threshold"),
        training_median=learned(("continuous", "beta"), "median"),
        cases=cases,
    )


def _case(
    case_id: str,
    answer: dict[str, Any],
    biomarkers: Sequence[Biomarker],
    scale_of: dict[str, Any],
    center: str | None,
) -> CasePrediction:
    is_empty = not answer["folds"] and bool(biomarkers)
    return CasePrediction(
        case_id=case_id,
        center=center,
        status=EMPTY if is_empty else STATUS_OK,
        reason="no tumor was segmented, so there is no region to look at" if is_empty else None,
        flags=tuple(answer["flags"]),
        tumor_volume_ml=answer["volume_ml"],
        biomarkers={
            biomarker.name: _biomarker(answer["folds"], biomarker, scale_of[biomarker.name])
            for biomarker in biomarkers
        },
    )


def _biomarker(folds: list[dict[str, Any]], biomarker: Biomarker, head: Any) -> BiomarkerPrediction:
    cutoffs: tuple[float, ...] = ()
    if head.kind == "beta" and isinstance(biomarker, ContinuousBiomarker):
        cutoffs = biomarker.cutoffs
    if not folds:
        nothing = (np.nan,) * head.num_answers
        return BiomarkerPrediction(answer=nothing, at_least=(np.nan,) * len(cutoffs))
    values = np.array([fold[biomarker.name] for fold in folds], dtype=float)
    # The folds' distributions are mixed: a cutoff is reached as often as on average over them.
    at_least = beta_at_least(values, cutoffs, head).mean(0).tolist() if cutoffs else ()
    if head.kind == "continuous":
        values = from_head_scale(values, head)
    elif head.kind == "beta":
        values = beta_median(values, head)[:, None]
    spread = float(values.std(0, ddof=1).max()) if len(values) > 1 else None
    return BiomarkerPrediction(
        answer=tuple(values.mean(0).tolist()),
        fold_sd=spread,
        folds=tuple(tuple(each) for each in values.tolist()),
        at_least=tuple(at_least),
    )
