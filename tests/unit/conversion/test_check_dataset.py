import json

import numpy as np
import pytest
import SimpleITK

from nnmtl.cli.check_dataset import main
from nnmtl.errors import NnmtlError


@pytest.fixture
def check(source, capsys):
    def check_after(change=None):
        folder = source.raw_folder / "Dataset007_Glioma"
        if not folder.exists():
            source.convert("--copy")
        if change is not None:
            change(folder)
        capsys.readouterr()
        code = main(["-d", "7", "-np", "1"])
        return code, capsys.readouterr().out

    return check_after


def edit(folder, **changes):
    content = json.loads((folder / "dataset.json").read_text())
    content["nnmtl"] |= changes.pop("nnmtl", {})
    (folder / "dataset.json").write_text(json.dumps(content | changes))


def test_a_sound_dataset_passes_with_warnings_and_counts(check):
    code, text = check()
    assert code == 0
    assert "error:" not in text
    assert "warning: IDH: only 8 training cases are '0'" in text
    assert "  IDH: 0 8, 1 8" in text
    assert "  center North: 8" in text


def test_an_image_without_row_is_a_note(check, source):
    def drop_row(folder):
        lines = (folder / "targets.csv").read_text().splitlines(keepends=True)
        (folder / "targets.csv").write_text("".join(lines[:-1]))

    _, text = check(drop_row)
    assert "note: targets.csv: 1 cases with images have no row" in text


def remove(name):
    return lambda folder: (folder / name).unlink()


def cut_short(name):
    def change(folder):
        content = (folder / name).read_bytes()
        (folder / name).unlink()  # it may be a link to the source
        (folder / name).write_bytes(content[:-10])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("targets.csv"), r"targets.csv: expected a CSV file"),
        (remove("dataset.json"), r"dataset.json: expected the dataset's declaration"),
        (lambda folder: edit(folder, numTraining=3), "numTraining is 3, but imagesTr holds 16"),
        (lambda folder: edit(folder, file_ending=3), "file_ending: expected text"),
        (lambda folder: edit(folder, nnmtl={"schema": 9}), "expected the schema 1"),
        (
            lambda folder: edit(folder, labels={"background": 0, "tumor": {}}),
            "labels: expected 'background': 0 and then 1, 2",
        ),
        (
            lambda folder: edit(folder, nnmtl={"missing_channels": {"s04": [1]}}),
            "channel 1 of case 's04' is listed in missing_channels, but s04_0001.nii.gz is not all",
        ),
        (
            lambda folder: (
                edit(folder, labels={"background": 0, "tumor": 1, "edema": 2})
                or edit(folder, nnmtl={"tumor_labels": [2]})
            ),
            r"label map of case 's00' has no tumor ([2])",
        ),
        (remove("labelsTr/s02.nii.gz"), "the case 's02' has no label map"),
        (remove("imagesTr/s02_0001.nii.gz"), "the case 's02' has the channels [0]"),
        (
            lambda folder: (folder / "labelsTr/s02.nii.gz").write_bytes(b"broken"),
            "s02.nii.gz: expected a readable",
        ),
        (cut_short("imagesTr/s02_0001.nii.gz"), "s02_0001.nii.gz: the file ends before its last"),
        (
            lambda folder: (folder / "labelsTr/s02.nii.gz").rename(folder / "labelsTr/x.nii.gz"),
            "'x.nii.gz' belongs to no case",
        ),
        (
            lambda folder: (folder / "targets.csv").write_text(
                (folder / "targets.csv").read_text() + "s_07,p99,South,,,\n"
            ),
            "the case 's_07' has no image in imagesTr or imagesTs",
        ),
    ],
)
def test_a_defect_is_an_error_with_exit_code_one(check, change, message):
    code, text = check(change)
    assert code == 1
    assert message in text.partition("warning:")[0]


def test_another_grid_of_a_label_map_is_an_error(check, source):
    def resample(folder):
        source.write_image("other.nii.gz", spacing=(2.0, 1.0, 2.0), value=1)
        (source.folder / "other.nii.gz").rename(folder / "labelsTr/s02.nii.gz")

    code, text = check(resample)
    assert code == 1
    assert (
        "imagesTr/s02_0000.nii.gz and labelsTr/s02.nii.gz are not on one grid: the spacing" in text
    )


def test_test_cases_are_checked_without_labels(check, source):
    def add_test_case(folder):
        for name, spacing in (("x_0000.nii.gz", 1.0), ("x_0001.nii.gz", 1.5)):
            source.write_image(name, spacing=(spacing, 1.0, 2.0))
            (folder / "imagesTs").mkdir(exist_ok=True)
            (source.folder / name).rename(folder / "imagesTs" / name)

    code, text = check(add_test_case)
    assert code == 1
    assert "imagesTs/x_0000.nii.gz and imagesTs/x_0001.nii.gz are not on one grid" in text


@pytest.mark.parametrize("number", ["0", "-2", "two"])
def test_a_number_of_processes_that_cannot_be_is_refused(source, capsys, number):
    with pytest.raises(SystemExit):
        main(["-d", "7", "-np", number])
    assert f"at least 1, got '{number}'" in capsys.readouterr().err


def test_a_page_never_takes_the_place_of_another_kind_of_file(check, source):
    check()
    table = source.raw_folder / "Dataset007_Glioma" / "targets.csv"
    before = table.read_text()
    with pytest.raises(NnmtlError, match=r"-o .*targets\.csv: expected a name that ends in \.html"):
        main(["-d", "7", "-o", str(table)])
    assert table.read_text() == before


def test_an_image_of_colors_is_an_error_with_exit_code_one(check):
    def paint(folder):
        image = SimpleITK.GetImageFromArray(np.zeros((4, 6, 8, 3), np.uint8))
        SimpleITK.WriteImage(image, str(folder / "imagesTr/s02_0001.nii.gz"))

    code, text = check(paint)
    assert code == 1
    assert "s02_0001.nii.gz: expected one number in every voxel, got 3" in text


def test_an_unknown_id_is_named(source):
    source.raw_folder.mkdir()
    with pytest.raises(NnmtlError, match="Dataset008"):
        main(["-d", "8"])
