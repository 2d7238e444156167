"""`centers/<slug>.json`: what another command wrote is believed only as far as it must be."""

import copy
import json

import pytest

from nnmtl.errors import NnmtlError
from nnmtl.nnunet.center_files import read_center_files

SHARED = {
    "data_identifier": "nnMTLPlans_3d_fullres",
    "preprocessor_name": "DefaultPreprocessor",
    "batch_size": 2,
    "patch_size": [16, 64, 64],
    "spacing": [2.0, 1.0, 1.0],
    "normalization_schemes": ["ZScoreNormalization"],
    "architecture": {"arch_kwargs": {"strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]]}},
    "nnmtl": None,  # filled by the fixture
}
OWN = {
    "inherits_from": "3d_fullres",
    "spacing": [2.5, 1.2, 1.2],
    "patch_size": [12, 48, 48],
    "nnmtl": {"native_spacing_mm": [3.0, 1.2, 1.2], "roi_size": [8, 40, 40], "reasons": {}},
}
GOOD = {"schema": 1, "center": "St. Mary", "slug": "st-mary", "configuration": OWN, "made": "now"}


@pytest.fixture
def model(tmp_path):
    from nnmtl.planning.preset import load_preset

    training = {
        key: value
        for key, value in load_preset("spatial_mtl").training.items()
        if key not in ("head_weight", "max_roi_voxels")
    }
    derived = {"preset": "p", "roi_size": [16, 32, 32], "loss_weights": {}, "reasons": {}}
    shared = {**SHARED, "nnmtl": {**training, **derived, "epochs": 3}}
    (tmp_path / "plans.json").write_text(json.dumps({"configurations": {"3d_fullres": shared}}))
    (tmp_path / "centers").mkdir()
    return tmp_path


def write(model, content, name="st-mary"):
    (model / "centers" / f"{name}.json").write_text(json.dumps(content))


def test_a_model_without_such_files_has_none(tmp_path):
    assert read_center_files(tmp_path) == {}


def test_a_center_is_read_and_what_else_is_in_the_file_does_not_matter(model):
    write(model, GOOD)
    assert read_center_files(model) == {"st-mary": ("St. Mary", OWN)}


def test_a_whole_configuration_is_read_as_well(model):
    shared = json.loads((model / "plans.json").read_text())["configurations"]["3d_fullres"]
    section = {**shared["nnmtl"], **OWN["nnmtl"]}
    write(model, {**GOOD, "configuration": {**shared, **OWN, "nnmtl": section}})
    assert read_center_files(model)["st-mary"][1]["data_identifier"] == shared["data_identifier"]


def change(*keys, value):
    content = copy.deepcopy(GOOD)
    *path, last = keys
    place = content
    for key in path:
        place = place[key]
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a JSON object"),
        ({"schema": 1}, r"without \['center', 'slug', 'configuration'\]"),
        (change("schema", value=2), "expected schema 1"),
        (change("slug", value="mary"), "expected the center whose file name this is"),
        (change("center", value="Mary"), "expected the center whose file name this is"),
        (change("configuration", value=3), "configuration: expected a JSON object"),
        (change("configuration", "preprocessor_name", value="os.system"), "os.system"),
        (change("configuration", "inherits_from", value="2d"), "inherit from 3d_fullres, got '2d'"),
        (
            change("configuration", "normalization_schemes", value=["NoNormalization"]),
            "expected the model's own normalization_schemes",
        ),
        (change("configuration", "spacing", value=[1.0, 1.0]), "spacing: expected three lengths"),
        (change("configuration", "spacing", value=[1.0, 0, 1.0]), "spacing: expected three"),
        (change("configuration", "spacing", value=["1", 1, 1]), "spacing: expected three"),
        (
            change("configuration", "patch_size", value=[12, 48, 47]),
            r"patch_size: expected three multiples of \[2, 4, 4\]",
        ),
        (change("configuration", "patch_size", value=None), "patch_size: expected three multip"),
        (change("configuration", "nnmtl", "roi_size", value=[0, 8, 8]), "roi_size: expected three"),
        (
            change("configuration", "nnmtl", "native_spacing_mm", value=[1, 1]),
            "native_spacing_mm: expected three lengths",
        ),
        (change("configuration", "nnmtl", "loss", value=1), r"got \['loss'\]"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_in_one_sentence(model, content, message):
    write(model, content)
    with pytest.raises(NnmtlError, match=r"\A[^\n]+\Z") as caught:
        read_center_files(model)
    assert "st-mary.json" in str(caught.value) or "nnmtl" in str(caught.value)
    with pytest.raises(NnmtlError, match=message):
        read_center_files(model)


def test_a_file_of_a_model_without_centers_is_refused(model):
    (model / "plans.json").write_text(json.dumps({"configurations": {"2d": SHARED}}))
    write(model, GOOD)
    with pytest.raises(NnmtlError, match="expected a model of 3d_fullres"):
        read_center_files(model)
