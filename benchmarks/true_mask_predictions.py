"""Predicts test cases with the heads looking at their true masks, beside predicted ones.

    python benchmarks/true_mask_predictions.py -d ID -m MODEL -o OUTPUT
    nnMTL_compare -d ID -o COMPARED --predictions predicted=PREDICTIONS true=OUTPUT

MODEL is a folder that nnMTL_train wrote, PREDICTIONS what nnMTL_predict made of imagesTs. The label
maps in OUTPUT are the predicted ones, so that only the biomarkers differ.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-d", dest="dataset", required=True)
    parser.add_argument("-m", dest="model", type=Path, required=True)
    parser.add_argument("-o", dest="output", type=Path, required=True)
    arguments = parser.parse_args()
    import torch

    from nnmtl.nnunet.extension import make_trainer_findable
    from nnmtl.nnunet.folders import dataset_name, raw_folder
    from nnmtl.nnunet.predict_folder import predict_cases
    from nnmtl.nnunet.prediction_input import find_folds, find_images
    from nnmtl.nnunet.predictor import load_predictor

    make_trainer_findable()
    folds = find_folds(arguments.model)
    predictor = load_predictor(arguments.model, folds, device=torch.device("cpu"), exact=False)
    raw = raw_folder(dataset_name(arguments.dataset))
    images = find_images(raw / "imagesTs", predictor.dataset_json)
    masks: dict[str, np.ndarray] = {}
    with_own_mask = predictor.predict_case

    def read(case: str, paths: list[str]):
        label = raw / "labelsTs" / (case + predictor.dataset_json["file_ending"])
        masks["now"] = true_mask(predictor, paths, label)
        return predictor.preprocess(paths)

    def predict_case(data, properties, **keywords):
        return with_own_mask(data, properties, **keywords, mask=masks["now"])

    predictor.predict_case = predict_case
    predict_cases(
        predictor,
        [(case, partial(read, case, paths)) for case, paths in images.items()],
        arguments.output,
        model=arguments.model,
        folds=folds,
        center_of=lambda _: None,
    )


def true_mask(predictor, paths: list[str], label: Path) -> np.ndarray:
    """The tumor (*spatial) on the grid that the network sees."""
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    _, label_map, _ = preprocessor.run_case(
        paths,
        str(label),
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.dataset_json,
    )
    return np.isin(label_map[0], predictor.multitask.plan.tumor_labels)


if __name__ == "__main__":
    main()
