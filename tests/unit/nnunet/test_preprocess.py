"""An interrupted preprocessing goes on; what has changed since is done again."""

import json

import pytest
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

from nnmtl.nnunet.preprocess import preprocess

NAME = "Dataset901_Tiny"
ENDS = (".b2nd", "_seg.b2nd", ".pkl")


class Recorder:
    """Stands for nnU-Net's preprocessor: writes a file of each kind, or stops."""

    def __init__(self):
        self.done, self.stop_after = [], None

    def save(self, target, images, label, plans, configuration, dataset_json):
        if len(self.done) == self.stop_after:
            (self.path(target, ".b2nd")).write_text("half")
            raise KeyboardInterrupt
        for end in ENDS:
            path = self.path(target, end)
            assert not path.exists(), "nnU-Net does not write over arrays"
            path.write_text(str(configuration.spacing))
        self.done.append(target.rpartition("/")[2])

    @staticmethod
    def path(target, end):
        from pathlib import Path

        return Path(target + end)


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(
        DefaultPreprocessor, "run_case_save", lambda _, *arguments: recorder.save(*arguments)
    )
    return recorder


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        (tmp_path / variable / NAME).mkdir(parents=True)
    raw, preprocessed = tmp_path / "nnUNet_raw" / NAME, tmp_path / "nnUNet_preprocessed" / NAME
    cases = {}
    for case in ("a", "b", "c", "d"):
        (raw / f"{case}_0000.nii.gz").write_text("image")
        (raw / f"{case}.nii.gz").write_text("label")
        cases[case] = {"images": [f"{case}_0000.nii.gz"], "label": f"{case}.nii.gz"}
    content = {"dataset": cases, "file_ending": ".nii.gz", "channel_names": {}, "labels": {}}
    (raw / "dataset.json").write_text(json.dumps(content))
    write_plans(preprocessed, spacing=[1.0, 1.0, 1.0])
    return raw, preprocessed


def write_plans(preprocessed, *, spacing):
    configuration = {"spacing": spacing, "data_identifier": "arrays", "architecture": {}}
    plans = {"configurations": {"3d_fullres": configuration}}
    (preprocessed / "nnMTLPlans.json").write_text(json.dumps(plans))


def run():
    preprocess(NAME, "nnMTLPlans", "3d_fullres", num_processes=1)


def interrupted(recorder, *, after):
    recorder.stop_after = after
    with pytest.raises(KeyboardInterrupt):
        run()
    recorder.stop_after = None
    recorder.done.clear()


def test_all_cases_appear_together_and_nothing_of_ours_is_among_them(dataset, recorder):
    run()
    folder = dataset[1] / "arrays"
    assert recorder.done == ["a", "b", "c", "d"]
    assert {path.name for path in folder.iterdir()} == {c + end for c in "abcd" for end in ENDS}


def test_an_interrupted_call_leaves_no_folder_and_goes_on_with_what_is_left(dataset, recorder):
    interrupted(recorder, after=2)
    assert not (dataset[1] / "arrays").exists()
    run()
    assert recorder.done == ["c", "d"]
    assert len(list((dataset[1] / "arrays").iterdir())) == 4 * len(ENDS)


def test_an_image_that_has_changed_is_done_again(dataset, recorder):
    interrupted(recorder, after=3)
    (dataset[0] / "b_0000.nii.gz").write_text("another image")
    run()
    assert recorder.done == ["b", "d"]


def test_another_grid_is_done_again(dataset, recorder):
    interrupted(recorder, after=3)
    write_plans(dataset[1], spacing=[2.0, 1.0, 1.0])
    run()
    assert recorder.done == ["a", "b", "c", "d"]
    assert (dataset[1] / "arrays" / "a.b2nd").read_text() == "[2.0, 1.0, 1.0]"
